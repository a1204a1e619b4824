"""The comparison of Core ML's units with the reference finds what is planted, and excuses only what its rules name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "simulated"))
from compare import compare, main, unlabelled

from harness.evidence.files import Evidence, write_evidence
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import ErrorInfo, Numerics, Record
from harness.evidence.vocabulary import HARDWARE_UNITS, Outcome, Phase

PLACED = {"gelu": {"preferred": "cpu", "supported": ["cpu"]}}
SIMULATED = {"there": {"simulated": True, "os": "linux"}}


def record(unit: str = "reference", **fields: Any) -> Record:
    values: dict[str, Any] = {
        "case": "ops/aten.gelu.default/float32/opinfo-789070",
        "recipe": "fp16-ios18",
        "unit": unit,
        "outcome": Outcome.PASS,
        "phase": Phase.VALUE,
        "delegated": {"aten.gelu.default": 1},
        "mil_ops": {"gelu": 1},
        "placement": {} if unit == "reference" else PLACED,
        "numerics": Numerics("ULP", limit=1.0, worst=0.5, headroom=2.0, max_ulp=0.5),
        "environment": "there",
    }
    return Record(**{**values, **fields})


def five(reference: dict[str, Any] | None = None, unit: dict[str, Any] | None = None) -> list[Record]:
    """A reference record and those of the four units; `unit` changes the one of `all`."""
    others = [record(str(name), **(reference or {}), placement=PLACED) for name in HARDWARE_UNITS[:-1]]
    return [record(**(reference or {})), *others, record("all", **{**(reference or {}), **(unit or {})})]


def failed(outcome: Outcome, phase: Phase, message: str, kind: str = "E") -> dict[str, Any]:
    error = ErrorInfo(kind, message, message)
    return {"outcome": outcome, "phase": phase, "error": error, "numerics": None, "mil_ops": {}, "placement": {}}


def test_equal_records_are_equal() -> None:
    result = compare(five())
    assert (result.pairs, result.placed, dict(result.differences), dict(result.excused)) == (4, 4, {}, {})


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        ({"outcome": Outcome.PARTIAL}, "outcome"),
        ({"phase": Phase.DTYPE}, "phase"),
        ({"seed": 7}, "seed"),
        ({"delegated": {"aten.gelu.default": 2}}, "delegated"),
        ({"fallback": {"aten.asinh.default": 1}}, "fallback"),
        ({"missing_kernels": ["aten.asinh.default"]}, "missing_kernels"),
        ({"mil_ops": {"gelu": 1, "cast": 1}}, "mil_ops"),
        ({"numerics": Numerics("ULP", limit=1.0, worst=0.6, headroom=2.0, max_ulp=0.5)}, "numerics"),
        ({"reason": "for no reason"}, "reason"),
        ({"error": ErrorInfo("ValueError", "m", "s")}, "error"),
        ({"stage": "runtime"}, "the runtime is blamed"),
        ({"placement": {}}, "neither a placement nor a note"),
        ({"against_reference": {"outcome": "pass", "equal": False}}, "not the reference's"),
    ],
)
def test_a_planted_difference_is_found(planted: dict[str, Any], named: str) -> None:
    result = compare(five(unit=planted))
    ((identity, found),) = result.differences.items()
    assert identity.endswith("@all")
    assert len(found) == 1
    assert named in found[0]
    assert f"{identity}: {found[0]}" in result.text()


def test_a_missing_record_is_found() -> None:
    assert list(compare(five()[:-1]).differences.values()) == [["no record"]]
    assert list(compare(five()[1:]).differences.values()) == [["no record of the reference"]]


def test_a_fault_of_the_harness_is_never_equal() -> None:
    fault = {**failed(Outcome.NOT_RUN, Phase.EAGER, "traceback"), "reason": "no module"}
    result = compare([record(str(unit), **fault) for unit in ("reference", *HARDWARE_UNITS)])
    assert len(result.differences) == 4


def test_a_reference_with_a_placement_is_none() -> None:
    assert len(compare([record(placement=PLACED), *five()[1:]]).differences) == 4


def test_a_note_says_why_there_is_no_placement() -> None:
    result = compare(five(unit={"placement": {}, "notes": [Note(NoteCode.PLACEMENT_UNKNOWN, "no answer")]}))
    assert (dict(result.differences), result.placed, result.unplaced) == ({}, 3, 1)


def test_nothing_delegated_has_no_placement() -> None:
    result = compare(five(unit={"placement": {}}, reference={"mil_ops": {}, "delegated": {}}))
    assert dict(result.differences) == {}


@pytest.mark.parametrize(
    ("reference", "unit", "rule"),
    [
        (
            {"outcome": Outcome.NOT_RUN, "reason": "undocumented semantics: topk: ties; other value"},
            {"outcome": Outcome.WRONG_VALUE, "reason": "other value"},
            "undocumented",
        ),
        (
            {
                "outcome": Outcome.NOT_RUN,
                "phase": Phase.LOAD,
                "reason": "the reference executor has no kernel for MIL gru",
            },
            failed(Outcome.RUN_ERROR, Phase.RUN, "no kernel for gru"),
            "no kernel",
        ),
        (
            failed(Outcome.INVALID_PROGRAM, Phase.LOAD, "main: y is fp16, declared fp32"),
            failed(Outcome.LOAD_ERROR, Phase.LOAD, "Unable to load model: main: y is fp16, declared fp32"),
            "contradicts itself",
        ),
    ],
)
def test_what_a_rule_names_is_excused_and_counted(reference: dict, unit: dict, rule: str) -> None:
    records = [record(**reference), *(record(str(name), **unit) for name in HARDWARE_UNITS)]
    records = [r.with_(placement={}) if r.unit == "reference" else r for r in records]
    result = compare(records)
    assert dict(result.differences) == {}, result.text()
    ((name, count),) = result.excused.items()
    assert rule in name
    assert count == 4
    assert f"4 pairs: {name}" in result.text()
    other = [r.with_(delegated={"aten.relu.default": 1}) if r.unit == "all" else r for r in records]
    assert len(compare(other).differences) == 1  # a rule excuses its fields alone


def test_another_reason_than_a_rules_is_not_excused() -> None:
    reference = failed(Outcome.INVALID_PROGRAM, Phase.LOAD, "main: y is fp16, declared fp32")
    unit = failed(Outcome.LOAD_ERROR, Phase.LOAD, "Unable to load model: disk full")
    assert len(compare([record(**reference), *(record(str(n), **unit) for n in HARDWARE_UNITS)]).differences) == 4


def test_the_command_fails_on_a_difference_a_label_and_nothing_at_all(tmp_path: Path, capsys) -> None:
    def exit_code(evidence: Evidence) -> int:
        path = tmp_path / "found.jsonl"
        write_evidence(path, evidence)
        return main(str(path))

    assert exit_code(Evidence(SIMULATED, five())) == 0
    assert "4 pairs compared, 0 differences" in capsys.readouterr().out
    assert exit_code(Evidence(SIMULATED, five(unit={"seed": 3}))) == 1
    assert exit_code(Evidence({"there": {"os": "linux"}}, five())) == 1
    assert "not labelled simulated: there" in capsys.readouterr().out
    assert exit_code(Evidence(SIMULATED, [])) == 1
    assert unlabelled(Evidence(SIMULATED, five())) == []
