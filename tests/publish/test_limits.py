from harness.evidence.causes import Cause
from harness.evidence.vocabulary import Kind
from harness.publish.limits import general_causes, limits_of, limits_table

A, B = "aten.a.default", "aten.b.default"


def cause(slug, **fields):
    values = {"sees": "x", "explanation": "y", "source": "z", "scope": "general", "condition": f"when {slug}"}
    return Cause(slug, slug, "converter", **(values | fields))


KNOWN = {
    one.cause: one for one in (cause("odd"), cause("deep", remedy="Flatten `x|y`."), cause("own", scope="operator"))
}


def test_causes_of_the_scope_are_general():
    assert general_causes(KNOWN.values()) == {"odd", "deep"}


def test_limits_that_most_operators_meet_come_first(record):
    records = [record(A, "convert_error", n, cause="odd") for n in range(3)]
    records += [record(name, "wrong_value", cause="deep") for name in (A, B)]
    records += [record(A, "crash", cause="own"), record(A, "crash", cause="unheard-of"), record(A, "crash")]
    found = [(limit.cause.cause, limit.operators, limit.checks) for limit in limits_of(records, KNOWN)]
    assert found == [("deep", 2, 2), ("odd", 1, 3)]


def test_what_works_or_judges_nothing_meets_no_limit(record):
    records = [record(A, cause="odd"), record(A, "invalid_case", cause="odd")]
    records.append(record("model.m", "crash", cause="odd").with_(kind=Kind.MODEL, case="models/m/float32"))
    assert limits_of(records, KNOWN) == []


def test_the_table_says_what_to_do(record):
    table = limits_table(limits_of([record(A, "crash", cause="deep")], KNOWN))
    assert table.splitlines()[2:] == ["| when deep | Flatten `x\\|y`. | 1 | [deep](findings.md#deep) |"]
    assert limits_table([]) == ""
