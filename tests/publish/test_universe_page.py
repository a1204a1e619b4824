import csv
import io

import pytest

from harness.evidence.record import Numerics
from harness.evidence.universe import LEFT_OUT, Operator, Universe
from harness.publish.model import build_matrix
from harness.publish.pages import build_pages
from harness.publish.support import Category
from harness.publish.universe_page import silent_operators, silent_sections, universe_context
from harness.publish.views import views_of

GELU, PERMUTE, COPY, NEW = "aten.gelu.default", "aten.permute.default", "aten.permute_copy.default", "aten.new.default"


def schema(name):
    return f"aten::{name}(Tensor self) -> Tensor"


@pytest.fixture
def universe():
    rows = {
        GELU: Operator(GELU, ("core", "coremltools"), schema("gelu")),
        NEW: Operator(NEW, ("core",), schema("new")),
        PERMUTE: Operator(PERMUTE, ("core",), schema("permute"), ("view",)),
    }
    return Universe({"torch": "2.13.0"}, rows, dict.fromkeys(LEFT_OUT, 3))


@pytest.fixture
def silent(evidence, universe):
    """Operators that no check judges, by name, for some records."""

    def of(*records, reasons=None):
        return {row.name: row for row in silent_operators(build_matrix(evidence(*records)), universe, reasons or {})}

    return of


@pytest.fixture
def context_of(evidence, universe):
    def of(*records):
        matrix = build_matrix(evidence(*records))
        support = views_of(matrix, [], universe).operators
        return universe_context(matrix, universe, silent_operators(matrix, universe, {}), support)

    return of


def cells(text, first):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def by_category(one):
    """The cells of one operator in its category."""
    return ["1" if category is one else "" for category in Category]


def test_an_operator_without_records_says_so_or_gives_its_reason(silent, record):
    rows = silent(record(GELU), reasons={NEW: "Random."})
    assert GELU not in rows
    assert rows[NEW].why == "Random."
    assert silent(record(GELU))[NEW].why == "no case of it in this evidence"


def test_what_stands_in_the_graphs_instead_is_named_most_frequent_first(silent, record):
    made = [record(NEW, sample=n, delegated={"aten.tanh.default": 1, "aten.mul.Tensor": 2}) for n in range(2)]
    made.append(record(NEW, sample=2, delegated={"aten.tanh.default": 1}))
    row = silent(*made, reasons={NEW: "never seen"})[NEW]
    assert row.instead == ("aten.tanh.default", "aten.mul.Tensor")
    assert not row.why
    assert sum(row.outcomes.values()) == 3


def test_a_graph_of_a_neighbour_replaces_nothing(silent, record):
    """A program made for another operator, in which this one stands but is not judged."""
    failed = record("aten.other.default", "wrong_value", delegated={NEW: 1, "aten.tanh.default": 1})
    assert silent(failed)[NEW].why == "its cases fail for other operators in their graphs"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"outcome": "invalid_case", "reason": "random"}, "invalid_case: random"),
        ({"outcome": "not_run", "reason": "no kernel"}, "not_run: no kernel"),
        ({"delegated": {}}, "lowering takes it out: nothing is left of the programs of its cases"),
        ({"numerics": Numerics("EXACT")}, "all results of its cases are empty: no value was compared"),
    ],
)
def test_why_cases_judge_nothing(silent, record, fields, why):
    assert silent(record(NEW, **fields))[NEW].why == why


def test_sections_tell_replaced_from_not_measured(silent, record, universe):
    rows = silent(record(PERMUTE, delegated={COPY: 1}), record("aten.x.default", "not_run", reason="no kernel"))
    replaced, missing = silent_sections(rows.values())
    assert (replaced["title"], replaced["count"]) == ("Replaced before the partitioner", "1 operator")
    assert "| `permute` | `permute_copy` | pass 1 |" in replaced["table"]
    assert missing["count"] == "3 operators"
    assert missing["table"].splitlines() == [
        "- no case of it in this evidence: `gelu`, `new`",
        "- not\\_run: no kernel: `x`",
    ]


def test_cases_that_judge_nothing_by_one_cause_lead_to_it(silent, record):
    random = [record(name, "invalid_case", reason=f"random {name}", cause="random") for name in (GELU, NEW)]
    (section,) = silent_sections(silent(*random, reasons={PERMUTE: "It is so."}).values())
    assert section["table"].splitlines() == ["- [random](findings.md#random): `gelu`, `new`", "- It is so.: `permute`"]


def test_counts_by_source_dtype_and_recipe(record, context_of):
    records = [
        record(GELU),
        record(GELU, recipe="fp32-ios18"),
        record(GELU, "wrong_value", 1, dtype="int32"),
        record(NEW, "invalid_case"),
        record("aten.beside.default"),
    ]
    context = context_of(*records)
    assert (context["operators"], context["judged"], context["combinations"]) == (3, 1, 3)
    assert cells(context["by_source"], "`core`") == ["3", "1", *by_category(Category.RIGHT_EXCEPT)]
    assert cells(context["by_source"], "`coremltools`") == ["1", "1", *by_category(Category.RIGHT_EXCEPT)]
    assert cells(context["by_source"], "all") == ["3", "1", *by_category(Category.RIGHT_EXCEPT)]
    assert cells(context["by_dtype"], "`float32`") == ["1", "1"]
    assert cells(context["by_dtype"], "`int32`") == ["1", ""]


def test_a_view_is_judged_by_its_copy(record, context_of):
    context = context_of(record(PERMUTE, "fallback", fallback={COPY: 1}))
    assert context["judged"] == 1
    assert cells(context["by_source"], "all") == ["3", "1", *by_category(Category.KERNELS)]


def test_an_operator_is_judged_or_replaced_or_not_measured(record, context_of):
    context = context_of(record(GELU), record(NEW, delegated={"aten.tanh.default": 1}), record("aten.y.default"))
    assert [context[key] for key in ("operators", "judged", "replaced", "not_measured")] == [3, 1, 1, 1]
    viewed = context_of(record(PERMUTE, delegated={COPY: 1}))
    assert [viewed[key] for key in ("judged", "replaced", "not_measured")] == [1, 0, 2]


def test_nothing_judged_gives_empty_tables(record, context_of):
    context = context_of(record(GELU, "not_run"))
    assert (context["judged"], context["combinations"]) == (0, 0)


def test_the_pages_hold_every_operator_of_the_universe(record, evidence, universe):
    records = [record(GELU), record(PERMUTE, delegated={COPY: 1})]
    pages = build_pages(
        build_matrix(evidence(*records)), ["e"], universe=universe, reasons={NEW: "Random | so `x` is."}
    )
    page = pages["op-support.md"]
    assert "- [The operator universe](#the-operator-universe)" in page
    assert "Of 3 operators, 2 are judged" in page
    assert "\n- Random \\| so `x` is.: `new`\n" in page
    assert all(f"`{name.split('.')[1]}`" in page for name in universe.operators)
    rows = list(csv.DictReader(io.StringIO(pages["op-support.csv"])))
    assert {row["status"] for row in rows if row["name"] == NEW} == {"not measured"}
    assert {row["name"] for row in rows if row["kind"] == "operator"} == {GELU, COPY, NEW}


def test_without_a_universe_the_page_says_nothing_of_one(record, evidence):
    assert "universe" not in build_pages(build_matrix(evidence(record(GELU))), ["e"])["op-support.md"]
