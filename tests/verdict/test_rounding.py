"""What is rounded of a program before anything is computed: inputs, weights and the numbers written in it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_map_only

from harness.verdict.oracle import truth
from harness.verdict.rounding import RoundOperands, with_rounded_operands
from harness.verdict.tolerance import FP16, FP32

X = torch.tensor([[0.5, -2.0, 3.0], [1.0, 0.25, -8.0]])
THIRD = torch.tensor(1 / 3, dtype=torch.float64)


class Fn(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, *args):
        return self.fn(*args)


def rounded(fn, *inputs, f=FP16):
    return with_rounded_operands(truth(Fn(fn), inputs), f)


def test_operands_that_are_representable_change_nothing():
    assert rounded(lambda x: x * 0.5 + 2, X) is None
    assert rounded(lambda x: x.sum() / 4, X) is None


@pytest.mark.parametrize(
    ("fn", "by_hand"),
    [
        (lambda x: x * 0.1, lambda x: x * FP16.round(torch.tensor(0.1, dtype=torch.float64))),
        (lambda x: torch.where(x > 0, x, torch.tensor(0.3)), lambda x: torch.where(x > 0, x, half(0.3))),
        (lambda x: torch.cat([x, torch.tensor([[0.1, 0.3, 0.7]])]), lambda x: torch.cat([x, half([[0.1, 0.3, 0.7]])])),
        (lambda x: x + torch.full((3,), 1 / 3), lambda x: x + half([1 / 3] * 3)),
    ],
    ids=["scalar", "where", "cat", "full"],
)
def test_numbers_written_in_a_program_are_rounded(fn, by_hand):
    assert torch.equal(rounded(fn, X)[0], by_hand(X.double()))


def half(numbers):
    return torch.tensor(numbers).half().double()


def test_inputs_and_weights_are_rounded():
    linear = nn.Linear(3, 2)
    got = with_rounded_operands(truth(linear, (X / 3,)), FP16)[0]
    by_hand = F.linear((X / 3).half().double(), linear.weight.half().double(), linear.bias.half().double())
    torch.testing.assert_close(got, by_hand.detach(), rtol=1e-12, atol=0)


def test_geometry_is_not_rounded():
    image = torch.arange(81.0).reshape(1, 1, 9, 9)
    assert rounded(lambda x: F.interpolate(x, scale_factor=1.3, mode="nearest"), image) is None


def test_results_of_another_shape_say_nothing():
    x = torch.tensor([1 / 3, 0.5, 1.0])
    assert rounded(lambda x: x[x.double() == 1 / 3], x.double()) is None
    assert rounded(lambda x: x[x > 0.4] / 3, x)[0].shape == (2,)


def test_a_program_in_its_own_dtype_is_exact_in_float32_and_rounded_below():
    def refuses(x):
        if x.dtype == torch.float64:
            raise NotImplementedError("no kernel for Double")
        return x / 3

    x = X / 3
    right = truth(Fn(refuses), (x,))
    assert not right.exact
    assert with_rounded_operands(right, FP32) is None
    assert torch.equal(with_rounded_operands(right, FP16)[0].float(), x.half().float() / 3)


def test_what_a_subclass_is_made_of_is_left_alone():
    class Pair(torch.Tensor):
        """A traceable wrapper of one tensor, as a quantized weight is."""

        @staticmethod
        def __new__(cls, inner):
            return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)

        def __init__(self, inner):
            self.inner = inner

        def __tensor_flatten__(self):
            return ["inner"], None

        @staticmethod
        def __tensor_unflatten__(inner, meta, size, stride):
            return Pair(inner["inner"])

        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            args, kwargs = tree_map_only(Pair, lambda t: t.inner, (args, kwargs or {}))
            return func(*args, **kwargs)

    mode = RoundOperands(FP16)
    held = Pair(THIRD.reshape(1))
    assert mode.tensor(held) is held
    assert not mode.changed
    assert not torch.equal(mode.tensor(held.inner), held.inner)
    assert mode.changed


def test_whether_anything_changed_is_told_of_values_that_matter():
    mode = RoundOperands(FP16)
    mode.tensor(torch.tensor([float("nan"), float("inf"), 1.0], dtype=torch.float64))
    assert not mode.changed
