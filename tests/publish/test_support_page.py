import csv
import io
import re

import pytest

from harness.evidence.causes import Cause, Rule
from harness.evidence.vocabulary import OUTCOME_MEANINGS, Kind, Outcome
from harness.publish.model import build_matrix
from harness.publish.pages import build_pages
from harness.publish.support import CATEGORY_MEANINGS, Category, Fate
from harness.publish.wording import FATE_WORDS

A, B, C = "aten.a.default", "aten.b.default", "aten.c.default"


def section(page, heading):
    """The text under a heading, up to the next one."""
    return re.split(r"\n#+ ", page.split(f"# {heading}\n", 1)[1])[0]


@pytest.fixture
def page_of(evidence):
    def build(*records, causes=(), name="op-support.md"):
        return build_pages(build_matrix(evidence(*records)), ["e"], causes)[name]

    return build


def test_every_outcome_is_explained_where_the_pages_lead_to(pages):
    for outcome in OUTCOME_MEANINGS:
        assert f"| `{outcome}` | {OUTCOME_MEANINGS[outcome]} |" in pages["README.md"]
    assert "](README.md#outcomes)" in pages["op-support.md"]


def test_every_category_is_counted_and_explained(page_of, record):
    page = page_of(record(A), record(B, "convert_error"))
    assert "| [Works](#works) | 1 |" in page
    assert "| [Never lowers](#never-lowers) | 1 |" in page
    assert "| Always wrong | 0 |" in page
    assert all(f"| {CATEGORY_MEANINGS[category]} |" in page for category in Category)
    assert FATE_WORDS.keys() == set(Fate) - {Fate.WORKS}


def test_operators_stand_under_what_a_user_has_to_do(pages):
    page = pages["op-support.md"]
    assert "| `a` | **silently wrong**: some calls (1 tried) |" in section(page, str(Category.RIGHT_EXCEPT))
    assert "`b`" in section(page, str(Category.NEVER))
    assert "`c`" in section(page, str(Category.KERNELS))
    assert "From iOS18 on:\n\n`e`" in section(page, str(Category.WORKS))
    assert "- not\\_run: no kernel for MIL op x: `d`" in section(page, "Not measured")


def test_a_condition_leads_to_its_cause(page_of, record):
    tried = [record(A, call="a(float32[2])"), record(A, "convert_error", 1, call="a(int32[2])", cause="no-integers")]
    assert "| `a` | fails to lower: an input of integers | | [no-integers](findings.md#no-integers) |" in page_of(
        *tried
    )
    others = [record(B, call="b(float32[2])"), record(B, "convert_error", 1, call="b(int32[2])", cause="no-integers")]
    page = page_of(*tried, *others, record(C), record(C, "fallback", 1, cause="no-integers"))
    assert page.count(" [no-integers] |") == 2
    assert page.endswith("\n[no-integers]: findings.md#no-integers\n")


def test_an_outcome_turned_changes_the_page(page_of, record):
    calls = ["a(float32[2])", "a(float32[2], flag=True)", "a(float32[2], flag=False)"]
    right = [record(A, sample=n, call=call) for n, call in enumerate(calls)]
    assert "`a`" in section(page_of(*right), str(Category.WORKS))
    for number, flag in ((1, True), (2, False)):
        turned = [*right]
        turned[number] = record(A, "wrong_value", number, call=calls[number])
        page = page_of(*turned)
        assert f"# {Category.WORKS}\n" not in page
        assert f"| `a` | **silently wrong**: `flag={flag}` |" in section(page, str(Category.RIGHT_EXCEPT))


def test_operators_of_which_the_same_is_told_share_a_row_and_add_up_their_calls(page_of, record):
    def tried(name, *made):
        calls = [record(name, outcome, n, origin="extracted") for n, outcome in enumerate(made)]
        wrong = record(name, "wrong_value", 8, call=f"{name.split('.')[1]}(float32[2], flag=True)")
        return [record(name, sample=9, call=f"{name.split('.')[1]}(float32[2])"), wrong, *calls]

    told = "**silently wrong**: `flag=True`"
    page = page_of(*tried(A, "pass"), *tried(B, "pass", "pass"))
    assert f"| `a`, `b` | {told} | all 3 work | |" in page
    page = page_of(*tried(A, "pass"), *tried(B, "pass", "fallback"))
    assert f"| `a` | {told} | all 1 work | |" in page, "which operator's call fails must be told"
    assert re.search(r"^\| `b` \| .* \| 1 of 2 do not \| \|$", page, re.MULTILINE)


def test_a_known_defect_that_nothing_shows_is_a_condition(page_of, record):
    rules = (Rule(frozenset({Outcome.WRONG_VALUE}), operators=("aten.a.*",)),)
    fields = {"sees": "x", "explanation": "y", "source": "z", "condition": "an input of 0", "operators": ("aten.a.*",)}
    cause = Cause("of-zero", "Zero", "converter", matches=rules, **fields)
    page = page_of(record(A), record(B), causes=[cause])
    assert "| `a` | **silently wrong** (known): an input of 0 | | [of-zero](findings.md#of-zero) |" in page
    assert "`b`" in section(page, str(Category.WORKS))
    seen = page_of(record(A), record(B, "wrong_value", cause="of-zero"), causes=[cause])
    assert "(known): " not in seen, "where a check shows it the checks say of which calls"


def test_what_never_works_stands_with_its_remedy_once(page_of, record):
    cause = Cause(
        "not-there", "It is not there", "converter", sees="x", explanation="y", source="z", remedy="Avoid it."
    )
    records = [record(name, "convert_error", cause="not-there") for name in (A, B)]
    text = section(page_of(*records, causes=[cause]), str(Category.NEVER))
    assert "**[not-there](findings.md#not-there)**: Avoid it.\n\n`a`, `b`" in text


