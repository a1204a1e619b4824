"""The Core ML units on the simulated host: the code a Mac runs, in one child process for all that is seen here."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.evidence.files import Evidence
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import Record
from harness.lowering.program import UnpackedDelegate
from harness.publish.model import build_matrix
from harness.units import coreml, host
from harness.units.base import Feature, NotRunnable, ProgramContradiction
from harness.units.coreml import CoreMLUnit

#: One worker waits for what these tests share; the others go on.
pytestmark = pytest.mark.xdist_group("coreml")
SIMULATED = Path(__file__).parents[1] / "simulated"
UNITS = ["cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"]
OPERATORS = [
    *("add", "sub", "mul", "relu", "gelu", "sigmoid", "softmax", "mean", "matmul", "linear", "conv2d", "layer_norm"),
    *("bool_output", "bool_input", "integer", "float16", "float64", "rank_0", "two_outputs", "state"),
    *("linear/fp32", "softmax/fp32"),
]
#: A bound wide enough for float16 and narrow enough for a wrong operator; exact judging is not this test's subject.
CLOSE = {"rtol": 4e-3, "atol": 4e-3}


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The scenarios' results; xdist's workers share one run."""
    root = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        root = root.parent
    answer = root / "simulated-host.json"
    with open(root / "simulated-host.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answer.exists():
            answer.write_text(_on_simulated_host(tmp_path_factory.mktemp("simulated")))
    return json.loads(answer.read_text())


def _on_simulated_host(temporary: Path) -> str:
    command = [sys.executable, str(SIMULATED / "host.py"), f"{SIMULATED / 'scenarios.py'}:everything"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)}
    done = subprocess.run(command, input="{}", capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def raised(result: Any) -> str | None:
    return result.get("error") if isinstance(result, dict) else None


# -- the host -----------------------------------------------------------------------------------------------------


def test_results_of_the_simulated_host_are_labelled(seen) -> None:
    assert seen["host"]["simulated"]
    assert seen["host"]["labelled"]
    assert seen["host"]["devices"] == ["cpu", "gpu", "ane"]


def test_this_process_is_not_simulated() -> None:
    assert not coreml.is_simulated_host()


def test_availability_follows_the_macos_played(seen) -> None:
    assert seen["host"]["unavailable"] == dict.fromkeys(UNITS)
    assert seen["host"]["too_new"] == "an iOS26 program needs macOS 26 or later; this is macOS 15.5"


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac can predict")
@pytest.mark.parametrize("name", UNITS)
def test_elsewhere_nothing_is_opened(name: str, tmp_path: Path) -> None:
    unit = CoreMLUnit(name)
    assert unit.unavailable("iOS18") == f"Core ML predicts only on macOS; this is {host.system_name()}"
    with pytest.raises(NotRunnable, match="only on macOS"):
        unit.open(UnpackedDelegate(tmp_path, (), ()))


@pytest.mark.parametrize("name", ["reference", "executorch", "CPU_ONLY", "ane"])
def test_only_core_ml_units(name: str) -> None:
    with pytest.raises(ValueError, match="not a Core ML unit"):
        CoreMLUnit(name)


# -- predicting ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_user_gets_what_eager_gives(operator: str, unit: str, seen) -> None:
    result = seen["operators"][operator]
    assert not raised(result), result
    got, expected = result["units"][unit]["outputs"], result["eager"]
    assert [(g["dtype"], g["shape"]) for g in got] == [(e["dtype"], e["shape"]) for e in expected]
    for g, e in zip(got, expected, strict=True):
        if "float" in e["dtype"]:
            np.testing.assert_allclose(g["values"], e["values"], **CLOSE)
        else:
            assert g["values"] == e["values"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_boundary_changes_nothing(operator: str, unit: str, seen) -> None:
    """Bit for bit what the executor behind the fake computed, though it came back widened, strided and as [1]."""
    result = seen["operators"][operator]
    assert not raised(result), result
    measured = result["units"][unit]
    assert measured["equals_reference"]
    assert measured["contiguous"]
    assert measured["inputs_untouched"]
    assert not [note for note in measured["notes"] if not note.startswith("ANE requested")]


@pytest.mark.parametrize(
    ("operator", "features", "outputs"),
    [
        ("mul", [["float32", [2, 3]], ["float32", [2, 1]]], ["float16"]),
        ("linear/fp32", [["float32", [2, 3]]], ["float32"]),
        ("float16", [["float16", [2, 3]]], ["float16"]),
        ("float64", [["float32", [2, 3]]], ["float16"]),
        ("integer", [["int32", [2, 3]], ["int32", [3]]], ["int32"]),
        ("bool_output", [["float32", [2, 3]]] * 2, ["float32"]),
        ("bool_input", [["float32", [2, 3]]] * 3, ["float16"]),
        ("rank_0", [["float32", [1]]], ["float16"]),
        ("two_outputs", [["float32", [2, 3]]], ["float16"] * 2),
    ],
)
def test_features_are_as_declared(operator: str, features: list, outputs: list, seen) -> None:
    measured = seen["operators"][operator]["units"]["all"]
    assert measured["features"] == features
    assert measured["output_dtypes"] == outputs


def test_features_are_mapped_by_position_of_the_metadata(seen) -> None:
    (difference,) = seen["positions"]["sub"]
    expected = -np.array(seen["operators"]["sub"]["eager"][0]["values"]).reshape(2, 3)
    np.testing.assert_allclose(difference, expected, **CLOSE)
    eager = [np.array(output["values"]).reshape(2, 3) for output in seen["operators"]["two_outputs"]["eager"]]
    np.testing.assert_allclose(seen["positions"]["two_outputs"], eager[::-1], **CLOSE)


@pytest.mark.parametrize("unit", UNITS)
def test_a_partly_delegated_program(unit: str, seen) -> None:
    partial = seen["partial"]
    assert not raised(partial), partial
    assert partial["delegates"] == 2
    assert partial["fallback"] == {"aten.asinh.default": 1}
    np.testing.assert_allclose(partial["units"][unit]["values"], partial["eager"]["values"], **CLOSE)


def test_operators_are_counted_without_constants(seen) -> None:
    assert seen["operators"]["linear"]["units"]["cpu_only"]["mil_ops"] == {"cast": 1, "linear": 1}


def test_state_lasts_as_long_as_the_open_delegate(seen) -> None:
    state = seen["state"]
    assert not raised(state), state
    expected = [[[2 * calls * value for value in state["input"]] for calls in (1, 2, 3)]] * 2
    np.testing.assert_allclose(state["outputs"], expected, **CLOSE)
    (left,) = state["left"].values()  # a running total, of which the output is the double
    np.testing.assert_allclose(left, np.array(expected[0][-1]) / 2, **CLOSE)
    assert not [note for note in state["notes"] if note.startswith("non_deterministic")]


def test_state_needs_macos_15(seen) -> None:
    assert seen["state"]["too_old"] == {
        "error": "NotRunnable",
        "message": "a program with state needs macOS 15 or later",
    }


# -- what the native side refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        *("int64", "int16", "uint8", "bool", "float16", "rank 0", "read-only", "negative strides", "wrong shape"),
        *("list", "declared otherwise"),
    ],
)
def test_the_fake_is_strict(case: str, seen) -> None:
    assert raised(seen["strictness"]["refused"][case]) in ("RuntimeError", "ValueError")


