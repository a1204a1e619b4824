import csv
import io
import re

import pytest

from harness.evidence.vocabulary import OUTCOME_MEANINGS, SEVERITY, Outcome
from harness.publish.model import build_matrix
from harness.publish.pages import build_pages
from harness.publish.support_page import SECTIONS

A, B, C = "aten.a.default", "aten.b.default", "aten.c.default"


def section(page, heading):
    """The text under a heading, up to the next one."""
    return re.split(r"\n#+ ", page.split(f"# {heading}\n", 1)[1])[0]


def test_every_outcome_has_one_section_and_one_legend_line(pages):
    placed = [status for _, statuses in SECTIONS for status in statuses]
    assert sorted(map(str, placed)) == sorted(map(str, [*SEVERITY, None]))
    for outcome in OUTCOME_MEANINGS:
        assert f"| `{outcome}` | {OUTCOME_MEANINGS[outcome]} |" in pages["op-support.md"]


def test_operators_stand_in_the_section_of_their_worst_cell(pages):
    page = pages["op-support.md"]
    assert "| `aten.a.default` | pass 2/3, wrong_value 1 | float32 | iOS18 | ULP: 0.01 of 0.001 (x0.1) |" in section(
        page, "Wrong result"
    )
    assert "`aten.b.default`" in section(page, "Fails to convert, load or run")
    assert "`aten.c.default` | fallback 1" in section(page, "Left to ExecuTorch")
    assert "`aten.e.default` | pass 1" in section(page, "Delegated and right")
    assert "| `aten.d.default` | other | not\\_run: no kernel for MIL op x |" in section(page, "Not measured")


def test_problems_name_operators_and_signature(pages):
    page = pages["op-support.md"]
    refused = section(page, "Claimed by the partitioner, refused by conversion (`convert_error`)")
    assert "1 check of 1 operator." in refused
    assert "| `ValueError: cannot \\| open foo.py` | convert | fp16-ios18 reference | 1 | `aten.b.default` |" in refused
    assert "output 0 at \\[1\\]: got 3, expected 4" in section(page, "`wrong_value`")


def test_fallback_without_a_kernel(pages):
    text = section(pages["op-support.md"], "Operators left to ExecuTorch")
    assert "2 operators stayed outside" in text
    assert "| `aten.c.default` | 1 | **none: does not load** |" in text


def test_models(pages):
    models = section(pages["op-support.md"], "Models")
    assert "| `vit` | fp16-ios18 | reference | partial | 75.0 % of 4 | 61.5 | 0.01 | `aten.b.default` |" in models


def test_not_measured_is_said(pages):
    assert "**Not measured here: `cpu_only`, `cpu_and_gpu`, `cpu_and_ne`, `all`.**" in pages["op-support.md"]
    rows = list(csv.DictReader(io.StringIO(pages["op-support.csv"])))
    unmeasured = [row for row in rows if row["unit"] == "cpu_only"]
    assert {row["status"] for row in unmeasured} == {"not measured"}
    assert {row["name"] for row in unmeasured} == {A, B, C, "aten.d.default", "aten.e.default"}


def test_csv_counts(pages):
    rows = list(csv.DictReader(io.StringIO(pages["op-support.csv"])))
    (row,) = [r for r in rows if (r["kind"], r["name"], r["unit"]) == ("operator", A, "reference")]
    assert (row["status"], row["judged"], row["pass"], row["wrong_value"]) == ("wrong_value", "3", "2", "1")
    assert (row["tolerance_class"], row["limit"], row["worst"], row["headroom"]) == ("ULP", "0.001", "0.01", "0.1")


def test_two_environments_are_told_apart(record, evidence, environments):
    page = build_pages(
        build_matrix(evidence(record(A), record(A, "wrong_value", environment=environments["mac"]))), ["e"]
    )["op-support.md"]
    assert "Columns: fp16-ios18 reference (E1), fp16-ios18 reference (E2)." in page
    assert "| `aten.a.default` | pass 1 | wrong_value 1 |" in page


