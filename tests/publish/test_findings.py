import re

import pytest

from harness.evidence.causes import Cause, Rule
from harness.evidence.usage import Usage
from harness.evidence.vocabulary import Kind, Outcome
from harness.publish.findings import (
    HEADINGS,
    HELD_BACK,
    LIMITATIONS,
    NO_JUDGEMENT,
    PAGE,
    PRECISION,
    cause_links,
    find_findings,
)
from harness.publish.model import build_matrix
from harness.publish.pages import build_pages

A, B, C = "aten.a.default", "aten.b.default", "aten.c.default"


def cause(slug, stage="converter", outcome="convert_error", **fields):
    rule = Rule(frozenset({Outcome(outcome)}), error=re.compile("x"))
    values = {"sees": f"sees {slug}", "explanation": f"why {slug}", "source": "ops.py f", "script": "own"}
    return Cause(slug, f"title of {slug}", stage, matches=(rule,), **(values | fields))


@pytest.fixture
def page(evidence):
    def build(causes, *records):
        return build_pages(build_matrix(evidence(*records)), ["evidence/a.jsonl"], causes)[PAGE]

    return build


def section(page, heading):
    """The text below a heading of the second level."""
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    ("outcome", "heading"),
    [
        ("wrong_value", "Silently wrong"),
        ("wrong_shape", "Silently wrong"),
        ("wrong_dtype", "Silently wrong"),
        ("invalid_program", "Invalid program"),
        ("convert_error", "Fails to lower, load or run"),
        ("emit_error", "Fails to lower, load or run"),
        ("crash", "Fails to lower, load or run"),
        ("out_of_range", "Out of range"),
        ("unsupported", "Refused or left out by a defect"),
        ("fallback", "Refused or left out by a defect"),
    ],
)
def test_a_cause_stands_under_the_worst_it_does(record, page, outcome, heading):
    text = page([cause("a", outcome=outcome)], record(A, outcome, cause="a"))
    assert "### title of a" in section(text, heading)
    assert text.count("### title of a") == 1


def test_every_outcome_that_can_have_a_cause_has_a_section(record):
    for outcome in set(Outcome) - {Outcome.PASS, Outcome.NOT_RUN}:
        (finding,) = find_findings([record(A, outcome, cause="a")], [cause("a", outcome=outcome)])
        assert finding.heading in (*HEADINGS, NO_JUDGEMENT)


def test_the_worst_outcome_decides(record):
    records = [record(A, "convert_error", cause="a"), record(A, "wrong_value", 1, cause="a")]
    (finding,) = find_findings(records, [cause("a")])
    assert (finding.heading, finding.worst) == ("Silently wrong", Outcome.WRONG_VALUE)


@pytest.mark.parametrize(("stage", "heading"), [("precision", PRECISION), ("limitation", LIMITATIONS)])
def test_some_stages_have_a_section_of_their_own(record, stage, heading):
    (finding,) = find_findings([record(A, "wrong_value", cause="a")], [cause("a", stage)])
    assert finding.heading == heading


def test_a_finding_says_all_that_is_known_of_its_cause(record, page):
    told = {"condition": "alpha other than 1", "remedy": "Write it out."}
    described = cause("a", "mil_pass", url="https://example.org/7", state="merged", **told)
    records = [record(B, "convert_error", 10, cause="a"), record(A, "convert_error", cause="a", recipe="fp32-ios18")]
    text = section(page([described], *records), "Fails to lower, load or run")
    for part in (
        '<a id="a"></a>',
        "sees a",
        "why a",
        "| stage | mil pass |",
        "| explained by | `ops.py f` |",
        "**When**: alpha other than 1.",
        "**What to do**: Write it out.",
        "| upstream | <https://example.org/7>, merged |",
        "| checks | 2 convert_error |",
        "| operators | `aten.a.default`, `aten.b.default` |",
        "| recipes | fp16-ios18, fp32-ios18 |",
        "| for example | `ops/aten.a.default/float32/opinfo-0@fp32-ios18@reference` |",
        "| shown by | [`python reports/findings/a.py`](findings/a.py) |",
    ):
        assert part in text


def test_a_script_for_macos_says_so(record, page):
    text = page([cause("a", script="own-mac")], record(A, "wrong_value", cause="a"))
    assert "`python reports/findings/a.py`](findings/a.py) (on macOS" in text


def test_the_head_counts_causes_and_checks(record, page):
    causes = [cause("a"), cause("b", outcome="wrong_value"), cause("c", "limitation", script="")]
    records = [record(A, "convert_error", n, cause="a") for n in range(3)]
    records += [record(B, "wrong_value", cause="b"), record(C, "unsupported", cause="c"), record(C, "crash", 1)]
    text = page(causes, *records)
    for row in (
        "| [Silently wrong](#silently-wrong) | 1 | 1 |",
        "| [Fails to lower, load or run](#fails-to-lower-load-or-run) | 1 | 3 |",
        "| [Limitations](#limitations) | 1 | 1 |",
        "| all causes | 3 | 5 |",
        "| [Untriaged](#untriaged) | | 1 |",
    ):
        assert row in text


def test_sections_stand_by_severity_and_causes_by_checks(record, page):
    causes = [cause("few"), cause("many"), cause("wrong", outcome="wrong_value")]
    records = [record(A, "convert_error", n, cause="many") for n in range(2)]
    text = page(causes, *records, record(B, "convert_error", cause="few"), record(C, "wrong_value", cause="wrong"))
    places = [text.index(f"### title of {slug}") for slug in ("wrong", "many", "few")]
    assert places == sorted(places)