def test_the_fake_accepts_what_is_right_and_wants_names(seen) -> None:
    assert len(seen["strictness"]["accepted"]) == 1
    assert "required but not specified" in seen["strictness"]["unnamed"]["message"]


def test_inputs_are_copied_into_something_core_ml_takes(seen) -> None:
    rising = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert seen["strictness"]["ours"] == {
        "float16": rising,
        "read-only": rising,
        "fortran": rising,
        "negative strides": [row[::-1] for row in rising],
    }


def test_misuse_is_an_error(seen) -> None:
    assert seen["strictness"]["count"] == {"error": "PredictFailed", "message": "2 inputs for 1 features"}
    assert seen["strictness"]["closed"] == {"error": "PredictFailed", "message": "the delegate is closed"}


# -- compiling ----------------------------------------------------------------------------------------------------


def test_one_compilation_serves_the_four_units(seen) -> None:
    assert seen["compiled_once"] == {"same": 1, "kept": True, "other": 2, "dropped": True}


# -- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("load_error", "LoadFailed", "Error in declaring network: simulated"),
        ("predict_error", "PredictFailed", "Failed to evaluate model 0 in pipeline: simulated"),
        ("missing_output", "ProgramContradiction", "the prediction lacks output aten_mul_tensor"),
        ("compile_error", "LoadFailed", "compiling the package failed: Error compiling model: simulated"),
    ],
)
def test_a_refusal_is_told_from_a_failed_prediction(fault: str, error: str, message: str, seen) -> None:
    assert seen["faults"][fault]["hit"] == {"error": error, "message": message}


@pytest.mark.parametrize("fault", ["load_error", "predict_error", "wrong_value", "second_answer", "missing_output"])
def test_a_fault_of_one_unit_leaves_the_others_alone(fault: str, seen) -> None:
    assert seen["faults"][fault]["spared"] == seen["faults"]["none"]