@pytest.fixture
def asked(record, environments):
    """A record of `cpu_and_ne` with the operator's placement."""

    def build(op, preferred, *supported, attracting=True, **fields):
        placement = {op: {"preferred": preferred, "supported": list(supported)}} if preferred else {}
        fields = {"unit": "cpu_and_ne", "environment": environments["mac"], "aten_placement": placement, **fields}
        return record(op, origin="ane" if attracting else "opinfo", **fields)

    return build


def test_ane_column_tells_supported_not_placed_unknown_and_not_asked(record, evidence, asked, environments):
    records = [
        asked(A, "ane", "cpu", "ane"),
        asked(B, "cpu", "cpu"),
        asked(C, ""),
        asked("aten.d.default", "ane", "ane", attracting=False),
        record("aten.e.default", unit="cpu_only", environment=environments["mac"]),
    ]
    page = build_pages(build_matrix(evidence(*records)), ["e"])["op-support.md"]
    assert "| operator | fp16-ios18 cpu_only | fp16-ios18 cpu_and_ne | ANE |" in page
    assert "| `aten.a.default` | not measured | pass 1 | supported 1 |" in page
    assert "| `aten.b.default` | not measured | pass 1 | supported 0/1, not placed 1 |" in page
    assert "| `aten.c.default` | not measured | pass 1 | unknown |" in page
    assert "| `aten.d.default` | not measured | pass 1 | supported 1 (ordinary cases) |" in page
    assert "| `aten.e.default` | pass 1 | not measured | not asked |" in page
    assert "| not asked | no check delegated it" in section(page, "How to read the ANE column")


def test_without_units_that_may_use_it_pages_do_not_speak_of_the_ane(record, evidence, environments):
    pages = build_pages(
        build_matrix(evidence(record(A), record(B, unit="cpu_only", environment=environments["mac"]))), ["e"]
    )
    for name in ("op-support.md", "op-support-api.md", "coreml-op-support.md", "coreml-op-support.csv"):
        assert "| ANE |" not in pages[name], name
        assert "ANE column" not in pages[name], name
        assert "Neural" not in pages[name], name


def test_two_environments_that_disagree_on_the_ane_are_told_apart(record, evidence, asked, environments):
    found = evidence(asked(A, "ane", "ane"), asked(A, "cpu", "cpu", environment="other"), asked(B, "ane", "ane"))
    found.environments["other"] = {**found.environments[environments["mac"]], "chip": "Apple M1"}
    page = build_pages(build_matrix(found), ["e"])["op-support.md"]
    assert "| supported 1 (E1); supported 0/1, not placed 1 (E2) |" in page
    assert "| `aten.b.default` | pass 1 | not measured | supported 1 |" in page


def test_a_virtual_machine_claims_nothing_of_the_ane(evidence, asked, environments):
    found = evidence(asked(A, "cpu", "cpu", "gpu", unit="all"), asked(B, "", outcome="not_run"))
    found.environments[environments["mac"]] = {"os": "macos 15.2", "devices": ["cpu", "gpu"]}
    pages = build_pages(build_matrix(found), ["e"])
    assert "| `aten.a.default` | pass 1 | no ANE |" in pages["op-support.md"]
    assert pages["coreml-op-support.csv"].splitlines()[1].endswith(",no ANE")
    rows = list(csv.DictReader(io.StringIO(pages["op-support.csv"])))
    assert [row["ane"] for row in rows if (row["name"], row["unit"]) == (A, "all")] == ["no ANE"]


def test_simulated_records_are_left_out_and_counted(record, evidence, environments):
    page = build_pages(build_matrix(evidence(record(A), record(B, environment=environments["simulated"]))), ["e"])[
        "op-support.md"
    ]
    assert "1 records of a simulated Core ML host" in page
    assert B not in page


def test_nothing_judged_still_gives_pages(record, evidence):
    page = build_pages(build_matrix(evidence(record(A, "not_run"))), ["e"])["op-support.md"]
    assert "None." in section(page, "Problems")
    assert "No model was measured." in section(page, "Models")
    assert str(Outcome.NOT_RUN) in section(page, "Summary")