def test_limitations_are_one_table(record, page):
    limit = cause("a", "limitation", script="", sees="refused | always", remedy="Leave it out.")
    text = page([limit], record(A, "unsupported", cause="a"))
    row = r'| <a id="a"></a>title of a | refused \| always | why a | Leave it out. | `aten.a.default` | 1 |'
    assert row in section(text, "Limitations")


def test_faults_of_cases_are_no_findings(record, page):
    described = cause("a", "limitation", "invalid_case", script="")
    text = page([described], record(A, "invalid_case", cause="a"))
    assert "| why a | | `aten.a.default` | 1 |" in section(text, NO_JUDGEMENT)
    assert "| [Cases that judge nothing](#cases-that-judge-nothing) | 1 | 1 |" in text
    assert f"\n## {LIMITATIONS}" not in text


def test_what_no_cause_explains_is_said_plainly(record, page):
    records = [record(A, "convert_error", signature="odd"), record(B, "convert_error", signature="odd")]
    text = section(page([cause("a")], *records), "Untriaged")
    assert "### `convert_error`: 2 checks in 1 group" in text
    assert "| ValueError: odd | convert | 2 | `aten.a.default`, `aten.b.default` |" in text


def test_with_everything_explained_nothing_is_untriaged(record, page):
    assert "None: every failing check has its cause." in page([cause("a")], record(A, "convert_error", cause="a"))


def test_a_cause_no_check_shows_is_written_up_as_such(record, page):
    seen_by_script = Cause("c", "title of c", "converter", "sees c", "why c", "source c", script="own", seen="script")
    text = page([cause("a"), cause("b", "limitation", script=""), seen_by_script], record(A))
    unseen = section(text, "Not seen in this evidence")
    assert "- [title of a](#a): convert_error, in no check of this evidence\n" in unseen
    assert "- [title of c](#c): its script alone shows it\n" in unseen
    assert "### title of a" in unseen
    assert "sees a\n\nwhy a" in unseen
    assert "| shown by | [`python reports/findings/a.py`]" in unseen
    assert "### title of b" in unseen
    assert text.count("### title of a") == 1


def test_what_works_and_what_judges_nothing_is_counted_apart(record, page):
    text = page([], record(A, "fallback"), record(B, "partial"), record(C, "not_run"), record(C, "invalid_case", 1))
    assert "2 checks gave the right result with part or all of the program left to ExecuTorch" in text
    assert "2 checks of no described cause judge nothing" in text
    assert "| [Untriaged](#untriaged) | | 0 |" in text


def test_a_simulated_host_shows_nothing(record, page, environments):
    text = page([cause("a")], record(A, "convert_error", cause="a", environment=environments["simulated"]))
    assert "convert_error, in no check of this evidence" in text


def test_the_page_depends_on_no_order(record, page):
    causes = [cause("b"), cause("a", outcome="wrong_value")]
    records = [record(op, "convert_error", n, cause="b") for op in (A, B) for n in (1, 10, 2)]
    records.append(record(C, "wrong_value", cause="a"))
    assert page(causes, *records) == page(causes[::-1], *records[::-1])


def test_links_lead_to_the_page_and_the_rest_is_untriaged():
    assert cause_links(["", "a"]) == "untriaged, [a](findings.md#a)"


def test_the_support_page_leads_from_a_problem_to_its_cause(record, evidence):
    records = [record(A, "convert_error", signature="odd", cause="a-b"), record(B), record(B, "wrong_value", 1)]
    causes = [cause("a-b", remedy="what to do")]
    page = build_pages(build_matrix(evidence(*records)), ["evidence/a.jsonl"], causes)["op-support.md"]
    assert "**[a-b](findings.md#a-b)**: what to do\n\n`a`" in page
    (line,) = [line for line in page.splitlines() if line.startswith("| `b` |")]
    assert "findings.md" not in line


def test_what_only_a_switched_off_rule_shows_harms_no_user(record, page):
    causes = [cause("a", outcome="wrong_value")]
    off = record(A, "wrong_value", cause="a").with_(
        kind=Kind.PARTITIONER, case=f"partitioner/{A}/float32/rejects-a-off-0"
    )
    assert "### title of a" in section(page(causes, off), HELD_BACK)
    both = page(causes, off, record(B, "wrong_value", 1, cause="a"))
    assert "### title of a" in section(both, "Silently wrong")
    on = off.with_(case=f"partitioner/{A}/float32/skips-a-on-0")
    assert "### title of a" in section(page(causes, on), "Silently wrong")


def test_what_strikes_models_stands_first_and_says_which(record, page):
    records = [record(A, "convert_error", n, cause="a") for n in range(9)]
    records += [record(B, "convert_error", n, cause="c", usage=Usage(("vit",), 5)) for n in range(2)]
    for name in ("vit", "bert"):
        records.append(record(f"model.{name}", "convert_error", case=f"models/{name}/f/s", kind=Kind.MODEL, cause="b"))
    records.append(record("model.gpt2", case="models/gpt2/f/s", kind=Kind.MODEL))
    text = page([cause("a"), cause("b"), cause("c")], *records)
    headings = re.findall(r"### title of (\w)", text)
    assert headings == ["b", "c", "a"]
    assert "| strikes | 2 of 3 models (`bert`, `vit`) |" in text
    assert "| strikes | no model, 10 extracted calls (also of `vit`) |" in text
    assert "| strikes | no model |" in text
    first = section(text, "What to mend first").strip().splitlines()[2:]
    assert first[2:] == [
        "| [title of b](#b) | fails to lower, load or run | 2 of 3 | `bert`, `vit` | |",
        "| [title of c](#c) | fails to lower, load or run | 0 of 3 | | 10 |",
    ]


def test_without_models_nothing_is_said_of_them(record, page):
    text = page([cause("a")], record(A, "convert_error", cause="a"))
    assert "| strikes |" not in text
    assert "## What to mend first" not in text