def test_a_wrong_value_arrives_as_it_is(seen) -> None:
    clean = seen["faults"]["none"]["outputs"][0]["values"]
    wrong = seen["faults"]["wrong_value"]["hit"]["outputs"][0]["values"]
    assert wrong == [clean[0] + 1, *clean[1:]]
    assert seen["faults"]["wrong_value"]["hit"]["notes"] == []


def test_a_different_second_answer_is_noted(seen) -> None:
    hit = seen["faults"]["second_answer"]["hit"]
    assert hit["outputs"] == seen["faults"]["none"]["outputs"]
    (note,) = hit["notes"]
    assert note.startswith("non_deterministic: output aten_mul_tensor: 1 of 6 elements")


def test_nan_is_neither_hidden_nor_non_deterministic(seen) -> None:
    hit, spared = seen["faults"]["nan_above"]["hit"], seen["faults"]["nan_above"]["spared"]
    clean = np.array(spared["outputs"][0]["values"])
    np.testing.assert_array_equal(np.isnan(hit["outputs"][0]["values"]), np.abs(clean) > 1)
    assert hit["notes"] == []


def test_a_damaged_package_is_a_load_failure_without_machine_paths(seen) -> None:
    damaged = seen["faults"]["damaged"]
    assert damaged["error"] == "LoadFailed"
    assert "the package cannot be read" in damaged["message"]
    assert "mlpackage/Manifest.json" in damaged["message"]
    assert "lowered_module" not in damaged["message"]
    assert seen["faults"]["left_behind"] == []


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("output", "metadata names output ghost, which the package does not describe"),
        ("input", "metadata names input ghost, which the package does not describe"),
        ("unnamed input", "the package needs input inputs_0, which the metadata does not name"),
    ],
)
def test_metadata_and_package_must_agree(metadata: str, message: str, seen) -> None:
    assert seen["contradictions"][metadata] == {"error": "ProgramContradiction", "message": message}


@pytest.mark.skipif(sys.platform == "darwin", reason="forking is not safe there; the fake is tested elsewhere")
@pytest.mark.parametrize(
    ("fault", "fate"),
    [
        ("none", "exit 0"),
        ("load_abort", "SIGABRT"),
        ("predict_abort", "SIGABRT"),
        ("predict_segfault", "SIGSEGV"),
        ("load_hang", "running"),
        ("predict_hang", "running"),
        ("plan_of_package", "SIGABRT"),
    ],
)
def test_the_fake_can_die_and_hang(fault: str, fate: str, seen) -> None:
    assert seen["deaths"][fault] == fate


# -- placement ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "preferred", "supported"),
    [
        ("cpu_only", "cpu", ["cpu"]),
        ("cpu_and_gpu", "gpu", ["cpu", "gpu"]),
        ("cpu_and_ne", "ane", ["cpu", "ane"]),
        ("all", "ane", ["cpu", "gpu", "ane"]),
    ],
)
def test_placement_is_the_plan_s(unit: str, preferred: str, supported: list[str], seen) -> None:
    placed = seen["placement"]["plain"][unit]
    expected = {"preferred": preferred, "supported": supported, "cost": 0.5}
    assert placed == {
        "placement": {"cast": expected, "linear": expected},
        "aten": {"aten.linear.default": expected},
        "notes": [],
    }


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        ("plan_missing", "placement unknown: Core ML gave no compute plan"),
        ("plan_error", "placement unknown: the compute plan failed to load: simulated plan failure"),
        ("plan_unknown", "placement unknown: the compute plan answers for no operator"),
        ("too_old", "placement unknown: a compute plan needs macOS 14.4 or later"),
    ],
)
def test_without_an_answer_placement_is_unknown(fault: str, note: str, seen) -> None:
    assert seen["placement"][fault] == {"placement": {}, "aten": {}, "notes": [note]}


def test_the_ane_is_never_claimed_because_it_was_requested(seen) -> None:
    note = "ANE requested, not placed there: aten.linear.default (on cpu)"
    refused, partly = seen["placement"]["ane_unsupported"], seen["placement"]["partly"]
    assert refused["notes"] == partly["notes"] == [note]
    assert all("ane" not in usage["supported"] for usage in refused["placement"].values())
    assert partly["placement"]["cast"]["preferred"] == "ane"
    assert refused["aten"] == partly["aten"] == {"aten.linear.default": ON_CPU | {"cost": 0.5}}


ON_ANE = {"preferred": "ane", "supported": ["cpu", "ane"]}
ON_CPU = {"preferred": "cpu", "supported": ["cpu"]}


