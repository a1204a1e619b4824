import re

from harness.evidence.causes import Cause, Rule
from harness.evidence.known_issues import KnownIssue
from harness.evidence.vocabulary import Outcome
from harness.publish.triage import changes_text, checks_text, triage_text

A, B = "aten.a.default", "aten.b.default"


def cause(slug, stage="converter"):
    rule = Rule(frozenset({Outcome.CONVERT_ERROR}), error=re.compile("x"))
    return Cause(slug, "title", stage, "sees", "why", "ops.py", (rule,))


def issue(slug, *checks):
    return KnownIssue(slug, Outcome.CRASH, "title", checks=checks)


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_causes_and_checks_are_counted_by_stage(record):
    causes = [cause("a"), cause("b"), cause("c", "limitation")]
    records = [record(A, "convert_error", n, cause="a") for n in range(2)]
    records += [
        record(B, "unsupported", cause="c"),
        record(B, "crash", 1),
        record(B, "pass", 2),
        record(B, "not_run", 3),
    ]
    text = lines(triage_text(records, causes))
    for line in ("converter 2 2", "limitation 1 1", "triaged 3 3", "untriaged 1"):
        assert line in text
    assert "1 cause without a check here: b" in text


def test_a_cause_behind_others_is_told_from_one_without_checks(record):
    records = [record(A, "convert_error", signature="x", cause="a"), record(B, "invalid_case", cause="c")]
    text = lines(triage_text(records, [cause("a"), cause("b"), cause("c", "limitation")]))
    assert "b: all it would explain goes to causes before it: a" in text
    assert not [line for line in text if "without a check" in line]


def test_what_works_needs_no_cause_but_may_have_one(record):
    records = [record(A, "fallback"), record(A, "partial", 1), record(A, "fallback", 2, cause="a")]
    text = lines(triage_text(records, [cause("a", "limitation")]))
    assert "limitation 1 1" in text
    assert "untriaged 0" in text


def test_untriaged_groups_have_an_example_largest_first(record):
    records = [record(A, "convert_error", n, signature="odd") for n in range(3)] + [
        record(B, "convert_error", signature="even")
    ]
    text = lines(triage_text(records, []))
    start = text.index("untriaged convert_error: 4 checks in 2 groups")
    assert text[start + 1 :] == [
        "3 convert: ValueError: odd",
        "ops/aten.a.default/float32/opinfo-0@fp16-ios18@reference",
        "1 convert: ValueError: even",
        "ops/aten.b.default/float32/opinfo-0@fp16-ios18@reference",
    ]
    assert "and 1 more groups (--all, or --outcome convert_error)" in lines(triage_text(records, [], limit=1))


def test_moves_are_counted_by_where_from_and_where_to():
    before = [issue("x", "p@r@1", "p@r@2", "p@r@3"), issue("y", "p@r@4")]
    after = [issue("x", "p@r@1"), issue("z", "p@r@2", "p@r@3", "p@r@5")]
    assert lines(changes_text(before, after)) == [
        "known issues: 4 patterns in 2 causes, 4 changed",
        "2 x -> z",
        "1 (new) -> z",
        "1 y -> (gone)",
    ]
    assert changes_text(before, before) == "known issues: 4 patterns in 2 causes, unchanged"
    assert "and 2 more moves" in changes_text(before, after, limit=1)


def test_checks_are_listed_with_what_was_raised(record):
    records = [record(A, "convert_error", n, signature="odd") for n in (10, 9)]
    assert [line.split("@")[0] for line in lines(checks_text(records))[::2]] == [
        "ops/aten.a.default/float32/opinfo-9",
        "ops/aten.a.default/float32/opinfo-10",
    ]
    assert "convert_error in convert: ValueError: odd in line 12" in checks_text(records)
