import re

import pytest

from harness.evidence.causes import Cause, Rule
from harness.evidence.division import Division, Island
from harness.evidence.files import write_evidence
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import Numerics
from harness.evidence.remedy import Remedy
from harness.evidence.vocabulary import Kind, Outcome
from harness.publish.docs import check_docs, write_docs
from harness.publish.model import build_matrix
from harness.publish.models_page import PAGE, labels, models_of
from harness.publish.pages import build_pages

A, B = "aten.a.default", "aten.b.default"
FP16, FP32, INT4 = "fp16-ios18", "fp32-ios18", "fp16-ios18-torchao_int4_group32"
INT8, CODEBOOK = "fp16-ios18-torchao_int8_channel", "fp16-ios18-codebook4"
SLUG = "some-cause"
CAUSE = Cause(
    SLUG,
    "b is | never delegated",
    "partitioner",
    sees="slow",
    explanation="because",
    source="x",
    matches=(Rule(frozenset({Outcome.PARTIAL}), error=re.compile("x")),),
    condition="alpha other than 1",
    remedy="Write it out.",
)


@pytest.fixture
def model(record):
    def build(name, outcome="pass", recipe=FP16, family="vision", **fields):
        about = {"case": f"models/{name}/float32/seed-0", "recipe": recipe, "kind": Kind.MODEL, "family": family}
        return record(f"model.{name}", outcome, api=f"package.{name}", **{**about, **fields})

    return build


@pytest.fixture
def divided(model):
    """Half of its FLOPs and three of its four nodes are delegated, two islands are alike."""
    return model(
        "vit",
        "partial",
        cause=SLUG,
        delegated={A: 3},
        fallback={B: 1},
        division=Division(3, (Island({B: 1}, 2),), 4000, 2000),
        numerics=Numerics("COMPOSED", 4.0, 2.0, 2.0, sqnr_db=61.25, top1=0.75, tied=0.25, top5=0.975),
        size=2_500_000,
        lowering_s=3.0,
    )


@pytest.fixture
def page(evidence):
    def build(*records, causes=(CAUSE,)):
        return build_pages(build_matrix(evidence(*records)), ["evidence/a.jsonl"], causes)[PAGE]

    return build


