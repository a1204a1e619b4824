import shlex
from dataclasses import replace

import pytest

from harness.evidence.causes import Cause
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import ErrorInfo, Numerics
from harness.evidence.vocabulary import OUTCOME_MEANINGS, HarnessError, Kind, Outcome
from harness.publish.explain import explain, find
from harness.publish.units_page import beside_text

A, B = "aten.a.default", "aten.b.default"
CASE = f"ops/{A}/float32/opinfo-1"


@pytest.fixture
def recorded(record, evidence):
    return evidence(record(A, sample=1), record(A, sample=1, recipe="fp32-ios18"), record(A, sample=10), record(B))


@pytest.mark.parametrize(
    "wanted",
    [f"ops/{B}/float32/opinfo-0@fp16-ios18@reference", f"ops/{B}/float32/opinfo-0", f"ops/{B}", f"{CASE}@fp32"],
)
def test_find_by_id_case_or_unique_prefix(recorded, wanted):
    (found,) = find(recorded, wanted)
    assert found.check_id.startswith(wanted)


def test_a_case_id_is_not_taken_for_a_prefix_of_another_case(recorded):
    with pytest.raises(HarnessError, match="2 checks fit") as error:
        find(recorded, CASE)
    assert "opinfo-10" not in str(error.value)
    assert f"{CASE}@fp32-ios18@reference" in str(error.value)


def test_find_nothing(recorded):
    with pytest.raises(HarnessError, match=r"zeta: no such check$"):
        find(recorded, "zeta")
    with pytest.raises(HarnessError, match=r"aten\.b: no such check; these contain it:\n  ops/aten\.b\.default"):
        find(recorded, "aten.b")


def test_a_check_of_two_environments_gives_both(record, evidence, environments):
    assert len(find(evidence(record(A), record(A, environment=environments["mac"])), f"ops/{A}")) == 2


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_in_words(record, outcome):
    assert f"{outcome}: {OUTCOME_MEANINGS[outcome]}" in explain(record(A, outcome))


def test_everything_a_record_holds_is_told(record, evidence):
    full = record(
        A,
        "wrong_value",
        delegated={A: 2},
        fallback={B: 1},
        missing_kernels=[B],
        mil_ops={"cast": 2},
        placement={"cast": {"preferred": "cpu", "supported": ["cpu", "ane"]}},
        numerics=Numerics("ULP", 1e-3, 2e-3, 0.5, 4.0, 2e-3, 33.3, "0:[1, 2]"),
        reason="got 1, expected 2",
        notes=[Note(NoteCode.NON_DETERMINISTIC, "second prediction equal")],
        seed=7,
        signature="odd",
        cause="coremltools-123",
        timing={"lower": 0.25},
    )
    text = explain(full, next(iter(evidence(full).environments.values())))
    for part in (
        "aten.a.default through a, float32, from opinfo, seed 7",
        "fp16 compute, deployment target iOS18",
        "interpreter of the emitted ML Program",
        "value (comparing values)",
        "got 1, expected 2",
        "ValueError: odd in line 12\n            signature: odd",
        "coremltools-123",
        "delegated   aten.a.default x2",
        "fell back   aten.b.default",
        "no kernel   aten.b.default: this program would not load",
        "cast: prefers cpu; supported on cpu, ane\n            ANE: supported for all of it",
        "ULP: error 0.002 at 0:[1, 2], limit 0.001, headroom x0.5",
        "largest error 4 ULP, 0.002 absolute, SQNR 33.3 dB",
        "second prediction equal",
        "lower 0.25 s",
        "executorch 1.5.1",
    ):
        assert part in text


def told_of(cause, record):
    text = explain(record, None, cause)
    return [line.strip() for line in text.split("cause       ")[1].split("delegated")[0].splitlines() if line.strip()]


def test_a_described_cause_is_explained(record):
    """In place of its slug alone."""
    cause = Cause("odd", "It is odd", "converter", "You see it.", "It is so.", "ops.py f", (), script="own")
    told = ["odd: It is odd (converter)", "You see it.", "It is so.", "source: ops.py f"]
    wrong = record(A, "wrong_value", cause="odd")
    assert told_of(cause, wrong) == [*told, "shown by: python reports/findings/odd.py"]
    described = replace(
        cause, condition="alpha other than 1", remedy="Write it out.", url="https://example.org/1", state="merged"
    )
    assert told_of(described, wrong)[1:6] == [
        "You see it.",
        "when: alpha other than 1",
        "what to do: Write it out.",
        "upstream: https://example.org/1 (merged)",
        "It is so.",
    ]


def test_a_users_own_case_is_reproduced_from_the_file(record):
    assert explain(record(kind=Kind.USER, case="check/mine/f")).splitlines()[-1] == (
        "reproduce   coreml-harness check mine.py::f --recipe fp16-ios18 --unit reference"
    )


def test_what_was_got_is_told_once(record):
    wrong = record(A, "wrong_value", error=ErrorInfo("wrong_value", "got 1", "wrong_value"), reason="got 1")
    assert explain(wrong).count("got 1") == 1


def test_an_error_names_its_type_once(record):
    text = explain(record(A, "run_error", error=ErrorInfo("KeyError", "KeyError: x", "KeyError: x")))
    assert "error       KeyError: x\ndelegated" in text


def test_reproduction_is_ready_to_paste(record):
    lines = explain(record("aten.a.default", case="ops/aten.a.default/float32/odd name")).splitlines()
    repro, pytest_line = (shlex.split(line[12:]) for line in lines[-2:])
    assert repro == ["coreml-harness", "repro", "ops/aten.a.default/float32/odd name@fp16-ios18@reference"]
    assert pytest_line[:2] == ["pytest", "suites"]
    assert pytest_line[-2:] == ["-k", "ops/aten.a.default/float32/odd name"]


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ("runtime", "stage       runtime: the program is right, this unit's answer is not"),
        ("lowering", "stage       lowering: the program is wrong"),
        ("precision", "stage       precision: the reference executor's answer is wrong as well"),
    ],
)
def test_the_stage_is_told(record, stage, says):
    assert says in explain(record(outcome="wrong_value", unit="all", stage=stage))
    assert "stage" not in explain(record(outcome="wrong_value"))


def test_all_units_stand_beside_the_record(record, evidence):
    wrong = record(
        outcome="wrong_value",
        unit="all",
        stage="runtime",
        against_reference={"outcome": "pass", "equal": False, "max_abs": 0.5, "max_ulp": 3.0},
    )
    built = evidence(wrong, record(headroom=2.0))
    text = explain(wrong, None, None, beside_text(built, wrong))
    rows = [line.split() for line in text.splitlines() if line.startswith(("eager", "reference", "all "))]
    assert [row[:2] for row in rows] == [["eager", "the"], ["reference", "pass"], ["all", "wrong_value"]]
    assert rows[2][2:] == ["0.5,", "3", "ulp", "runtime"]
