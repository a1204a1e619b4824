"""Tensors for `TensorSpec`s: value sets by name, layouts in memory, all on the fp16 grid and from one seed.

The sets follow what numerical conformance suites feed: a ladder over the useful range, all four quadrants, ties of
rounding, powers of two, infinities and NaN, masks, integers at the limits of 16, 24 and 31 bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.cases.calls import TensorSpec
from harness.evidence.vocabulary import HarnessError

if TYPE_CHECKING:
    import torch

_STEPS = (0.0, 1e-3, 0.1, 0.5, 1.0, 1.5, 2.5, 5.0, 10.4, 20.0, 88.0, 300.0)
#: Value sets that are lists, cut to the domain (`low`, `high`) of the tensor and dealt out in a shuffled order.
SETS: dict[str, tuple[float, ...]] = {
    "ladder": tuple(sign * step for step in _STEPS for sign in (1.0, -1.0)),
    "far": (1000.0, -1000.0, 20000.0, -20000.0, 65504.0, -65504.0, 1.0, -1.0),
    "special": (math.inf, -math.inf, math.nan, 0.0, -0.0, 1.0, -1.0, 2.5),
    "infinite": (math.inf, -math.inf, 0.0, 1.0, -1.0, 2.5),
    "mask": (-65504.0, 0.0, 0.0, -65504.0, 0.0),
    "ties": (0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 3.5, -3.5, 0.0, 7.0),
    "powers": tuple(sign * 2.0**power for power in range(-14, 16, 3) for sign in (1.0, -1.0)),
    "tiny": (2.0**-14, -(2.0**-14), 2.0**-12, -(2.0**-12), 2.0**-10, 0.0),
    "int15": (2**15 - 1, 2**15, -(2**15), -(2**15) - 1, 2**16, 1, 0),
    "int24": (2**24 - 1, 2**24, 2**24 + 1, -(2**24) - 1, 2, 0),
    "int31": (2**31 - 1, -(2**31), 2**30 + 1, -(2**30) - 1, 1, 0),
    "beyond31": (2**31, -(2**31) - 1, 2**33 + 1, 1, 0),
}


def _quadrants(pattern: tuple[int, ...]) -> Callable[[Any, TensorSpec], Any]:
    def draw(magnitude: Any, spec: TensorSpec) -> Any:
        import torch

        signs = torch.tensor(pattern).repeat(-(-magnitude.numel() // len(pattern)))[: magnitude.numel()]
        return magnitude.abs().add(0.5) * signs.reshape(magnitude.shape)

    return draw


def _distinct(magnitude: Any, spec: TensorSpec) -> Any:
    import torch

    order = torch.argsort(magnitude.flatten()).argsort()
    return (order - magnitude.numel() // 2).reshape(magnitude.shape) / 4


def _whole(magnitude: Any, spec: TensorSpec) -> Any:
    return magnitude.round()


#: Value sets made from a uniform draw.
MADE: dict[str, Callable[[Any, TensorSpec], Any]] = {
    "quadrants0": _quadrants((1, 1, -1, -1)),
    "quadrants1": _quadrants((1, -1, 1, -1)),
    "distinct": _distinct,
    "whole": _whole,
}
LAYOUTS = ("transposed", "sliced", "expanded", "channels_last", "channels_last_3d", "flipped_storage")
#: What is drawn where nothing is said; integers inclusive.
DEFAULT_RANGE = (-4.0, 4.0)


def draw(spec: TensorSpec, generator: torch.Generator) -> torch.Tensor:
    """The tensor of a spec. Raises `HarnessError` for an unknown value set or layout."""
    import torch

    from harness.cases.opinfo import on_fp16_grid

    dtype = getattr(torch, spec.dtype)
    if spec.data is not None:
        return torch.tensor(spec.data, dtype=dtype)
    values = _values(spec, generator)
    if dtype.is_complex:
        values = torch.complex(values.float(), _values(spec, generator).float())
    if spec.dtype == "bool":
        values = values > 0
    elif not dtype.is_floating_point and not dtype.is_complex:
        limits = torch.iinfo(dtype)
        if spec.low is not None and spec.high is not None and math.ceil(spec.low) <= math.floor(spec.high):
            values = values.round().clamp(math.ceil(spec.low), math.floor(spec.high))  # 0.25 to 4 leaves out 0
        values = values.round().nan_to_num(0.0, 0.0, 0.0).clamp(limits.min, limits.max)
        if not limits.min:
            values = values.abs()
    tensor = on_fp16_grid(values.to(dtype)) if spec.values not in ("far", "powers") else values.to(dtype)
    return _laid_out(tensor, spec.layout)


def _values(spec: TensorSpec, generator: torch.Generator) -> torch.Tensor:
    """float64 values in the spec's shape."""
    import torch

    low, high = DEFAULT_RANGE if spec.low is None or spec.high is None else (spec.low, spec.high)
    if spec.values in SETS:
        domain = [v for v in SETS[spec.values] if spec.low is None or not math.isfinite(v) or low <= v <= high]
        count = max(math.prod(spec.shape), 1)
        table = torch.tensor((domain or [low, high]) * (count // max(len(domain), 1) + 1), dtype=torch.float64)
        table = table[:count][torch.randperm(count, generator=generator)]
        return table[: math.prod(spec.shape)].reshape(spec.shape)
    uniform = torch.rand(spec.shape, generator=generator, dtype=torch.float64) * (high - low) + low
    if not spec.values:
        return uniform
    if spec.values not in MADE:
        raise HarnessError(f"unknown value set {spec.values!r}: one of {', '.join((*SETS, *MADE))}")
    return MADE[spec.values](uniform, spec)


def _laid_out(tensor: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values with other strides; `HarnessError` for an unknown name, the tensor itself where it cannot be."""
    import torch

    if not layout:
        return tensor
    if layout not in LAYOUTS:
        raise HarnessError(f"unknown layout {layout!r}: one of {', '.join(LAYOUTS)}")
    if layout == "transposed" and tensor.dim() >= 2:
        return tensor.transpose(-1, -2).contiguous().transpose(-1, -2)
    if layout == "sliced" and tensor.dim() >= 1:
        wide = tensor.repeat_interleave(2, dim=-1)
        return wide[..., ::2]
    if layout == "expanded" and tensor.dim() >= 2:
        return tensor[:1].expand(tensor.shape)
    if layout == "channels_last" and tensor.dim() == 4:
        return tensor.contiguous(memory_format=torch.channels_last)
    if layout == "channels_last_3d" and tensor.dim() == 5:
        return tensor.contiguous(memory_format=torch.channels_last_3d)
    if layout == "flipped_storage" and tensor.dim() >= 1:
        # Column-major: every stride in the opposite order.
        return tensor.permute(*range(tensor.dim() - 1, -1, -1)).contiguous().permute(*range(tensor.dim() - 1, -1, -1))
    return tensor
