"""Each fault of the simulated host on one unit and one operator of a run: it costs that check what it should, and no
other check of the run anything."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parent / "simulated"))
from compare import compare
from faults import FAULTS
from once import suites_once

from harness.evidence.journal import read_run
from harness.evidence.record import Record

#: One worker waits for what these tests share; the others go on.
pytestmark = pytest.mark.xdist_group("faults")
UNITS = ("cpu_only", "cpu_and_ne")
DEADLINE = 10
#: The fault that leaves the Neural Engine out of the plan.
ANES_COMPILER = "ane_compile_failure"


class Expected(NamedTuple):
    """A fault on the program of one operator: its ATen name, the MIL type by which the program is known, the units
    struck; what the record then says, with `text` in its reason, its error's message or a note. `value` is the fault's
    parameter."""

    op: str
    mil: str
    units: tuple[str, ...]
    outcome: str
    phase: str
    text: str
    value: Any = None


CPU, ANE = ("cpu_only",), ("cpu_and_ne",)
TABLE: dict[str, Expected] = {
    "compile_error": Expected(
        "abs", "abs", UNITS, "load_error", "load", "compiling the package failed: Error compiling model: simulated"
    ),
    "load_error": Expected("acos", "acos", CPU, "load_error", "load", "Error in declaring network: simulated"),
    "load_abort": Expected("asin", "asin", ANE, "crash", "load", "SIGABRT in phase load"),
    "load_hang": Expected("atan", "atan", CPU, "timeout", "load", f"no answer within {DEADLINE} s in phase load"),
    "predict_error": Expected("atanh", "atanh", ANE, "run_error", "run", "Failed to evaluate model 0 in pipeline"),
    "predict_abort": Expected("cos", "cos", CPU, "crash", "run", "SIGABRT in phase run"),
    "predict_llvm_abort": Expected("relu", "relu", ANE, "crash", "run", "LLVM ERROR: Failed to infer result type(s)"),
    "predict_segfault": Expected("gelu", "gelu", CPU, "crash", "run", "SIGSEGV in phase run"),
    "predict_hang": Expected(
        "hardsigmoid", "sigmoid_hard", ANE, "timeout", "run", f"no answer within {DEADLINE} s in phase run"
    ),
    "wrong_value": Expected("sigmoid", "sigmoid", CPU, "wrong_value", "value", "(ABS_ERROR, fp16; 1 of"),
    "second_answer": Expected("tanh", "tanh", ANE, "non_deterministic", "value", "non_deterministic: output", 1e-3),
    "nan_above": Expected("erf", "erf", CPU, "out_of_range", "value", "nan", 0.5),
    "missing_output": Expected("sinh", "sinh", ANE, "invalid_program", "run", "the prediction lacks output"),
    "plan_missing": Expected("cosh", "cosh", CPU, "pass", "value", "placement unknown: Core ML gave no compute plan"),
    "plan_error": Expected(
        "floor", "floor", ANE, "pass", "value", "placement unknown: the compute plan failed to load: simulated plan"
    ),
    "plan_abort": Expected(
        "ceil", "ceil", CPU, "pass", "value", "asking for the compute plan ended the process (SIGABRT)"
    ),
    "plan_hang": Expected(
        "tan", "tan", ANE, "pass", "value", "placement unknown: asking for the compute plan gave no answer within"
    ),
    "plan_unknown": Expected(
        "elu", "elu", CPU, "pass", "value", "placement unknown: the compute plan answers for no operator"
    ),
    "ane_unsupported": Expected(
        "rsqrt", "rsqrt", ANE, "pass", "value", "ANE requested, not placed there: aten.rsqrt", ["rsqrt"]
    ),
    "ane_compile_failure": Expected("log", "log", ANE, "pass", "value", "ANE requested, not placed there: aten.log"),
}


#: Faults by the number of pytest's workers. What a child does is no different beside another: of one alone, an answer
#: and an end.
RUNS: dict[str, tuple[str, ...]] = {"2": tuple(TABLE), "0": ("load_abort", "wrong_value")}


def settings(expected: Expected, fault: str) -> dict[str, Any]:
    units = {} if fault == "compile_error" else {"units": [unit.upper() for unit in expected.units]}
    value = {} if expected.value is None else {"value": expected.value}
    return {"mil": [expected.mil], **units, **value}


@pytest.fixture(scope="module", params=RUNS, ids=lambda workers: f"n{workers}")
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run with its faults: these, its records by check, what pytest said, and what was left behind."""
    workers: str = request.param
    table = {fault: TABLE[fault] for fault in RUNS[workers]}
    options = ["suites/ops", "--level=smoke", "--recipe=fp16-ios18", "--measure", "-n", workers]
    options += [f"--deadline={DEADLINE}", *(f"--unit={unit}" for unit in ("reference", *UNITS))]
    options += [f"--op=aten.{expected.op}.default" for expected in (*table.values(), TABLE[ANES_COMPILER])]
    faults = {fault: settings(expected, fault) for fault, expected in table.items()}
    done = suites_once(tmp_path_factory, f"faults-n{workers}", options, faults)
    assert done.returncode == 0, done.said
    return {"faults": table, "records": read_run(done.folder / "run").records, "left": done.left}


def struck(records: dict[str, Record], fault: str) -> list[Record]:
    expected = TABLE[fault]
    return [r for r in records.values() if r.op == f"aten.{expected.op}.default" and r.unit in expected.units]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measured", "fault"),
    [(workers, fault) for workers, faults in RUNS.items() for fault in faults],
    indirect=["measured"],
    ids=lambda value: f"n{value}" if value in RUNS else value,
)
def test_a_fault_costs_its_own_check_what_it_should(fault: str, measured) -> None:
    expected, found = TABLE[fault], struck(measured["records"], fault)
    assert len(found) >= len(expected.units)
    for record in found:
        assert (str(record.outcome), str(record.phase)) == (expected.outcome, expected.phase), record.to_line()
        said = [record.reason, record.error.message if record.error else "", *map(str, record.notes)]
        assert any(expected.text in text for text in said), said


@pytest.mark.slow
def test_every_other_check_is_unharmed(measured) -> None:
    records: dict[str, Record] = measured["records"]
    hit = {record.check_id for fault in measured["faults"] for record in struck(records, fault)}
    assert len(records) == len({r.case for r in records.values()}) * (1 + len(UNITS))
    differences = compare(records.values(), UNITS).differences
    assert not {identity: what for identity, what in differences.items() if identity not in hit}
    for identity, record in records.items():
        if identity not in hit:
            assert record.outcome == "pass", record.to_line()
            assert bool(record.placement) == (record.unit != "reference")


@pytest.mark.slow
def test_the_neural_engine_is_offered_to_the_others_only(measured) -> None:
    """A failure of the Neural Engine's compiler is seen in the plan alone."""
    for record in measured["records"].values():
        if record.unit == "cpu_and_ne" and record.placement:
            failed = ANES_COMPILER in measured["faults"] and record.op == f"aten.{TABLE[ANES_COMPILER].op}.default"
            on_ane = [op for op, entry in record.placement.items() if "ane" in entry["supported"]]
            assert failed == (not on_ane), record.to_line()


@pytest.mark.slow
def test_nothing_is_left_behind(measured) -> None:
    assert measured["left"] == []


def test_every_fault_is_in_the_table() -> None:
    assert set(TABLE) == set(FAULTS)
    assert len({expected.mil for expected in TABLE.values()}) == len(TABLE)
