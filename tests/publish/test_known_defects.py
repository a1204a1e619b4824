from harness.evidence.causes import Cause, Rule
from harness.evidence.vocabulary import Outcome
from harness.publish.known_defects import known_defects
from harness.publish.support import Category, Fate, support_of

A = "aten.a.default"


def cause(slug, *, outcome="wrong_value", operators=("aten.a.*",), **fields):
    rules = (Rule(frozenset({Outcome(outcome)})),)
    told = {"sees": "x", "explanation": "y", "source": "z", "condition": "an input of 0"}
    return Cause(slug, slug, **({"stage": "converter"} | told | fields), matches=rules, operators=operators)


def test_defects_of_operators_that_no_record_names():
    causes = [
        cause("unseen"),
        cause("seen"),
        cause("of-all", scope="general"),
        cause("documented", stage="limitation"),
        cause("of-none", operators=()),
        cause("no-condition", condition=""),
        cause("no-judgement", outcome="invalid_case"),
    ]
    (one,) = known_defects(causes, {"seen"})
    assert (one.cause, one.condition, one.outcomes) == ("unseen", "an input of 0", {Outcome.WRONG_VALUE})
    assert one.strikes("aten.a.out")
    assert not one.strikes("aten.ab.default")


def supported(records, *causes):
    return support_of(records, known=known_defects(causes, ()))[A]


def test_what_works_wherever_it_was_tried_does_not_work_without_conditions(record):
    wrong = supported([record(A)], cause("x"))
    assert wrong.category is Category.RIGHT_EXCEPT
    (condition,) = wrong.conditions()
    assert (condition.fate, condition.causes, condition.samples) == (Fate.WRONG, ["x"], ())
    assert supported([record(A)], cause("x", outcome="convert_error")).category is Category.LOWERS_EXCEPT
    assert supported([record(A)], cause("x", operators=("aten.b.*",))).category is Category.WORKS


def test_an_operator_that_never_works_has_nothing_to_lose(record):
    never = supported([record(A, "convert_error")], cause("x"))
    assert never.category is Category.NEVER
    assert [condition.fate for condition in never.conditions()] == [Fate.FAILS]


def test_the_worst_comes_first_seen_before_known(record):
    records = [record(A), record(A, "convert_error", 1), record(A, "wrong_value", 2)]
    found = supported(records, cause("x"), cause("y", outcome="crash")).conditions()
    assert [(condition.fate, bool(condition.known)) for condition in found] == [
        (Fate.WRONG, False),
        (Fate.WRONG, True),
        (Fate.FAILS, False),
        (Fate.FAILS, True),
    ]


def test_a_condition_that_a_call_meets_and_works_is_not_claimed(record):
    """Planted: a cause that says `flag=True` gives wrong values, where such a call is seen to work."""
    works = record(A, call="a(float32[2], flag=True)")
    claimed = cause("x", condition="`flag=True`")
    assert supported([works], claimed).category is Category.WORKS
    assert supported([record(A, call="a(float32[2])")], claimed).category is Category.RIGHT_EXCEPT
