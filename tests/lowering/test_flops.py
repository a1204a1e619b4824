"""FLOPs against numbers counted by hand: two for a multiplication and an addition."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from harness.cases.case import Built, Partitioning
from harness.evidence.recipe import Recipe
from harness.lowering import islands as islands_of_program
from harness.lowering.flops import flops_of
from harness.lowering.islands import division_of
from harness.lowering.lower import export, lower

#: A convolution of 3x3x3 weights for 8 channels of 8x8, and a linear layer of 8 to 5 for 8x8 rows.
CONVOLUTION, LINEAR = 2 * 27 * 8 * 64, 2 * 8 * 5 * 64


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.linear = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x):
        return self.linear(torch.asinh(self.convolution(x)))


def graph(module, *inputs, **options):
    return torch.export.export(module.eval(), inputs, **options).graph.nodes


def lowered(skip=()):
    how = Partitioning(options=(("skip_ops_for_coreml_delegation", list(skip)),)) if skip else Partitioning()
    built = Built(Small().eval(), (torch.randn(1, 3, 8, 8),), seed=0, partitioning=how)
    return lower(export(built), Recipe.parse("fp16-ios18"))


def test_as_torch_counts_a_module():
    x = torch.randn(1, 3, 8, 8)
    with FlopCounterMode(display=False) as counter:
        Small()(x)
    assert flops_of(graph(Small(), x)) == CONVOLUTION + LINEAR == counter.get_total_flops()


def test_attention_is_two_matrix_products():
    class Attention(nn.Module):
        def forward(self, q, k, v):
            return nn.functional.scaled_dot_product_attention(q, k, v)

    q, k = torch.randn(1, 2, 6, 4), torch.randn(1, 2, 9, 4)
    assert flops_of(graph(Attention(), q, k, k)) == 2 * (2 * 2 * 6 * 9 * 4)


def test_attention_by_the_kernel_of_the_cpu_counts_the_same():
    """torch's own counter passes it over."""

    class Attention(nn.Module):
        def forward(self, q, k, v):
            return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)[0]

    q, k = torch.randn(1, 2, 6, 4), torch.randn(1, 2, 9, 4)
    assert flops_of(graph(Attention(), q, k, k)) == 2 * (2 * 2 * 6 * 9 * 4)


def test_what_is_no_product_has_none():
    class Plain(nn.Module):
        def forward(self, x):
            return torch.softmax(x, -1).sum()

    assert flops_of(graph(Plain(), torch.randn(4, 4))) == 0


def test_a_cast_to_a_device_has_none():
    class Cast(nn.Module):
        def forward(self, x):
            return x.to("cpu", torch.bool).to(device="cpu", dtype=torch.float32) @ x

    assert flops_of(graph(Cast(), torch.randn(4, 4))) == 2 * 4 * 4 * 4


def test_grouped_queries_count_as_attention_of_every_query():
    class Grouped(nn.Module):
        def forward(self, q, k, v):
            return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    q, k = torch.randn(1, 4, 6, 8), torch.randn(1, 2, 6, 8)
    assert flops_of(graph(Grouped(), q, k, k)) == 2 * (2 * 4 * 6 * 6 * 8)


def test_a_dynamic_size_is_that_of_the_example():
    x = torch.randn(1, 3, 8, 8)
    assert flops_of(graph(Small(), x, dynamic_shapes=({2: torch.export.Dim("h", min=4, max=64)},))) == (
        CONVOLUTION + LINEAR
    )


def test_a_size_known_at_run_time_only_has_no_count():
    class Selected(nn.Module):
        def forward(self, x, mask):
            return x[mask.nonzero().squeeze(1)] @ x.T

    assert flops_of(graph(Selected(), torch.randn(6, 4), torch.ones(6, dtype=torch.bool))) is None


@pytest.mark.parametrize(
    ("skip", "outside"),
    [((), 0), (("aten.linear.default",), LINEAR)],
    ids=["all", "no linear"],
)
def test_flops_go_to_the_side_that_carries_them_out(skip, outside):
    division = division_of([lowered(skip).program])
    assert division.flops == CONVOLUTION + LINEAR
    assert division.delegated_flops == CONVOLUTION + LINEAR - outside


def test_a_wrong_attribution_would_be_seen(monkeypatch):
    """Planted: what fell back is counted as delegated."""
    program = lowered(("aten.linear.default",)).program
    right = division_of([program])
    flops = islands_of_program._flops
    monkeypatch.setattr(islands_of_program, "_flops", lambda programs: (flops(programs)[0],) * 2)
    assert right.delegated_flops == CONVOLUTION != division_of([program]).delegated_flops
