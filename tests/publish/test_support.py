import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.vocabulary import RANK, UNJUDGED, Kind, Outcome
from harness.publish.support import (
    CATEGORY_MEANINGS,
    FATES,
    WORKING_CATEGORIES,
    By,
    Category,
    Fate,
    calls_itself,
    packet_name,
    support_of,
)

A, B = "aten.a.default", "aten.b.Tensor"
CALLS = ["a(float32[2])", "a(int32[2])", "a(float32[2], flag=True)", "a(float32[])", ""]
general = frozenset({"odd-layout"})


def one(records, name=A, by=By.OPERATOR, **known):
    return support_of(records, by=by, **known)[name]


def test_an_operator_that_lowering_takes_out_works(record):
    taken_out = record(A, "fallback", fallback={}, delegated={})
    assert support_of([taken_out])[A].category is Category.WORKS
    assert support_of([record(A, "fallback")])[A].category is Category.KERNELS


def test_every_judged_outcome_has_one_fate():
    """But one: what becomes of a program that works in part, its own operator's place says."""
    placed = [Outcome.PARTIAL, *(outcome for outcomes in FATES.values() for outcome in outcomes)]
    assert sorted(placed) == sorted(set(Outcome) - UNJUDGED) == sorted(RANK)
    assert CATEGORY_MEANINGS.keys() == set(Category)


outcomes = st.sampled_from(sorted(RANK))
tried = st.lists(
    st.tuples(
        outcomes,
        st.integers(0, 5),
        st.sampled_from(CALLS),
        st.sampled_from(["fp16-ios18", "fp32-ios18"]),
        st.sampled_from(["", "a-cause", "odd-layout"]),
    ),
    min_size=1,
    max_size=12,
)


def made(record, drawn):
    """Records of the operator: what is tried of a sample is one call."""
    call_of = {sample: call for _, sample, call, _, _ in drawn}
    return [
        record(A, outcome, sample, call=call_of[sample], recipe=recipe, cause="" if outcome == "pass" else cause)
        for outcome, sample, _, recipe, cause in drawn
    ]


@given(tried)
@settings(max_examples=100, deadline=None)
def test_a_condition_is_contradicted_by_no_sample(record_of, drawn):
    support = one(made(record_of, drawn), general=general)
    conditions = support.conditions()
    for condition in conditions:
        if condition.clause is not None:
            assert all(condition.clause.holds(sample.facts) for sample in condition.samples)
            assert not any(condition.clause.holds(s.facts) for s in support.working if s.facts is not None)
    told = [sample.case for condition in conditions for sample in condition.samples]
    assert sorted(told) == sorted(sample.case for sample in support.samples if sample.fate is not Fate.WORKS)


@given(tried)
@settings(max_examples=100, deadline=None)
def test_what_works_for_a_call_is_never_said_to_fail_always(record_of, drawn):
    support = one(made(record_of, drawn), general=general)
    works = any(sample.fate is Fate.WORKS for sample in support.samples)
    assert works == (support.category in WORKING_CATEGORIES)
    assert not any(
        sample.causes <= general and sample.causes and sample.fate is not Fate.WORKS for sample in support.samples
    )


@pytest.fixture(scope="module")
def record_of():
    from tests.publish.conftest import make_record

    return make_record


@pytest.mark.parametrize(
    ("found", "category"),
    [
        (["pass"], Category.WORKS),
        (["pass", "convert_error"], Category.LOWERS_EXCEPT),
        (["pass", "fallback"], Category.LOWERS_EXCEPT),
        (["pass", "convert_error", "wrong_value"], Category.RIGHT_EXCEPT),
        (["pass", "out_of_range"], Category.RIGHT_EXCEPT),
        (["wrong_value"], Category.WRONG),
        (["wrong_value", "convert_error"], Category.NEVER),
        (["convert_error", "unsupported"], Category.NEVER),
        (["unsupported"], Category.REFUSED),
        (["fallback", "convert_error"], Category.KERNELS),
    ],
)
def test_the_category_is_what_a_user_has_to_do(record, found, category):
    records = [record(A, outcome, sample) for sample, outcome in enumerate(found)]
    assert one(records).category is category
    assert one(reversed(records)).category is category


def test_general_limits_decide_no_category(record):
    limited = record(A, "wrong_value", 1, cause="odd-layout")
    assert one([record(A), limited], general=general).category is Category.WORKS
    assert one([record(A), limited]).category is Category.RIGHT_EXCEPT
    alone = one([limited], general=general)
    assert (alone.category, len(alone.limited), alone.samples) == (Category.LIMITED, 1, [])


def test_passes_and_failures_go_to_the_name_that_was_called(record):
    """Whatever operators the graph holds where it works."""
    found = support_of([record(A, delegated={B: 1}), record(A, "convert_error", 1, delegated={})])
    assert found.keys() == {A}
    assert found[A].becomes == {B}
    assert found[A].category is Category.LOWERS_EXCEPT


def test_a_program_that_works_speaks_for_the_operators_in_it(record):
    model = {"kind": Kind.MODEL, "case": "models/m/float32", "api": ""}
    whole = record("model.m").with_(**model, delegated={A: 3, B: 1}, fallback={"aten.c.default": 1})
    found = support_of([record(A, "convert_error"), whole])
    assert found.keys() == {A, B}
    assert found[A].category is Category.LOWERS_EXCEPT
    assert found[B].category is Category.WORKS
    assert len(found[B].made_by_models) == 1
    broken = whole.with_(outcome=Outcome.WRONG_VALUE)
    assert support_of([record(A), broken]).keys() == {A}, "one that does not speaks for none"