def section(page, heading):
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(text):
    """The cells of a section's table by their headers, by the first cell."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}


def test_a_row_has_an_outcome_by_recipe_and_all_numbers(divided, model, page):
    text = page(divided, model("vit", recipe=FP32, lowering_s=9.0), model("vit", recipe=INT4, size=800_000))
    row = rows(section(text, "Vision"))["[vit](#vit)"]
    assert row == {
        "model": "[vit](#vit)",
        "fp16": "**partial**",
        "fp32": "pass",
        "int4": "pass",
        "within bound": "x2",
        "SQNR dB": "61.2",
        "top-1, top-5 %": "75 +25 tied, 97.5",
        "delegates": "3",
        "islands": "2",
        "nodes %": "75",
        "FLOPs %": "50",
        "MB fp16": "2.5",
        "MB int4": "0.8",
        "lowering s": "9",
    }


def test_models_stand_by_family_and_the_recipes_in_order(model, page):
    recipes = (INT4, CODEBOOK, FP32, INT8, "default", FP16)
    records = [model("resnet", recipe=recipe) for recipe in recipes] + [model("bert", family="language")]
    text = page(*records)
    assert re.findall(r"\n## (Vision|Language)\n", text) == ["Language", "Vision"]
    headers = list(rows(section(text, "Vision"))["`resnet`"])
    assert headers[:7] == ["model", "default", "fp16", "fp32", "int8", "int4", "codebook4"]


def test_the_headline_counts_models_in_fp16(model, page):
    records = [model("a"), model("b"), model("c", "partial"), model("d", "convert_error"), model("e", "wrong_value")]
    records += [model("a", "wrong_value", recipe=FP32)]
    text = page(*records)
    assert "2 of 5 models pass, delegated wholly and within bounds; 1 partly; 1 fail; 1 wrong.**" in text
    counts = rows(text.split("Measured with")[1].split("\n## ")[0])
    assert counts["fp16"] == {
        "recipe": "fp16",
        "models": "5",
        "pass": "2",
        "partly": "1",
        "left to ExecuTorch": "",
        "refused": "",
        "fail": "1",
        "wrong": "1",
        "not judged": "",
    }
    assert (counts["fp32"]["models"], counts["fp32"]["wrong"]) == ("1", "1")


def test_what_does_not_pass_is_told_with_cause_islands_and_way_around(divided, page):
    remedy = Remedy(outcome=Outcome.PASS, rewrite="float_inputs", delegated=4, tries=2)
    text = section(page(divided.with_(remedy=remedy)), "What does not pass")
    told = " ".join(text.split())
    for part in (
        "### vit",
        "fp16: **partial**, [some-cause](findings.md#some-cause): b is \\| never delegated",
        "when: alpha other than 1",
        "2 islands left to ExecuTorch: `aten.b.default` in 2",
        "way around, verified: turn the integers into floats",
        "it comes to pass: 4 of 4 operators delegated",
        "what to do: Write it out.",
    ):
        assert part in told


def test_recipes_that_fail_alike_are_told_once(model, page):
    fails = [model("vit", "convert_error", recipe, signature="no such thing") for recipe in (FP16, FP32)]
    text = section(page(*fails, model("vit", "wrong_value", INT4, reason="got 3")), "What does not pass")
    assert text.count("fp16, fp32: **convert_error**, no cause is described yet: ValueError: no such thing") == 1
    assert "int4: **wrong_value**, no cause is described yet: got 3" in text
    assert text.index("wrong_value") < text.index("convert_error")
    assert text.count("- no way around is known") == 2


def test_that_nothing_helps_is_said(model, page):
    hopeless = model("vit", "convert_error", signature="x", remedy=Remedy(tries=30, reason="30 lowerings tried"))
    assert "way around: none found: 30 lowerings tried" in page(hopeless)


def test_causes_are_listed_by_the_models_they_strike(model, page):
    other = Cause("other", "t", "converter", "s", "e", "x", matches=CAUSE.matches)
    records = [model("a", "partial", cause="other"), model("b", "partial", cause=SLUG)]
    text = section(page(*records, model("c", "partial", cause=SLUG), causes=(CAUSE, other)), "Causes")
    found = rows(text)
    assert list(found) == ["[some-cause](findings.md#some-cause)", "[other](findings.md#other)"]
    assert found["[some-cause](findings.md#some-cause)"]["which"] == "`b`, `c`"
    assert found["[some-cause](findings.md#some-cause)"]["when"] == "alpha other than 1"


def test_of_several_units_the_worst_counts(model, environments):
    bad = model("vit", "wrong_value", unit="cpu_only", environment=environments["mac"])
    for records in ([model("vit"), bad], [bad, model("vit")]):
        (row,) = models_of(records)
        assert row.records[FP16] is bad


def test_a_model_that_passes_is_not_told_below(model, page):
    text = page(model("vit"))
    assert "`vit`" in section(text, "Vision")
    assert "## What does not pass" not in text
    assert "## Causes" not in text


def test_two_recipes_of_one_short_name_keep_their_whole_names():
    assert labels([FP16, "fp16-ios17", INT8]) == {FP16: FP16, "fp16-ios17": "fp16-ios17", INT8: "int8"}


def test_a_recipe_of_few_models_has_no_column(model, page):
    records = [model(f"m{n}") for n in range(9)] + [model("m1", "partial", "fp16-ios18+unchecked")]
    row = rows(section(page(*records), "Vision"))["[m1](#m1)"]
    assert row["other recipes"] == "fp16+unchecked: partial"


def test_lines_can_be_read(divided, model, page):
    long = Remedy(outcome=Outcome.PARTIAL, skip=tuple(f"aten.some_operator_{n}.default" for n in range(40)), tries=1)
    text = page(divided.with_(remedy=long), model("x", "convert_error", signature="long " * 300))
    assert max(map(len, text.splitlines())) < 400


def test_without_models_there_is_nothing_to_show(record, page):
    assert "No model was measured" in page(record())


def test_a_page_that_says_otherwise_than_the_records_is_caught(tmp_path, divided, evidence):
    """Planted: a headline that promises more."""
    write_evidence(tmp_path / "reports" / "evidence" / "linux.jsonl", evidence(divided))
    write_docs(tmp_path / "reports")
    path = tmp_path / "reports" / PAGE
    text = path.read_text()
    assert check_docs(tmp_path / "reports") == []
    path.write_text(text.replace("0 of 1 model pass", "1 of 1 model pass"))
    (stale,) = check_docs(tmp_path / "reports")
    assert stale.name == PAGE
    path.write_text(text.replace("| 50 |", "| 100 |"))
    assert [stale.name for stale in check_docs(tmp_path / "reports")] == [PAGE]


def test_the_operator_that_is_to_blame_is_named(model, page):
    notes = [Note(NoteCode.OPERATOR, B), Note(NoteCode.OPERATOR, B)]
    text = page(model("vit", "convert_error", cause=SLUG, notes=notes))
    assert "\n  - at: `aten.b.default`\n  - when: alpha other than 1\n" in text
    assert "- at:" not in page(model("vit", "convert_error", cause=SLUG))
