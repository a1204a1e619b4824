import pytest

from harness.evidence.usage import Usage
from harness.evidence.vocabulary import Kind
from harness.publish.priority import Priority, priorities


@pytest.fixture
def model(record):
    def build(name, outcome="pass", cause=None, recipe="fp16-ios18"):
        fields = {"case": f"models/{name}/float32/seed-0", "recipe": recipe, "kind": Kind.MODEL}
        return record(f"model.{name}", outcome, cause=cause, **fields)

    return build


@pytest.fixture
def call(record):
    def build(number, cause, calls, *models, recipe="fp16-ios18"):
        usage = Usage(models, calls)
        return record("aten.a.default", "wrong_value", number, cause=cause, recipe=recipe, usage=usage)

    return build


def test_a_model_counts_once_by_however_many_recipes(model):
    records = [model("bert", "partial", "a"), model("bert", "partial", "a", "fp32-ios18"), model("vit", "partial", "a")]
    assert priorities([*records, model("gpt2")]) == {"a": Priority(("bert", "vit"), 3, checks=3)}


def test_a_call_counts_as_often_as_models_make_it_and_once_by_all_recipes(call):
    records = [call(1, "a", 12, "bert", "vit"), call(1, "a", 12, "bert", "vit", recipe="fp32-ios18")]
    assert priorities([*records, call(2, "a", 2, "gpt2")])["a"] == Priority((), 0, 14, ("bert", "gpt2", "vit"), 3)


def test_a_block_counts_for_its_models_and_not_among_calls(record):
    block = record("block.Layer", "wrong_value", kind=Kind.DOCUMENTATION, cause="a", usage=Usage(("vit",), 4))
    assert priorities([block]) == {"a": Priority((), 0, 0, ("vit",), 1)}


def test_what_judges_nothing_strikes_nothing(model):
    assert priorities([model("bert", "not_run", "a"), model("vit", "invalid_case", "a")]) == {}


def test_more_models_come_first_then_more_calls_then_more_checks():
    order = [
        Priority(("a", "b"), 9, calls=0),
        Priority(("a",), 9, calls=30),
        Priority(("a",), 9, calls=3, checks=99),
        Priority((), 9, calls=3),
        Priority((), 9, checks=2),
        Priority((), 9, checks=1),
    ]
    mixed = [*order[3:], *order[:3]]
    assert sorted(mixed, key=lambda one: one.sort_key) == order


def test_the_order_of_records_changes_nothing(model, call):
    records = [model("vit", "partial", "a"), model("bert", "partial", "a"), call(1, "a", 2, "x"), call(2, "b", 1, "y")]
    assert priorities(records) == priorities(reversed(records))


@pytest.mark.parametrize(
    ("priority", "text"),
    [
        (Priority(), ""),
        (Priority((), 4), "strikes no model"),
        (Priority(("bert",), 4), "strikes 1 of 4 models (bert)"),
        (Priority(("bert",), 4, 1, ("bert",)), "strikes 1 of 4 models (bert), 1 extracted call"),
        (Priority(("bert",), 4, 6, ("bert", "vit")), "strikes 1 of 4 models (bert), 6 extracted calls (also of vit)"),
        (Priority((), 4, 2, ("vit",)), "strikes no model, 2 extracted calls (also of vit)"),
        (Priority((), 4, 0, ("vit",)), "strikes no model, extracted blocks of vit"),
        (Priority(("vit",), 4, 0, ("vit",)), "strikes 1 of 4 models (vit)"),
    ],
)
def test_in_words(priority, text):
    assert str(priority) == text
    assert priority.markdown.replace("`", "") == text