def test_what_models_call_is_told_apart(record):
    extracted = record(A, "convert_error", 1, origin="extracted", call="a(float32[2])")
    support = one([record(A), extracted])
    assert [sample.case for sample in support.made_by_models] == [extracted.case]
    assert one([record(A, call="not told")]).made_by_models == []


def test_a_failure_in_a_function_of_several_operators_is_not_the_operators(record):
    inside = record(A, "convert_error", 1, api="torch.f", call="f(float32[2])")
    assert not calls_itself(inside)
    assert one([record(A), inside]).category is Category.WORKS
    assert support_of([record(A), inside], by=By.FUNCTION)["torch.f"].category is Category.NEVER


@pytest.mark.parametrize(
    ("op", "api", "call", "own"),
    [
        ("aten.add.Tensor", "torch.add", "add(float32[2], 1)", True),
        ("aten.add.Tensor", "torch.Tensor.__radd__", "__radd__(float32[2], 1)", False),
        ("aten.grid_sampler.default", "grid_sample", "grid_sample(float32[2])", True),
        ("aten.cross_entropy_loss.default", "cross_entropy", "cross_entropy(float32[2])", True),
        ("aten.mean.default", "multilabel", "multilabel_soft_margin_loss(float32[2])", False),
        ("aten.add.Tensor", "aten.add.Tensor", "whatever", True),
        ("aten.add.Tensor", "torch.add", "", True),
    ],
)
def test_which_calls_are_of_the_operator_itself(record, op, api, call, own):
    assert calls_itself(record(op, api=api, call=call)) is own


def test_precision_and_unit_of_a_condition_are_said_where_they_matter(record):
    def of(fp16, fp32):
        both = [record(A, fp16, 1, call=CALLS[1]), record(A, fp32, 1, call=CALLS[1], recipe="fp32-ios18")]
        (condition,) = one([record(A, call=CALLS[0]), *both]).conditions()
        return condition.where

    assert of("out_of_range", "pass") == {"fp16"}
    assert of("wrong_value", "wrong_value") == frozenset()
    assert of("pass", "wrong_value") == frozenset(), "a bound of fp16 hides it: it is wrong all the same"
    units = [
        record(A, "pass" if unit == "cpu_only" else "wrong_value", 1, call=CALLS[1], unit=unit)
        for unit in ("cpu_only", "cpu_and_ne")
    ]
    (condition,) = one([record(A, call=CALLS[0]), *units]).conditions()
    assert condition.where == {"cpu_and_ne"}


def test_conditions_come_worst_first_and_one_for_each_cause(record):
    records = [record(A, call=CALLS[0]), record(A, "wrong_value", 1, call=CALLS[2], cause="w")]
    records += [
        record(A, "convert_error", 2, call=CALLS[1], cause="x"),
        record(A, "crash", 3, call=CALLS[3], cause="y"),
    ]
    conditions = one(records).conditions()
    assert [(c.fate, str(c.clause), c.causes) for c in conditions] == [
        (Fate.WRONG, "`flag=True`", ["w"]),
        (Fate.FAILS, "a 0-dimensional tensor", ["y"]),
        (Fate.FAILS, "an input of integers", ["x"]),
    ]


def test_a_condition_holds_for_no_call_of_another_fate_where_it_can(record):
    """Of two failures with one argument in common each says what sets it apart."""
    records = [record(A, call="a(float32[2], float32[2])"), record(A, sample=1, call="a(float32[2], 2)")]
    records += [record(A, "wrong_value", 2, call="a(float32[2], float32[2], flag=True)")]
    records += [record(A, "convert_error", 3, call="a(float32[2], 2, flag=True)")]
    wrong, fails = one(records).conditions()
    assert "`flag=True`" in str(wrong.clause)
    assert "`flag=True`" in str(fails.clause)
    assert not wrong.clause.holds(fails.samples[0].facts)
    assert not fails.clause.holds(wrong.samples[0].facts)


def test_where_nothing_separates_there_are_the_calls(record):
    records = [record(A, call=CALLS[0]), record(A, "wrong_value", 1, call=CALLS[0])]
    (condition,) = one(records).conditions()
    assert condition.clause is None
    assert [sample.call for sample in condition.samples] == [CALLS[0]]


def test_a_sample_is_a_call_whatever_recipe_and_its_worst_counts(record):
    both = [record(A), record(A, "wrong_value", recipe="fp32-ios18")]
    (sample,) = one(both).samples
    assert sample.fate is Fate.WRONG
    assert sample.failing == both[1:]


def test_part_of_a_program_left_out_is_its_own_operators_or_not(record):
    left = record(A, "partial", delegated={B: 1}, fallback={A: 1})
    assert one([left]).category is Category.KERNELS
    assert one([left.with_(delegated={A: 1}, fallback={B: 1})]).category is Category.WORKS


@pytest.mark.parametrize(
    ("operator", "packet"),
    [
        *(("aten.add.Tensor", "add"), ("aten.permute_copy.default", "permute"), ("aten.permute.default", "permute")),
        ("quantized_decomposed.add.scalar", "quantized_decomposed.add"),
    ],
)
def test_packets_are_named_as_backend_documentation_does(operator, packet):
    assert packet_name(operator) == packet
