import pytest

from harness.evidence.universe import Operator, Universe
from harness.evidence.vocabulary import HarnessError
from harness.publish.coverage import counts, coverage, leading_apis, read_reasons, stale_reasons

GELU, PERMUTE, COPY, NEW = "aten.gelu.default", "aten.permute.default", "aten.permute_copy.default", "aten.new.default"


@pytest.fixture
def universe():
    view = {PERMUTE: ("view",)}
    rows = {name: Operator(name, ("core",), "", view.get(name, ())) for name in (GELU, PERMUTE, COPY, NEW)}
    return Universe({}, rows, {})


def covered(rows):
    return {row.operator.name for row in rows if row.covered}


def test_a_case_covers_its_operator_and_no_other(universe):
    rows = coverage(universe, {GELU: 3}, [], {})
    assert covered(rows) == {GELU}
    assert +counts(rows) == {"operators": 4, "covered": 1, "with cases": 1, "unexplained": 3}


def test_a_graph_covers_what_it_contains_and_a_view_by_its_copy(universe, record):
    rows = coverage(universe, {}, [record("aten.x.default", delegated={COPY: 2})], {})
    assert covered(rows) == {PERMUTE, COPY}
    assert [row.graphs for row in rows] == [0, 1, 1, 0]


def test_a_graph_with_a_view_does_not_contain_its_copy(universe, record):
    assert covered(coverage(universe, {}, [record("aten.x.default", fallback={PERMUTE: 1})], {})) == {PERMUTE}


def test_the_operator_a_case_was_made_for_is_not_in_its_graph_for_that(universe, record):
    """Made for gelu, but the graph that was lowered holds something else."""
    rows = coverage(universe, {}, [record(GELU, delegated={"aten.tanh.default": 1})], {})
    assert covered(rows) == set()


def test_graphs_are_counted_by_case_not_by_check(universe, record):
    checks = [record(GELU), record(GELU, recipe="fp32-ios18"), record(GELU, sample=1)]
    assert coverage(universe, {}, checks, {})[0].graphs == 2


def test_a_reason_explains_and_goes_stale_when_covered_or_unknown(universe):
    reasons = {NEW: "random", "aten.gone.default": "random"}
    rows = coverage(universe, {GELU: 1}, [], reasons)
    assert [row.operator.name for row in rows if not row.explained] == [PERMUTE, COPY]
    assert stale_reasons(rows, reasons) == ["aten.gone.default: has a reason, but is not in the universe"]
    rows = coverage(universe, {NEW: 2}, [], reasons)
    assert "aten.new.default: has a reason, but is covered (2 cases, in 0 graphs)" in stale_reasons(rows, reasons)
    assert all(not row.reason for row in rows)


def test_a_function_leads_to_what_its_cases_are_made_for_and_to_what_its_graphs_contain(universe, record):
    made_for = {"gelu": {GELU}, "transpose": {"aten.t.default"}, "other": {"aten.x.default"}}
    through = record("aten.t.default", api="transpose", delegated={COPY: 1})
    assert leading_apis(universe, made_for, []) == {"gelu"}
    assert leading_apis(universe, made_for, [through, record(GELU, api="unknown")]) == {"gelu", "transpose"}


def test_reasons_are_read(tmp_path):
    path = tmp_path / "uncovered.yaml"
    path.write_text(f"- reason: Two runs\n    differ.\n  operators: [{NEW}, {GELU}]\n")
    assert read_reasons(path) == {NEW: "Two runs differ.", GELU: "Two runs differ."}
    path.write_text("# none\n")
    assert read_reasons(path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1", "expected a list"),
        ("- operators: [a]", "entry 1: expected `reason` and `operators`"),
        ("- {reason: '', operators: [a]}", "entry 1: the reason is empty"),
        ("- {reason: x, operators: []}", "entry 1: `operators` is a list of names"),
        ("- {reason: x, operators: a}", "entry 1: `operators` is a list of names"),
        ("- {reason: x, operators: [a]}\n- {reason: y, operators: [a]}", "a is given two reasons"),
        ("- [", "not YAML"),
    ],
)
def test_a_bad_reasons_file_is_refused(tmp_path, text, message):
    path = tmp_path / "uncovered.yaml"
    path.write_text(text)
    with pytest.raises(HarnessError, match=message):
        read_reasons(path)


def test_a_missing_reasons_file_is_refused(tmp_path):
    with pytest.raises(HarnessError, match="no such file"):
        read_reasons(tmp_path / "uncovered.yaml")
