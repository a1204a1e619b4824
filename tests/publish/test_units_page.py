import pytest

from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import Numerics
from harness.evidence.vocabulary import Outcome
from harness.publish.model import build_matrix
from harness.publish.pages import build_pages
from harness.publish.units_page import HEADERS, PAGE, beside, beside_text, side_by_side

GELU, TOPK = "aten.gelu.default", "aten.topk.default"


def told(outcome="pass", **fields):
    return {"outcome": outcome, **({"equal": True} if not fields else {"equal": False, **fields})}


@pytest.fixture
def on(record, environments):
    """A record of a unit of Core ML, from a Mac."""

    def make(unit, op=GELU, outcome="pass", *, at="mac", **fields):
        return record(op, outcome, unit=unit, environment=environments[at], **fields)

    return make


def page(built):
    return build_pages(build_matrix(built), ["evidence/e.jsonl"])[PAGE]


def rows_of(text, heading):
    """The cells of the table under a heading, its head first."""
    lines = iter(text.split(f"## {heading}\n")[1].splitlines())
    table = []
    for line in lines:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
        elif table:
            break
    return [table[0], *table[2:]] if table else []


# One check.


def test_one_check_on_every_unit(on, record, evidence, environments):
    far = Numerics("ULP", limit=1e-3, worst=2e-3, headroom=0.5, at="0[3]")
    records = [
        on(
            "all",
            outcome="wrong_value",
            numerics=far,
            stage="runtime",
            against_reference=told(max_abs=2e-3, max_ulp=4.0),
        ),
        on("cpu_only", headroom=4.0, against_reference=told()),
        on(
            "cpu_and_ne",
            outcome="out_of_range",
            stage="runtime",
            against_reference=told(differs="output 0[1]: nan against 1.0"),
        ),
        on("cpu_and_gpu", outcome="not_run", reason="no GPU"),
        record(GELU, environment=environments["mac"], headroom=2.0),
        record(GELU, recipe="fp32-ios18"),
        record(TOPK),
    ]
    built = evidence(*records)
    alike = beside(built, records[0])
    assert [r.unit for r in alike] == ["reference", "cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"]
    table = {row[0]: dict(zip(HEADERS, row, strict=True)) for row in side_by_side(alike, built.environments)}
    assert list(table) == ["eager", "reference", "cpu_only", "cpu_and_gpu", "cpu_and_ne", "all"]
    assert table["eager"]["outcome"] == "the truth, in float64"
    assert table["reference"]["headroom"] == "x2"
    assert table["all"] == {
        "": "all",
        "outcome": "wrong_value",
        "error": "0.002",
        "bound": "0.001",
        "headroom": "x0.5",
        "at": "0[3]",
        "from the reference": "0.002, 4 ulp",
        "stage": "runtime",
    }
    assert table["cpu_only"]["from the reference"] == "equal"
    assert table["cpu_and_ne"]["from the reference"] == "output 0[1]: nan against 1.0"
    assert table["cpu_and_gpu"]["outcome"] == "not_run"


def test_a_reference_that_was_asked_in_the_same_check_alone_is_shown(on, evidence):
    record = on("cpu_only", outcome="wrong_value", stage="lowering", against_reference=told("wrong_value"))
    rows = side_by_side([record], evidence(record).environments)
    assert [row[:2] for row in rows][1:] == [
        ("reference (in the same check)", "wrong_value"),
        ("cpu_only", "wrong_value"),
    ]


def test_two_environments_and_a_simulated_one_are_told_apart(on, evidence):
    records = [on("cpu_only"), on("cpu_only", at="simulated")]
    built = evidence(*records)
    names = [row[0] for row in side_by_side(beside(built, records[0]), built.environments)]
    assert names == ["eager", "cpu_only (macos 15.2, Apple M4)", "cpu_only (SIMULATED, macos 15.2)"]
    alone = side_by_side([records[1]], built.environments)
    assert alone[1][0] == "cpu_only (SIMULATED, macos 15.2)"


def test_a_whole_model_has_its_signal_to_noise(record, evidence):
    model = record(GELU, numerics=Numerics("SQNR", max_abs=0.25, sqnr_db=51.25))
    assert side_by_side([model], {})[1][2:6] == ("0.25", "", "51.2 dB", "")