def devices(placed: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {op: {key: entry[key] for key in ("preferred", "supported")} for op, entry in placed.items()}


def test_an_operator_that_became_several_is_where_all_of_them_are(seen) -> None:
    found = seen["placement"]["joined"]["several"]
    # Hardswish became thresholded_relu, sigmoid_hard, which the ANE refuses here, and mul.
    assert {found["mil"][op]["preferred"] for op in ("thresholded_relu", "mul")} == {"ane"}
    assert devices(found["aten"]) == {
        "aten.conv2d.default": ON_ANE,
        "aten.hardswish.default": ON_CPU,
        "aten.linear.default": ON_ANE,
        "aten.view_copy.default": ON_ANE,
    }
    assert found["notes"] == ["ANE requested, not placed there: aten.hardswish.default (on cpu)"]
    shares = [found["aten"][op]["cost"] for op in sorted(found["aten"])]
    assert shares == pytest.approx([1 / 7, 3 / 7, 1 / 7, 1 / 7], rel=1e-5)


def test_what_one_operator_was_decomposed_into_is_told_apart(seen) -> None:
    found = seen["placement"]["joined"]["decomposed"]
    assert set(found["aten"]) == set(found["delegated"])
    assert len(found["aten"]) == 12
    assert found["aten"]["aten.exp.default"]["preferred"] == "ane"
    assert found["aten"]["aten.sub.Tensor"] == {**ON_CPU, "cost": pytest.approx(1 / 17, rel=1e-5)}


def test_an_operator_that_became_part_of_another_is_unknown(seen) -> None:
    found = seen["placement"]["joined"]["fused"]
    assert found["mil_ops"] == {"cast": 1, "linear": 1, "relu": 1}
    assert devices(found["aten"]) == {"aten.add.Tensor": ON_ANE, "aten.relu.default": ON_ANE}
    assert "aten.matmul.default" in found["delegated"]


def test_a_cast_decides_for_the_operator_that_is_one(seen) -> None:
    found = seen["placement"]["joined"]["cast"]
    assert devices(found["aten"]) == {"dim_order_ops._to_dim_order_copy.default": ON_CPU}


def test_two_delegates_have_their_placements_combined_and_no_cost(seen) -> None:
    found = seen["placement"]["joined"]["two_delegates"]
    assert found["aten"] == {"aten.mul.Tensor": ON_ANE, "aten.sub.Tensor": ON_CPU}
    assert found["mil"] == {"cast": ON_ANE, "mul": ON_ANE, "sub": ON_CPU}
    assert found["notes"] == ["ANE requested, not placed there: aten.sub.Tensor (on cpu)"]


def test_cases_that_attract_the_ane_fill_its_column_from_a_mac_alone(seen) -> None:
    records = [Record.from_json(record) for record in seen["placement"]["attracting"]]
    assert [str(record.outcome) for record in records] == ["pass"] * 4
    mac = {"os": "macos 15.5", "devices": ["cpu", "gpu", "ane"]}
    matrix = build_matrix(Evidence({"here": mac}, records))
    column = {row.name: [ane.text for ane in row.ane().values()] for row in matrix.operators}
    assert column["aten.gelu.default"] == ["supported 2"]
    assert column["aten.softmax.int"] == ["supported 0/2, not placed 2"]
    assert column["aten.conv2d.default"] == ["supported 4 (ordinary cases)"]
    simulated = build_matrix(Evidence({"here": {**mac, "simulated": True}}, records))
    assert (simulated.operators, simulated.ignored) == ([], 4)
    notes = [[str(note) for note in record.notes if note.code is NoteCode.NOT_ON_ANE] for record in records]
    assert notes[:2] == [[], []]
    assert notes[2] == ["ANE requested, not placed there: aten.softmax.int (on cpu)"]
    assert notes[3] == ["ANE requested, not placed there: aten.softmax.int (on gpu)"]


def test_a_wrong_join_is_seen(seen) -> None:
    planted = seen["placement"]["planted"]
    right = devices(planted["right"]["aten"])
    assert right["aten.hardswish.default"] == ON_CPU
    assert right["aten.linear.default"] == ON_ANE
    # Each operator is named after its node or has a handle that is only this node's: one of the two is enough.
    assert devices(planted["names lost"]["aten"]) == right
    turned = planted["handles turned"]
    assert turned["aten"] == {}
    assert turned["notes"][0].startswith("the debug handles of aten_conv2d_default_cast_fp16, ")
    assert planted["no handles"]["aten"] == {}
    assert "no debug information" in planted["no handles"]["notes"][0]
    # With nothing left to contradict them, wrong handles show in what they say of each node.
    assert devices(planted["both"]["aten"])["aten.hardswish.default"] == ON_ANE


# -- the facts the unit rests on ----------------------------------------------------------------------------------


def test_mlmodel_turns_a_load_failure_into_a_warning(seen) -> None:
    facts = seen["mlmodel"]
    assert facts["proxy_missing"]
    assert len(facts["warnings"]) == 1
    assert "no network today" in facts["warnings"][0]


def test_mlmodel_deletes_its_compiled_folder_with_itself(seen) -> None:
    assert seen["mlmodel"]["compiled_gone"]


def test_predict_changes_the_dict_it_is_given(seen) -> None:
    assert seen["mlmodel"]["dict_after_predict"] == "float32"


def test_every_door_of_the_fake_leads_to_one_answer(seen) -> None:
    facts = seen["mlmodel"]
    assert facts["doors"] == dict.fromkeys(("batch", "asset", "memory"), facts["answer"])
    assert all(duration > 0 for duration in facts["durations"])


def test_a_program_newer_than_the_system_is_refused_at_compilation(seen) -> None:
    assert seen["contradictions"]["too_new"] == {
        "error": "LoadFailed",
        "message": "compiling the package failed: specification version 9 is newer than 8",
    }


def test_compiled_models_of_dead_processes_are_removed(tmp_path: Path, monkeypatch) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = {pid: f"{coreml._FOLDER_PREFIX}{pid}-abc" for pid in (dead.pid, os.getpid(), "someone")}
    for name in names.values():
        (tmp_path / name / "model.mlmodelc").mkdir(parents=True)
    monkeypatch.setattr(coreml.tempfile, "gettempdir", lambda: str(tmp_path))
    coreml.remove_left_behind()
    assert {path.name for path in tmp_path.iterdir()} == {names[os.getpid()], names["someone"]}


@pytest.mark.parametrize(
    ("unit", "devices", "reason"),
    [
        ("cpu_and_ne", ["cpu", "gpu"], "Core ML offers no Neural Engine on this machine (cpu, gpu only)"),
        ("cpu_and_gpu", ["cpu"], "Core ML offers no GPU on this machine (cpu only)"),
        ("cpu_and_ne", ["cpu", "gpu", "ane"], None),
        ("cpu_and_ne", [], None),  # it cannot tell
        ("all", ["cpu"], None),
        ("cpu_only", ["cpu"], None),
    ],
)
def test_a_unit_without_its_device_is_not_that_unit(unit: str, devices: list[str], reason: str | None) -> None:
    found = coreml.missing_device(unit, devices)
    assert (found or "").startswith(reason or "")
    assert (found is None) == (reason is None)


# -- conversions, without a host ----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [np.float16(2), np.arange(3, dtype=np.float16), np.ones((2, 2), np.int32)[:, ::-1]])
def test_what_goes_in_is_fresh_writable_and_contiguous(given) -> None:
    array = coreml._to_core_ml(np.asarray(given))
    assert array.ndim >= 1
    assert array.dtype in (np.float32, np.int32)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert not np.shares_memory(array, given)


def test_an_answer_wider_than_declared_is_kept_and_noted() -> None:
    notes: list[Note] = []
    feature = Feature("y", "float16", (2,))
    got = coreml._from_core_ml(np.array([1.0, 1e6], np.float32), feature, notes)
    assert got.tolist() == [1.0, 1e6]
    assert notes == [Note(NoteCode.OUTPUT_LOST, "output y: float32 values that its declared float16 cannot hold")]


def test_nan_and_infinity_fit_the_declared_type() -> None:
    notes: list[Note] = []
    got = coreml._from_core_ml(np.array([np.nan, np.inf], np.float32), Feature("y", "float16", (2,)), notes)
    assert got.dtype == np.float16
    assert notes == []


def test_difference_is_of_bits() -> None:
    zero = np.array([0.0, 1.0], np.float16)
    assert "1 of 2 elements" in coreml._difference("y", zero, np.array([-0.0, 1.0], np.float16))
    assert "shape (2,), then (1,)" in coreml._difference("y", zero, zero[:1])


def test_a_function_is_found_in_the_description_or_named() -> None:
    decode, forward = SimpleNamespace(name="decode"), SimpleNamespace(name="forward")
    description = SimpleNamespace(functions=[decode, forward])
    assert coreml._described_function(description, "decode") is decode
    assert coreml._described_function(description, "") is description
    with pytest.raises(ProgramContradiction, match=r"no function encode \(it has decode, forward\)"):
        coreml._described_function(description, "encode")
