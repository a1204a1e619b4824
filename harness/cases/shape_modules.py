"""Modules that take inputs of several sizes, by name. Importing this imports torch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f


class Calls(nn.Module):
    """`function(*parts, *inputs)`."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*self.parts, *inputs)


class Pair(nn.Module):
    """Two inputs whose sizes have nothing to do with each other."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.first(x).sum() + self.second(y)


class Scaled(nn.Module):
    def forward(self, x: Tensor, y: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        return x * scale, y.sum(0) * scale


class Sum(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


def _attention(project: nn.Module, x: Tensor) -> Tensor:
    batch, length, _ = x.shape
    query, key, value = (part.view(batch, length, 2, 4).transpose(1, 2) for part in project(x).chunk(3, -1))
    found = f.scaled_dot_product_attention(query, key, value)
    return found.transpose(1, 2).reshape(batch, length, 8)


def _causal(x: Tensor) -> Tensor:
    mask = torch.tril(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool))
    return torch.softmax((x @ x.transpose(1, 2)).masked_fill(~mask, -100.0), -1) @ x


def _counted(count: Tensor) -> int:
    """The number in a tensor, of which `torch.export` is told that it is from 1 to 6."""
    size = count.item()
    torch._check(size >= 1)
    torch._check(size <= 6)
    return size  # type: ignore[return-value]


def _calls(function: Callable[..., Any]) -> Callable[[], nn.Module]:
    return lambda: Calls(function)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "linear": partial(nn.Linear, 6, 4),
    "mlp": lambda: nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 4), nn.Softmax(-1)),
    "conv1d": partial(nn.Conv1d, 3, 4, 3),
    "conv2d": partial(nn.Conv2d, 3, 4, 3, padding=1),
    "conv2d-stride": partial(nn.Conv2d, 3, 4, 3, stride=2),
    "conv-transpose2d": partial(nn.ConvTranspose2d, 3, 4, 2, stride=2),
    "batch-norm": partial(nn.BatchNorm2d, 3),
    "group-norm": lambda: nn.GroupNorm(1, 3),
    "max-pool2d": partial(nn.MaxPool2d, 2),
    "avg-pool2d": partial(nn.AvgPool2d, 3, stride=2, padding=1),
    "adaptive-avg-pool2d": partial(nn.AdaptiveAvgPool2d, 1),
    "upsample-nearest": partial(nn.Upsample, scale_factor=2),
    "upsample-bilinear": partial(nn.Upsample, scale_factor=2, mode="bilinear"),
    "pad": _calls(lambda x: f.pad(x, (1, 2, 3, 0))),
    "attention": lambda: Calls(_attention, nn.Linear(4, 24)),
    "attention-causal": _calls(_causal),
    "positions": lambda: Calls(lambda table, x: x + table(torch.arange(x.shape[1])), nn.Embedding(16, 4)),
    "embedding": partial(nn.Embedding, 20, 4),
    "layer-norm": partial(nn.LayerNorm, 4),
    "sum": _calls(lambda x: x.sum(1)),
    "mean-and-max": _calls(lambda x: (x.mean(1), x.amax(1), x.argmax(1))),
    "softmax": _calls(lambda x: torch.softmax(x, 1)),
    "cumsum": _calls(lambda x: torch.cumsum(x, 1)),
    "flatten": _calls(lambda x: x.flatten(0, 1)),
    "reshape-to-rest": _calls(lambda x: x.reshape(2, -1)),
    "view-of-size": _calls(lambda x: x.view(x.shape[0] * x.shape[1], 2, 2)),
    "unsqueeze-and-permute": _calls(lambda x: x.unsqueeze(1).permute(0, 3, 2, 1)),
    "cat": _calls(lambda x: torch.cat([x, x * 2], 1)),
    "cat-with-fixed": _calls(lambda x: torch.cat([x[:, :1], torch.zeros(2, 3, 4), x], 1)),
    "stack-and-split": _calls(lambda x: torch.stack([x, -x]).split(1)),
    "slice": _calls(lambda x: (x[:, 1:], x[:, -2:], x[:, ::2])),
    "half": _calls(lambda x: x[:, : x.shape[1] // 2]),
    "times-size": _calls(lambda x: x * x.shape[1]),
    "sum-by-size": _calls(lambda x: x.sum(1) / x.shape[1]),
    "zeros-of-size": _calls(lambda x: torch.zeros(x.shape[1], 2) + x.sum()),
    "expand": _calls(lambda x: x[:, :1].expand(-1, x.shape[1], -1) + x),
    "repeat": _calls(lambda x: x.repeat(1, 2, 1)),
    "flip-and-roll": _calls(lambda x: x.flip(1).roll(1, 1)),
    "topk": _calls(lambda x: torch.topk(x, 2, 1)[0]),
    "where": _calls(lambda x: torch.where(x > 0, x, x.mean(1, keepdim=True))),
    "add": Sum,
    "matmul": _calls(torch.matmul),
    "pair": Pair,
    "scaled": Scaled,
    "nonzero": _calls(lambda x: torch.nonzero(x > 0)),
    "masked-select": _calls(lambda x: x[x > 0] * 2),
    "masked-sum": _calls(lambda x: x[x > 0].sum() + x),
    "item-slice": _calls(lambda x, count: x[: _counted(count)] * 2),
    "item-size": _calls(lambda x, count: torch.ones(_counted(count)) + x.sum()),
    "repeat-interleave": _calls(lambda x, count: torch.repeat_interleave(x, count.expand(6), 0)),
    "unique": _calls(lambda x: torch.unique(torch.sign(x))),
}
