import pytest

from harness.evidence.causes import Cause
from harness.publish.facts import VALUES
from harness.publish.support import support_of
from harness.publish.wording import FATE_WORDS, causes_of, clause_text, conditions_text, models_text

A = "aten.a.default"


def cause(slug, condition=""):
    return Cause(slug, slug, "converter", sees="x", explanation="y", source="z", condition=condition)


@pytest.fixture
def supported(record):
    """The support of an operator of which `a(float32[2])` works, and these calls do not."""

    def build(*tried):
        records = [record(A, call="a(float32[2])")]
        for sample, (outcome, call, slug) in enumerate(tried, start=1):
            records.append(record(A, outcome, sample, call=call, cause=slug))
        return support_of(records)[A]

    return build


def test_the_worst_is_told_first_and_each_fate_once(supported):
    support = supported(
        ("convert_error", "a(float32[])", "x"),
        ("fallback", "a(float32[2], flag=True)", "y"),
        ("wrong_value", "a(int32[2])", "z"),
        ("load_error", "a(float32[2], kind='far')", "w"),
    )
    assert conditions_text(support, {}) == (
        "**silently wrong**: an input of integers; fails to lower: `kind='far'`, or a 0-dimensional tensor; "
        "not delegated: `flag=True`"
    )
    assert causes_of(support.conditions()) == ["w", "x", "y", "z"]


def test_where_nothing_separates_the_cause_says_when_and_calls_show_it(supported):
    support = supported(*[("wrong_value", "a(float32[2])", "x")] * 3)
    known = {"x": cause("x", "values | near 0")}
    shown = "`a(float32[2])`"
    assert conditions_text(support, known) == f"**silently wrong**: values \\| near 0, such as {shown}"
    assert conditions_text(support, known, calls=False) == "**silently wrong**: values \\| near 0"
    assert conditions_text(support, {}, calls=False) == "**silently wrong**: some calls (3 tried)"


def test_several_causes_say_when_each_unless_one_does_not(supported):
    support = supported(("crash", "a(float32[2])", "x"), ("crash", "a(float32[2])", "y"))
    known = {"x": cause("x", "this"), "y": cause("y", "that")}
    assert conditions_text(support, known, calls=False) == "fails to lower: that, or this"
    known["y"] = cause("y")
    assert conditions_text(support, known, calls=False) == "fails to lower: some calls (2 tried)"


def test_a_set_of_values_is_told_in_the_words_of_its_cause(supported):
    support = supported(("wrong_value", "a(float32[2, values='far'])", "x"))
    (condition,) = support.conditions()
    assert str(condition.clause) == VALUES["far"]
    assert clause_text(condition, {"x": cause("x", "arguments above 88")}) == "arguments above 88"
    assert clause_text(condition, {}) == VALUES["far"]


def test_what_a_cause_states_is_never_told_against_a_sample(record):
    """Planted: a cause that says `flag=True` fails, which works."""
    records = [record(A, call="a(float32[2], flag=True)")]
    records.append(record(A, "convert_error", 1, call="a(int32[2], flag=True)", cause="x"))
    support = support_of(records, hints={"x": "`flag=True`"})[A]
    assert conditions_text(support, {"x": cause("x", "`flag=True`")}) == "fails to lower: an input of integers"


def test_precision_is_said_where_it_matters(record):
    records = [record(A, recipe=recipe, call="a(float32[2])") for recipe in ("fp16-ios18", "fp32-ios18")]
    records += [record(A, "out_of_range", 1, call="a(float32[])"), record(A, "pass", 1, recipe="fp32-ios18")]
    assert conditions_text(support_of(records)[A], {}) == "**overflows** in fp16: a 0-dimensional tensor"


def test_fates_of_failures_are_told_apart():
    assert len(set(FATE_WORDS.values())) == len(FATE_WORDS)


def test_calls_of_models_are_counted(record):
    def of(*found):
        records = [record(A, outcome, n, origin="extracted") for n, outcome in enumerate(found)]
        return models_text(support_of([record(A, sample=9), *records])[A].made_by_models)

    assert of() == ""
    assert of("pass", "pass") == "all 2 work"
    assert of("pass", "fallback", "crash") == "2 of 3 do not"
