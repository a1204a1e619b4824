import pytest

from harness.evidence.usage import Usage
from harness.evidence.vocabulary import Kind, Outcome
from harness.publish.forecast import Agreement, Forecast, agreement, forecasts, promises_of, standing_for
from harness.publish.models_page import models_of

A, B, C = "aten.a.default", "aten.b.default", "aten.c.default"
INT4 = "fp16-ios18-torchao_int4_group32"


@pytest.fixture
def model(record):
    def build(name, *operators, outcome="pass", recipe="fp16-ios18", **fields):
        about = {"case": f"models/{name}/float32/seed-0", "recipe": recipe, "kind": Kind.MODEL}
        graph = {"delegated": dict.fromkeys(operators, 1)} if operators else {}
        return record(f"model.{name}", outcome, **about, **graph, **fields)

    return build


@pytest.fixture
def extracted(record):
    def build(operator, outcome, number, *models, **fields):
        return record(operator, outcome, number, origin="extracted", usage=Usage(models, 2), **fields)

    return build


def forecast(*records, own=True):
    """Of the only model, by its only recipe."""
    (found,) = forecasts(models_of(records), promises_of(records), own=own)
    return found


def test_a_model_is_expected_to_pass_where_all_its_operators_do(model, record):
    found = forecast(model("vit", A, B), record(A), record(B), record(C, "wrong_value"))
    assert (found.expected, found.passes, found.agrees) == (True, True, True)


def test_one_failing_call_of_an_operator_is_enough(model, record):
    found = forecast(model("vit", A, B), record(A), record(B), record(B, "convert_error", 1, cause="c"))
    assert found.expected is False
    (suspect,) = found.suspects
    assert (suspect.operator, suspect.own, suspect.causes) == (B, False, ("c",))


@pytest.mark.parametrize(("outcome", "expected"), [("pass", True), ("wrong_value", False)])
def test_its_own_calls_come_first(model, record, extracted, outcome, expected):
    """The other calls of the operator say the contrary."""
    others = [record(A, "wrong_value" if expected else "pass", n) for n in range(3)]
    found = forecast(model("vit", A), *others, extracted(A, outcome, 9, "bert", "vit"))
    assert found.expected is expected
    assert all(suspect.own for suspect in found.suspects)
    assert (
        forecast(model("vit", A), *others, extracted(A, "pass", 9, "bert", "vit"), own=False).expected is not expected
    )


def test_a_block_of_a_model_holds_calls_of_its_own(model, record):
    block = record("block.Layer", delegated={A: 1, B: 1}, kind=Kind.DOCUMENTATION, usage=Usage(("vit",), 4))
    assert forecast(model("vit", A, B), record(A, "wrong_value"), record(B, "convert_error"), block).expected is True


def test_calls_of_other_models_are_not_its_own(model, record, extracted):
    assert forecast(model("vit", A), record(A), extracted(A, "wrong_value", 9, "bert")).suspects[0].own is False


def test_calls_that_other_models_make_come_before_those_that_none_makes(model, record, extracted):
    records = [model("vit", A), record(A, "convert_error"), extracted(A, "pass", 9, "bert")]
    assert forecast(*records).expected is True
    assert forecast(*records, own=False).expected is False


def test_a_general_limit_is_the_models_own_to_meet(model, record, extracted):
    def expected(*records):
        (found,) = forecasts(models_of(records), promises_of(records, frozenset({"rank"})))
        return found.expected

    above, below = record(A, "load_error", 1, cause="rank"), record(A)
    assert expected(model("vit", A), below, above) is True
    assert expected(model("vit", A), below, extracted(A, "load_error", 9, "bert", cause="rank")) is True
    assert expected(model("vit", A), below, extracted(A, "load_error", 9, "vit", cause="rank")) is False


def test_quantized_modules_promise_what_unpacks_small_weights(model, record):
    module = record("quantization.linear", kind=Kind.QUANTIZATION, recipe=INT4, delegated={A: 1, B: 1})
    assert forecast(model("vit", A, B, recipe=INT4), record(A), module).expected is True


def test_an_operator_that_was_never_tried_promises_nothing(model, record):
    found = forecast(model("vit", A, B), record(A))
    assert (found.expected, found.untried) == (None, (B,))
    assert forecast(model("vit", A, B), record(A, "convert_error")).expected is False


def test_what_judges_nothing_is_as_if_it_was_not_tried(model, record):
    assert forecast(model("vit", A), record(A, "not_run")).untried == (A,)


def test_where_an_operator_was_not_tried_its_precision_stands_for_it(model, record):
    records = [record(A), record(A, "wrong_value", recipe="fp32-ios18"), record(B, "convert_error", recipe=INT4)]
    assert forecast(model("vit", A, recipe=INT4), *records).expected is True
    assert forecast(model("vit", A, B, recipe=INT4), *records).expected is False
    assert standing_for("default") == standing_for(INT4) == "fp16-ios18"
    assert standing_for("fp32-ios16") == "fp32-ios18"


def test_the_graph_of_another_recipe_serves_where_lowering_failed(model, record):
    records = [model("vit", A), model("vit", outcome="convert_error", recipe="fp32-ios18"), record(A)]
    records.append(record(A, recipe="fp32-ios18"))
    found = {one.record.recipe: one for one in forecasts(models_of(records), promises_of(records))}
    assert found["fp32-ios18"].expected is True
    assert not found["fp32-ios18"].agrees
    assert forecast(model("vit", outcome="convert_error"), record(A)).expected is None


def test_a_partly_delegated_operator_keeps_no_promise(model, record):
    assert forecast(model("vit", A), record(A, "fallback")).expected is False


def test_the_table_of_two_by_two(model):
    passing, failing = model("a"), model("a", outcome="partial")
    pairs = [(True, passing)] * 3 + [(True, failing)] + [(False, passing)] * 2 + [(False, failing)] + [(None, failing)]
    found = agreement(Forecast("a", record, expected) for expected, record in pairs)
    assert found == Agreement(hits=3, misses=1, false_alarms=2, warned=1, unknown=1)
    assert (found.precision, found.recall) == (0.75, 0.6)
    assert (agreement([]).precision, agreement([]).recall) == (None, None)


def test_what_was_not_judged_has_no_forecast(model, record):
    records = [model("vit", A, outcome=Outcome.NOT_RUN), record(A)]
    assert forecasts(models_of(records), promises_of(records)) == []