def test_general_limits_stand_at_the_head_and_nowhere_else(page_of, record):
    cause = Cause(
        *("odd-layout", "Odd layouts", "converter"),
        sees="x",
        explanation="y",
        source="z",
        scope="general",
        condition="an odd layout",
        remedy="Make it even.",
    )
    records = [
        record(A),
        record(A, "wrong_value", 1, cause="odd-layout"),
        record(B, "convert_error", cause="odd-layout"),
    ]
    page = page_of(*records, causes=[cause])
    limits = section(page, "General limits")
    assert "| an odd layout | Make it even. | 2 | [odd-layout](findings.md#odd-layout) |" in limits
    assert "`a`" in section(page, str(Category.WORKS))
    assert "`b`" in section(page, str(Category.LIMITED))
    assert f"# {Category.RIGHT_EXCEPT}\n" not in page


def test_what_an_operator_becomes_is_shown(page_of, record):
    became = {"delegated": {B: 1}}
    assert "`a`" in section(page_of(record(A, **became)), str(Category.WORKS))
    page = page_of(record(A, **became), record(A, "wrong_value", 1, **became))
    assert "| `a` (as `b`) |" in section(page, str(Category.RIGHT_EXCEPT))


def test_by_function_what_becomes_of_the_whole_program_counts(record, page_of):
    records = [record(A, api="torch.f"), record(A, "wrong_value", 1, api="torch.f"), record(B, api="torch.g")]
    page = page_of(*records, name="op-support-api.md")
    assert "| `torch.f` (as `a`) | **silently wrong**: " in section(page, str(Category.RIGHT_EXCEPT))
    assert "`torch.g`" in section(page, str(Category.WORKS))


def test_fallback_without_a_kernel(pages):
    text = section(pages["op-support.md"], "Left to ExecuTorch")
    assert "2 operators stayed outside" in text
    assert "Without a kernel, so that a program with one does not load: `c`." in text
    assert "The others have one: [op-support.csv]" in text


def test_models_come_first(pages, page_of, record):
    assert "0 of 1 model are delegated wholly and right." in section(pages["op-support.md"], "In short")
    model = {"kind": Kind.MODEL, "case": "models/m/float32", "op": "model.m", "api": "", "delegated": {A: 2}}
    whole = record("model.m").with_(**model)
    lines = section(page_of(whole, record(A), record(A, "wrong_value", 1)), "In short").strip().splitlines()
    assert lines[0] == "1 of 1 model are delegated wholly and right."
    assert lines[1] == "1 of 1 operator work, 1 of them under conditions."
    assert lines[2] == "Of 1 that models contain, every call that models make works for 1."


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
    works = section(page, str(Category.WORKS))
    assert "| operator | ANE |" in works
    assert "| `a` | supported 1 |" in works
    assert "| `b` | supported 0/1, not placed 1 |" in works
    assert "| `c` | unknown |" in works
    assert "| `d` | supported 1 (ordinary cases) |" in works
    assert "| `e` | not asked |" in works
    assert "| not asked | no check delegated it" in section(page, "Operators")
    page = build_pages(build_matrix(evidence(*records, record(A, "wrong_value", 1))), ["e"])["op-support.md"]
    assert "| operator | does not work when | calls of models | because of | ANE |" in page
    assert re.search(r"^\| `a` \| \*\*silently wrong\*\*: .* \| supported 1 \|$", page, re.MULTILINE)


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
    assert "| `a` | supported 1 (E1); supported 0/1, not placed 1 (E2) |" in page
    assert "| `b` | supported 1 |" in page


def test_a_virtual_machine_claims_nothing_of_the_ane(evidence, asked, environments):
    found = evidence(asked(A, "cpu", "cpu", "gpu", unit="all"), asked(B, "", outcome="not_run"))
    found.environments[environments["mac"]] = {"os": "macos 15.2", "devices": ["cpu", "gpu"]}
    pages = build_pages(build_matrix(found), ["e"])
    assert "| `a` | no ANE |" in pages["op-support.md"]
    assert pages["coreml-op-support.csv"].splitlines()[1].endswith(",no ANE")
    rows = list(csv.DictReader(io.StringIO(pages["op-support.csv"])))
    assert [row["ane"] for row in rows if (row["name"], row["unit"]) == (A, "all")] == ["no ANE"]


def test_simulated_records_are_left_out_and_counted(record, evidence, environments):
    page = build_pages(build_matrix(evidence(record(A), record(B, environment=environments["simulated"]))), ["e"])[
        "op-support.md"
    ]
    assert "1 records of a simulated Core ML host" in page
    assert "`b`" not in page


def test_two_environments_are_told_apart(record, page_of, environments):
    mac = {"environment": environments["mac"]}
    page = page_of(record(A), record(A, "wrong_value", **mac))
    assert "Measured: fp16-ios18 reference (E1), fp16-ios18 reference (E2)." in page
    assert "`a`" in section(page, str(Category.RIGHT_EXCEPT))


def test_nothing_judged_still_gives_pages(record, evidence):
    pages = build_pages(build_matrix(evidence(record(A, "not_run"))), ["e"])
    assert "0 of 0 operators work" in section(pages["op-support.md"], "In short")
    assert "None was met." in section(pages["op-support.md"], "General limits")
    assert "No operator was left outside a delegate." in section(pages["op-support.md"], "Left to ExecuTorch")
    assert "No function was measured." in pages["op-support-api.md"]
    assert "| not_run | 1 | 1 |" in section(pages["README.md"], "Outcomes")
