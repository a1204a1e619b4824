from harness.publish.changes import CLASSES, Change, counted, grouped
from harness.publish.measures import MEASURES

A, B = "aten.a.default", "aten.b.default"


def change(record, kind="worse"):
    return Change(kind, "here", record.check_id, record, record.with_(cause="new"), "far off")


def test_every_measure_is_a_class():
    assert {measure.name for measure in MEASURES} < CLASSES.keys()
    assert all(CLASSES.values())


def test_a_change_tells_its_move_operator_and_cause(record):
    one = change(record(A, cause="old"))
    assert (one.move, one.subject, one.cause) == ("pass", A, "new")
    assert str(one) == f"pass  ops/{A}/float32/opinfo-0@fp16-ios18@reference  far off"
    lost = Change("not_judged", "here", "c", record(A, "wrong_value", cause="old"))
    assert (lost.move, lost.cause) == ("wrong_value -> absent", "old")
    whole = Change("column_gone", "here", "*@fp16-ios18@all", detail="9 judged checks", checks=9)
    assert (whole.move, whole.subject, whole.cause) == ("", "*@fp16-ios18@all", "")
    assert str(whole) == "*@fp16-ios18@all  9 judged checks"


def test_order_is_of_the_table_then_by_number(record):
    changes = [change(record(A, sample=n), kind) for kind in ("better", "worse") for n in (10, 9)]
    names = [(one.kind, one.name.partition("@")[0].rpartition("-")[2]) for one in sorted(changes, key=Change.sort_key)]
    assert names == [("worse", "9"), ("worse", "10"), ("better", "9"), ("better", "10")]


def test_counting(record):
    whole = Change("column_gone", "here", "*@fp16-ios18@all", checks=1200)
    assert counted([change(record(A)), change(record(A, sample=1)), change(record(B))]) == "3 checks, 2 operators"
    assert counted([change(record(A))]) == "1 check, 1 operator"
    assert counted([whole]) == "1,200 checks"


def test_grouping_by_operator_with_a_limit(record):
    lines = grouped([change(record(A, sample=n)) for n in range(3)] + [change(record(B))], 2)
    assert [line.strip().partition(" ")[0] for line in lines] == [A, "pass", "pass", "and", B, "pass"]
    assert lines[3] == "    and 1 more (--all shows them)"
    assert len(grouped([change(record(A, sample=n)) for n in range(3)], None)) == 4
    assert grouped([Change("column_gone", "here", "*@a@b", detail="9")], 1) == ["  *@a@b  9"]
