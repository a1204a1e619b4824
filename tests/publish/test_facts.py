import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.universe import read_universe
from harness.publish.calls import read_call
from harness.publish.facts import EXACT, HOW, NUMBER, OWN, PLAIN, VALUES, facts
from harness.publish.schema import parameters

ADD = "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor"
ADD_SCALAR = "aten::add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor"
GELU = "aten::gelu(Tensor self, *, str approximate='none') -> Tensor"
POOL = (
    "aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, "
    "bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor"
)
LOSS = "aten::mse_loss(Tensor self, Tensor target, int reduction=Mean) -> Tensor"
CONV = (
    "aten::conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=1, SymInt[2] dilation=1) -> Tensor"
)
NORM = (
    "aten::batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
    "bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor"
)


def told(text, schema="", **how):
    call = read_call(text)
    assert call is not None, text
    return facts(call, parameters(schema) if schema else (), **how)


@pytest.mark.parametrize(
    ("text", "schema", "fact"),
    [
        ("add(float32[2], float32[2], alpha=0.5)", ADD, "`alpha` other than 1"),
        ("add(float32[2], float32[2], alpha=1.0)", ADD, "`alpha` at its default of 1"),
        ("add(float32[2], float32[2])", ADD, "`alpha` left out"),
        ("add(float32[2], 2)", ADD_SCALAR, "a number as `other`"),
        ("add(float32[2], True)", ADD_SCALAR, "an integer or bool as `other`"),
        ("add(float32[2], float32[2])", ADD, "a tensor as `other`"),
        ("gelu(float32[2], approximate='tanh')", GELU, "`approximate` other than 'none'"),
        ("gelu(float32[2], approximate='none')", GELU, "`approximate` at its default of 'none'"),
        ("avg_pool2d(float32[1, 2, 8, 8], [3, 3], [2, 2], [0, 0], False, True, 5)", POOL, "`divisor_override` given"),
        ("avg_pool2d(float32[2, 8, 8], 3)", POOL, "an input without batch dimension"),
        ("avg_pool2d(float32[1, 2, 8, 8], 3, ceil_mode=True)", POOL, "`ceil_mode=True`"),
        ("mse_loss(float32[2], float32[2])", LOSS, "`reduction` at its default of 'mean'"),
        ("mse_loss(float32[2], float32[2], reduction='mean')", LOSS, "`reduction` at its default of 'mean'"),
        ("mse_loss(float32[2], float32[2], reduction=0)", LOSS, "`reduction='none'`"),
        ("conv2d(float32[1], float32[1, constant=True], dilation=[1, 2])", CONV, "`dilation` above 1"),
        ("conv2d(float32[1], float32[1], dilation=[1, 1])", CONV, "`dilation` at its default of 1"),
        ("conv2d(float32[1], float32[1])", CONV, "`weight` that is no constant"),
        ("conv2d(float32[1], float32[1, constant=True])", CONV, "`weight` that is a constant"),
        ("conv2d(float32[1], float32[1], float32[1])", CONV, "`bias` given"),
        ("cumsum(float32[2, 3], -2)", "aten::cumsum(Tensor self, int dim) -> Tensor", "negative `dim` other than -1"),
        ("repeat(float32[2], [2, 0])", "aten::repeat(Tensor self, SymInt[] repeats) -> Tensor", "a 0 in `repeats`"),
        ("repeat(float32[2], [])", "aten::repeat(Tensor self, SymInt[] repeats) -> Tensor", "an empty `repeats`"),
        ("f(float32[])", "", "a 0-dimensional tensor"),
        ("f(int32[2])", "", "an input of integers"),
        ("f(float32[2, 0])", "", "a size of 0"),
        ("f(float32[1, 1, 1, 1, 1, 2])", "", "rank above 5"),
        ("f(float32[2, layout='transposed'])", "", "an input that is not contiguous"),
        ("f(float32[2], int32[2])", "", "tensors of different dtypes"),
        ("f(float32[2], float32[2, 2])", "", "tensors of different ranks"),
        ("f(float32[2, values='special'])", "", VALUES["special"]),
    ],
)
def test_what_is_true_of_a_call_is_told(text, schema, fact):
    assert fact in told(text, schema)


@pytest.mark.parametrize(
    ("text", "schema", "fact"),
    [
        ("add(float32[2], float32[2])", ADD, "`alpha` other than 1"),
        ("add(float32[2], float32[2], alpha=1)", ADD, "`alpha` left out"),
        ("avg_pool2d(float32[1, 2, 8, 8], 3)", POOL, "an input without batch dimension"),
        ("cumsum(float32[2, 3], -1)", "aten::cumsum(Tensor self, int dim) -> Tensor", "negative `dim` other than -1"),
        ("f(float32[2])", "", "an input of integers"),
        ("f(float32[2, 2])", "", "a 0-dimensional tensor"),
        ("f(float32[2])", "", "called as `torch.ops.aten.f`"),
    ],
)
def test_what_is_not_true_is_not(text, schema, fact):
    assert fact not in told(text, schema)


def test_arguments_of_a_public_function_stand_in_its_own_order():
    text = "batch_norm(float32[2, 3], float32[3], float32[3], None, None, True)"
    public, operator = told(text, NORM), told(text, NORM, public=False)
    assert "a tensor as `running_mean`" in public
    assert "`weight=None`" in public
    assert "a tensor as `weight`" in operator
    assert "`running_mean=None`" in operator
    assert {"`training=True`"} <= public.keys() & operator.keys()


def test_how_it_is_called_weighs_most_of_all():
    found = told("add(float32[2], float32[2], alpha=2)", ADD, direct=True, overload="Tensor")
    assert found["called as `torch.ops.aten.add`"] == HOW
    assert "the overload `Tensor`" in found
    assert found["`alpha` other than 1"] == OWN < PLAIN < EXACT < HOW < NUMBER == found["`alpha=2`"]


universe = read_universe()
numbers = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, -1.5])
values = numbers | st.lists(st.integers(-2, 3), max_size=3) | st.sampled_from(["'mean'", "'none'"])
arguments = values | st.sampled_from(
    ["float32[2, 3]", "int32[]", "bool[1, constant=True]", "torch.float16", "[float32[2]]"]
)


@given(st.sampled_from(sorted({**universe.operators, **universe.beside})), st.data())
@settings(max_examples=100, deadline=None)
def test_every_call_of_every_operator_has_facts(name, data):
    """Whatever is given: no argument makes a fact that names none, and a call has the same facts each time."""
    schema = universe.schema(name)
    positional = data.draw(st.lists(arguments, max_size=5))
    keywords = data.draw(st.dictionaries(st.sampled_from(["dim", "alpha", "reduction"]), values, max_size=2))
    text = f"f({', '.join([*map(str, positional), *(f'{k}={v}' for k, v in keywords.items())])})"
    found = told(text, schema, overload=name.rpartition(".")[2])
    assert found == told(text, schema, overload=name.rpartition(".")[2])
    assert all(OWN <= weight <= NUMBER for weight in found.values())
    assert not [fact for fact in found if "``" in fact or "Parameter(" in fact or "Unread(" in fact]