def test_what_eager_is_stands_in_the_first_row(record):
    invalid = record(GELU, "invalid_case", reason="eager fails: no")
    assert side_by_side([invalid], {})[0][1] == "judges nothing: eager fails: no"
    rounded = record(GELU, notes=[Note(NoteCode.TRUTH, "truth is eager in float32")])
    assert side_by_side([rounded], {})[0][1] == "the truth, eager in float32"


def test_where_nothing_ran_there_is_no_table(record, evidence):
    nothing = record(GELU, "not_run", unit="all")
    assert beside_text(evidence(nothing), nothing) == ""
    assert "reference" in beside_text(evidence(record(GELU)), record(GELU))


# The page.


def test_without_hardware_the_page_says_so_plainly(record, evidence):
    text = page(
        evidence(
            record(GELU), record(GELU, "fallback", sample=1, unit="executorch"), record(GELU, "not_run", unit="all")
        )
    )
    assert "**No hardware was measured.**" in text
    assert "`cpu_only`, `cpu_and_gpu`, `cpu_and_ne`, `all`" in text
    assert "Nothing to compare." in text


def test_a_simulated_host_is_no_hardware(on, record, evidence):
    text = page(evidence(record(GELU), on("all", outcome="wrong_value", stage="runtime", at="simulated")))
    assert "**No hardware was measured.**" in text
    assert "Nothing to compare." in text


def test_units_that_disagree_stand_with_their_stage(on, record, evidence, environments):
    wrong = {"stage": "runtime", "signature": "wrong_value", "against_reference": told(max_abs=1.0, max_ulp=9.0)}
    records = [
        *(record(GELU, sample=n, environment=environments["mac"]) for n in range(3)),
        *(on("cpu_only", sample=n, against_reference=told()) for n in range(3)),
        on("cpu_and_ne", sample=0, against_reference=told(max_abs=1e-3, max_ulp=0.5)),
        on("cpu_and_ne", outcome="wrong_value", sample=1, reason="off by 1", **wrong),
        on("cpu_and_ne", outcome="wrong_value", sample=2, reason="off by 1", **wrong),
        # Both wrong: they agree.
        record(TOPK, "wrong_value", signature="wrong_value", environment=environments["mac"]),
        on(
            "cpu_only",
            TOPK,
            "wrong_value",
            signature="wrong_value",
            stage="lowering",
            against_reference=told("wrong_value"),
        ),
    ]
    text = page(evidence(*records))
    assert "No hardware" not in text
    assert "Not measured: `cpu_and_gpu`, `all`." in text
    head, row = rows_of(text, "Where units disagree")
    assert head[:6] == ["operator", "recipe", "reference", "cpu_only", "cpu_and_ne", "stage"]
    assert row[:7] == [f"`{GELU}`", "fp16-ios18", "pass", "pass", "wrong_value", "cpu_and_ne: runtime", "2"]
    assert row[8] == "off by 1"
    summary = {row[0]: row for row in rows_of(text.replace("| unit |", "## T\n| unit |"), "T")[1:]}
    assert summary["cpu_only"][2:] == ["4", "4", "4 of 4", "0", "1", "0", "0"]
    assert summary["cpu_and_ne"][2:] == ["3", "1", "0 of 3", "2", "0", "0", "0"]
    assert rows_of(text, "How far from the reference")[1:] == [[f"`{GELU}`", "fp16-ios18", "", "9 ulp in 3"]]


def test_a_unit_right_where_the_reference_is_wrong_disagrees_too(on, evidence):
    text = page(evidence(on("cpu_only", against_reference=told("out_of_range", max_abs=1.0, max_ulp=2.0))))
    _, row = rows_of(text, "Where units disagree")
    assert row[2] == "pass"


def test_the_reference_of_another_machine_will_do(on, record, evidence):
    text = page(evidence(record(GELU, "wrong_value", signature="wrong_value"), on("cpu_only")))
    head, row = rows_of(text, "Where units disagree")
    assert dict(zip(head, row, strict=True))["reference"] == "wrong_value"


def test_equal_evidence_gives_equal_pages(on, record, evidence):
    records = [record(GELU), on("cpu_only", outcome="wrong_value", stage="runtime"), on("all"), record(TOPK)]
    assert page(evidence(*records)) == page(evidence(*reversed(records)))


@pytest.mark.parametrize("outcome", sorted(Outcome))
def test_every_outcome_has_a_page(on, record, evidence, outcome):
    assert page(evidence(record(GELU), on("cpu_only", outcome=outcome, reason="why"))).startswith("<!--")
