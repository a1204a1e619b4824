import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cases import generated
from harness.cases.calls import Ref, parse
from harness.cases.extraction import OF_CONSTANTS, RANDOM, WRITES, observed, rounded, trace
from harness.evidence.vocabulary import HarnessError


class Apply(torch.nn.Module):
    def __init__(self, function, **held):
        super().__init__()
        self.function = function
        for name, tensor in held.items():
            self.register_buffer(name, tensor)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def traced(function, *inputs, **held):
    module = Apply(function, **held).eval()
    return trace(torch.export.export(module, inputs), inputs, {})


def calls(function, *inputs, **held):
    return [str(call) for call in traced(function, *inputs, **held).calls()]


def test_a_call_has_its_arguments_and_says_which_tensors_the_program_holds():
    found = calls(lambda m, x: torch.conv2d(x, m.w, None, 2), torch.ones(1, 3, 8, 8), w=torch.full((4, 3, 3, 3), 0.5))
    image, weight = "float32(1, 3, 8, 8, low=1.0, high=1.0)", "float32(4, 3, 3, 3, low=0.5, high=0.5, constant=True)"
    assert found == [f"aten.conv2d.default({image}, {weight}, None, [2, 2])"]


def test_what_is_made_of_constants_alone_is_one_and_no_call_of_its_own():
    found = traced(lambda m, x: x + torch.arange(40).unsqueeze(0) * 2, torch.ones(1, 40))
    assert found.left_out() == {OF_CONSTANTS: 3}
    assert [str(call) for call in found.calls()] == [
        "aten.add.Tensor(float32(1, 40, low=1.0, high=1.0), int64(1, 40, low=0, high=64, constant=True))"
    ]


def test_a_buffer_that_is_written_to_is_no_constant():
    def count(module, x):
        module.seen.add_(1)
        return x * module.seen

    found = calls(count, torch.ones(3), seen=torch.zeros(3))
    assert found[0] == "aten.add.Tensor(float32(3, low=0.0, high=0.0), 1)"


def test_one_that_writes_stands_as_the_one_that_returns_and_later_uses_are_of_its_result():
    def relu(module, x):
        y = x * 2
        torch.relu_(y)
        return y + x

    found = traced(relu, torch.tensor([-1.0, 1.0]))
    assert [step.call.op for step in found.steps] == ["aten.mul.Tensor", "aten.relu.default", "aten.add.Tensor"]
    assert found.steps[2].call.refs()[0] == Ref(found.steps[1].name)


def test_one_that_writes_to_a_view_is_left_out():
    def write(module, x):
        y = x * 2
        y[0].zero_()
        return y

    assert traced(write, torch.ones(2, 2)).left_out()[WRITES] == 1


def test_one_result_of_several_is_named_by_its_number():
    found = traced(lambda m, x: torch.max(x, 1)[1] + 1, torch.ones(2, 3))
    assert found.steps[-1].call.refs() == [Ref(found.steps[0].name, 1)]


def test_graphs_in_a_graph_are_calls_like_others():
    def rotate(module, x):
        with torch.no_grad():
            y = x.sin()
        return y * x

    assert [call.op for call in traced(rotate, torch.ones(3)).calls()] == ["aten.sin.default", "aten.mul.Tensor"]


def test_chance_is_left_out_but_dropout_that_is_off_is_not():
    def drop(module, x):
        return torch.nn.functional.dropout(x + torch.rand(3), 0.1, False)

    found = traced(drop, torch.ones(3))
    assert found.left_out() == {RANDOM: 1}
    assert [call.op for call in found.calls()] == ["aten.add.Tensor", "aten.dropout.default"]
    assert traced(lambda m, x: torch.empty_like(x) * x, torch.ones(3)).left_out() == {RANDOM: 1}


def test_devices_are_left_out_of_arguments():
    found = calls(lambda m, x: x.to(torch.device("cpu"), torch.float16), torch.zeros(3))
    assert found == ["aten.to.dtype(float32(3, low=0.0, high=0.0), float16)"]


def test_a_graph_that_is_no_list_of_calls_is_told():
    def loop(module, x):
        return torch._higher_order_ops.while_loop(lambda y: y.sum() < 9, lambda y: (y + 1,), (x,))

    with pytest.raises(HarnessError, match="while_loop"):
        traced(loop, torch.zeros(3))


def test_masks_and_few_integers_are_told_by_their_values():
    mask = torch.tensor([0.0, torch.finfo(torch.float32).min, 0.0])
    assert str(observed(mask, constant=False)) == "float32(3, values='mask')"
    assert str(observed(torch.tensor([[True, False]]), constant=False)) == "bool([[True, False]])"
    assert str(observed(torch.ones(50, dtype=torch.bool), constant=False)) == "bool(50, low=1.0, high=1.0)"
    assert str(observed(torch.arange(3, 998), constant=False)) == "int64(995, low=2, high=512)"


def test_weights_keep_their_deviation_not_their_ends():
    weight = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    assert str(observed(weight, constant=True)) == "float32(10000, low=-2.0, high=2.0, constant=True)"
    assert str(observed(weight, constant=False)) == "float32(10000)"


@given(st.floats(-4, 4), st.floats(-4, 4))
def test_a_range_near_zero_is_widened_to_at_most_four_times(one, other):
    low, high = sorted((one, other))
    least, most = rounded(low, high)
    assert least - 2**-12 <= low <= high <= most + 2**-12
    assert max(-least, most) <= max(4 * max(-low, high), 2**-10)


@given(st.floats(-6e4, 6e4), st.floats(-6e4, 6e4), st.booleans())
def test_a_rounded_range_has_the_signs_of_the_range(one, other, nearest):
    low, high = sorted((one, other))
    least, most = rounded(low, high, nearest=nearest)
    if low > 2**-11:
        assert 0 < least < most
    if high < -(2**-11):
        assert least < most < 0


def test_a_range_far_from_zero_is_not_widened_so_that_nothing_overflows():
    assert rounded(-9.0, 9.0) == (-8.0, 8.0)
    assert rounded(0.0, 200.0) == (0.0, 128.0)
    assert rounded(5.0, 7.0) == (4.0, 8.0)


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 3), st.integers(1, 4), st.booleans())
def test_a_call_made_again_gives_what_it_gave(batch, channels, keep):
    def pool(module, x):
        y = torch.nn.functional.gelu(torch.conv2d(x, module.w))
        return torch.amax(y, (2, 3), keep), (x > 0).long()

    found = traced(pool, torch.randn(batch, channels, 5, 5), w=torch.randn(2, channels, 3, 3))
    for step in (step for step in found.steps if not found.reason(step)):
        module, inputs = generated.module_and_inputs(parse(str(found.call_of(step))), seed=0)
        result, was = module(*inputs), found.values[Ref(step.name)]
        assert (tuple(result.shape), str(result.dtype)) == (was.shape, f"torch.{was.dtype}")
