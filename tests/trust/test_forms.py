"""Forms of a user's module of which `tests/test_forms.py` has fewer: quantized modules, numbers and sizes that come
back, control flow."""

import sys
from pathlib import Path

import pytest
import torch
import torch.ao.quantization.fx._decomposed
import torch.nn.functional as F
from torch import nn

from harness.evidence.vocabulary import Outcome

sys.path.insert(0, str(Path(__file__).parent))

from rows import Call, Row, hold

PASS, UNSUPPORTED = Outcome.PASS, Outcome.UNSUPPORTED
QUANTIZED = torch.ops.quantized_decomposed
X = torch.linspace(-1, 1, 12).reshape(3, 4)
Dim = torch.export.Dim


class Convolution(nn.Module):
    """Weights quantized by channel, as conversion from PT2E leaves them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 128, (4, 2, 3, 3), dtype=torch.int8))
        self.register_buffer("scale", torch.full((4,), 0.01))
        self.register_buffer("zero", torch.zeros(4, dtype=torch.int64))

    def forward(self, x):
        weight = QUANTIZED.dequantize_per_channel(self.weight, self.scale, self.zero, 0, -127, 127, torch.int8)
        return F.conv2d(x, weight).relu()


class Product(nn.Module):
    """Weights quantized as a whole."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 128, (4, 8), dtype=torch.int8))

    def forward(self, x):
        return x @ QUANTIZED.dequantize_per_tensor(self.weight, 0.02, 0, -127, 127, torch.int8).mT


def on_a_grid(x, scale, zero, dtype):
    range_ = torch.iinfo(dtype).min, torch.iinfo(dtype).max
    stored = QUANTIZED.quantize_per_tensor(x, scale, zero, *range_, dtype)
    return QUANTIZED.dequantize_per_tensor(stored, scale, zero, *range_, dtype)


class Activations(nn.Module):
    """Inputs and results quantized, to integers with and without a sign."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x):
        return on_a_grid(self.linear(on_a_grid(x, 0.05, 128, torch.uint8)), 0.02, 0, torch.int8)


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = Convolution(), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.conv(on_a_grid(x, 0.03, 0, torch.int8)).mean((-1, -2)))


def converted(module, *inputs):
    return torch.export.export(module.eval(), inputs).module(), inputs


def quantized_weights(module, which=lambda module, name: isinstance(module, nn.Linear), **config):
    from torchao.quantization.quant_api import IntxWeightOnlyConfig, quantize_

    quantize_(module, IntxWeightOnlyConfig(**config), which)
    return module


def by_axis():
    from torchao.quantization.granularity import PerAxis

    return {"granularity": PerAxis(0)}


def by_group(size):
    from torchao.quantization.granularity import PerGroup

    return {"granularity": PerGroup(size)}


def mlp():
    return nn.Sequential(nn.Linear(32, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 8))


class Sized(nn.Module):
    """Gives back a size that is known at run time only."""

    def forward(self, x):
        return x * 2, x.shape[0]


def of_either_sign(positive, negative):
    return Call(lambda x: torch.cond(x.sum() > 0, positive, negative, (x,)))


ROWS = {
    # quantized, as PT2E converts
    "convolution": Row(lambda: converted(Convolution(), torch.randn(1, 2, 6, 6)), PASS),
    "weights as a whole": Row(lambda: converted(Product(), torch.randn(3, 8)), PASS),
    "activations": Row(lambda: converted(Activations(), torch.randn(3, 8)), PASS),
    "activations and weights": Row(lambda: converted(Both(), torch.randn(1, 2, 6, 6)), PASS),
    # quantized by torchao
    "int4 by axis in a network": Row(
        lambda: (quantized_weights(mlp(), weight_dtype=torch.int4, **by_axis()), (torch.randn(2, 32),)), PASS
    ),
    "one layer by groups": Row(
        lambda: (
            quantized_weights(mlp(), lambda _, name: name == "0", weight_dtype=torch.int8, **by_group(16)),
            (torch.randn(2, 32),),
        ),
        PASS,
    ),
    "embedding": Row(
        lambda: (
            quantized_weights(
                nn.Sequential(nn.Embedding(20, 32), nn.Linear(32, 8)),
                lambda module, _: isinstance(module, (nn.Embedding, nn.Linear)),
                weight_dtype=torch.int8,
                **by_axis(),
            ),
            (torch.tensor([[1, 2, 3]]),),
        ),
        PASS,
    ),
    # numbers that come back
    "quotient of sizes": Row(lambda: (Call(lambda x: (x * 2, x.shape[0] / x.shape[1])), (X,)), PASS),
    "sizes in a dict": Row(lambda: (Call(lambda x: {"loss": None, "size": [*x.shape], "y": x + 1}), (X,)), PASS),
    "the number that was given": Row(lambda: (Call(lambda x, n: (x * n, n, None)), (X, 3)), PASS),
    # Core ML gives an array of one, and the runtime has a number to put it into.
    "size known at run time": Row(
        lambda: (Sized(), (X,), {"dynamic_shapes": ({0: Dim("batch", min=2, max=8)},), "calls": [X.new_ones(7, 4)]}),
        Outcome.RUN_ERROR,
    ),
    # control flow
    "branches of several operators": Row(
        lambda: (of_either_sign(lambda t: (t * 2).sin() + 1, lambda t: t.cos().relu()), (X,)), UNSUPPORTED
    ),
    "branch behind other layers": Row(
        lambda: (nn.Sequential(nn.Linear(4, 4), of_either_sign(lambda t: t + 1, lambda t: t - 1)), (X,)), UNSUPPORTED
    ),
    "branch by the largest": Row(
        lambda: (Call(lambda x, y: torch.cond(x.max() > y.max(), torch.add, torch.sub, (x, y))), (X, X / 2)),
        UNSUPPORTED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_form_is_answered(name, monkeypatch):
    hold(ROWS[name], monkeypatch)
