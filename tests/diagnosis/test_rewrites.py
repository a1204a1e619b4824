"""Each rewrite changes the module where it should, keeps what it computes, and leaves alone what needs no change."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.cases.case import Arguments, Built
from harness.diagnosis.rewrites import keeps_results, rewritten
from harness.evidence.remedy import REWRITES


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


def built(function, *inputs, **fields):
    return Built(Call(function), inputs, 0, **fields)


def test_inputs_become_contiguous_one_by_one():
    case = built(lambda x, n: x * n, torch.ones(3, 1).expand(3, 4), 2, calls=(Arguments((torch.ones(4, 3).T, 2)),))
    changed = rewritten("contiguous_inputs", case, "")
    assert changed.inputs[0].is_contiguous()
    assert changed.inputs[0].stride() == (4, 1)
    assert changed.calls[0].inputs[0].is_contiguous()
    assert changed.inputs[1] == 2
    assert torch.equal(changed.inputs[0], case.inputs[0])
    assert rewritten("contiguous_inputs", changed, "") is None


def test_the_stride_of_a_pool_is_given():
    x = torch.randn(1, 2, 8, 8)
    changed = rewritten("explicit_stride", built(lambda x: F.max_pool2d(x, 2) + 1, x), "aten.max_pool2d.default")
    program = torch.export.export(changed.module, changed.inputs)
    pool = next(node for node in program.graph.nodes if "max_pool2d" in str(node.target))
    assert pool.args[1:] == ([2, 2], [2, 2])
    assert torch.equal(changed.module(x), F.max_pool2d(x, 2) + 1)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda x: F.max_pool2d(x, 2, 2), "aten.max_pool2d.default"),  # it is there
        (lambda x: x + 1, "aten.add.Tensor"),  # no pool
        (lambda x: F.max_pool2d(x, 2), "aten.avg_pool2d.default"),  # not the one that is at fault
    ],
)
def test_no_stride_where_none_is_missing(function, operator):
    assert rewritten("explicit_stride", built(function, torch.randn(1, 2, 8, 8)), operator) is None


def test_integers_become_floats_before_the_operator():
    x = torch.tensor([1, 2, 3])
    changed = rewritten("float_inputs", built(lambda x: torch.sin(x) + x, x), "aten.sin.default")
    assert torch.allclose(changed.module(x), torch.sin(x) + x)
    program = torch.export.export(changed.module, (x,))
    sine = next(node for node in program.graph.nodes if "sin" in str(node.target))
    assert sine.args[0].meta["val"].dtype is torch.float32
    assert rewritten("float_inputs", built(torch.sin, torch.ones(3)), "aten.sin.default") is None


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint8])
def test_other_integers_become_int32(dtype):
    x = torch.tensor([1, 2, 3], dtype=dtype)
    changed = rewritten("int32_inputs", built(lambda x: x * 2, x), "aten.mul.Tensor")
    assert torch.equal(changed.module(x), (x * 2).to(torch.int32))
    assert rewritten("int32_inputs", built(lambda x: x * 2, x.to(torch.int32)), "aten.mul.Tensor") is None


def test_what_is_decomposed_is_lowered_as_it_is():
    x = torch.randn(2, 3)
    changed = rewritten("run_decompositions", built(F.hardswish, x), "")
    assert changed.program is not None
    assert "hardswish" not in str(changed.program.graph)
    assert torch.allclose(changed.module(x), F.hardswish(x), atol=1e-6)
    assert rewritten("run_decompositions", built(torch.sin, x), "") is None


def test_each_rewrite_says_what_its_author_writes():
    assert all("`" in text for text in REWRITES.values())
    for name in REWRITES:
        assert rewritten(name, built(torch.neg, torch.ones(3)), "aten.neg.default") is None


def test_a_rewrite_that_gives_something_else_is_told():
    """Floats in the place of integers are divided another way, and one that keeps every value is taken."""
    x = torch.tensor([3, 5])
    halves = built(lambda x: torch.div(x, 2) * 0 + x // 2 + torch.sin(x) * 0, x)
    as_floats = built(lambda x: torch.div(x.float(), 2), x)
    assert not keeps_results(halves, as_floats)
    sine = built(torch.sin, x)
    assert keeps_results(sine, rewritten("float_inputs", sine, "aten.sin.default"))
    assert not keeps_results(sine, built(lambda x: torch.sin(x)[:1], x))
