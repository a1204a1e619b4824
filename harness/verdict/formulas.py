"""Formulas of composed operators, in ATen operators with rows of their own, where PyTorch has no such decomposition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def _dims(x: Tensor, dim: Any) -> list[int]:
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return list(range(x.dim()))
    return [dim] if isinstance(dim, int) else list(dim)


def var_mean(x: Tensor, dim: Any = None, correction: Any = 1, keepdim: bool = False, **_: Any) -> tuple[Tensor, Tensor]:
    """sum((x - mean)^2) / (n - correction), and the mean. The older overloads call the correction `unbiased`."""
    dims = _dims(x, dim)
    n = 1
    for d in dims:
        n *= x.shape[d]
    mean = torch.mean(x, dims, keepdim=True) if dims else x
    squares = torch.sub(x, mean).square()
    total = torch.sum(squares, dims, keepdim=keepdim) if dims else squares
    correction = 1 if correction is None else correction
    divisor = max(float(n) - float(correction), 0.0)
    return torch.div(total, divisor), mean if keepdim or not dims else mean.squeeze(dims)


def _biased(overload: Callable[..., Any]) -> Callable[..., Any]:
    """Adapter for `unbiased: bool` and for prims' positional `correction`."""

    def call(x: Tensor, *args: Any, unbiased: bool | None = None, correction: Any = 1, **kwargs: Any) -> Any:
        args_list = list(args)
        dim = kwargs.pop("dim", kwargs.pop("dims", None))
        for arg in list(args_list):
            if isinstance(arg, bool):
                if unbiased is None:
                    unbiased = arg
                else:
                    kwargs.setdefault("keepdim", arg)
            elif isinstance(arg, (list, tuple)) or arg is None:
                dim = arg
            else:
                correction = arg
        if unbiased is not None:
            correction = int(unbiased)
        return overload(x, dim, correction, kwargs.pop("keepdim", False))

    return call


def _var(x: Tensor, dim: Any, correction: Any, keepdim: bool) -> Tensor:
    return var_mean(x, dim, correction, keepdim)[0]


def _std(x: Tensor, dim: Any, correction: Any, keepdim: bool) -> Tensor:
    return torch.sqrt(var_mean(x, dim, correction, keepdim)[0])


def _std_mean(x: Tensor, dim: Any, correction: Any, keepdim: bool) -> tuple[Tensor, Tensor]:
    variance, mean = var_mean(x, dim, correction, keepdim)
    return torch.sqrt(variance), mean


def layer_norm(
    x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dims; with mean and 1 / sqrt."""
    dims = list(range(x.dim() - len(shape), x.dim()))
    variance, mean = var_mean(x, dims, 0, True)
    inverse = torch.rsqrt(torch.add(variance, eps))
    out = torch.mul(torch.sub(x, mean), inverse)
    if weight is not None:
        out = torch.mul(out, weight)
    if bias is not None:
        out = torch.add(out, bias)
    return out, mean, inverse


def group_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, n: int, c: int, hxw: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Layer norm of each group of channels, weight and bias per channel."""
    flat = x.reshape(n, group, -1)
    out, mean, inverse = layer_norm(flat, flat.shape[2:], None, None, eps)
    out = out.reshape(x.shape)
    per_channel = [1, c] + [1] * (x.dim() - 2)
    if weight is not None:
        out = torch.mul(out, weight.reshape(per_channel))
    if bias is not None:
        out = torch.add(out, bias.reshape(per_channel))
    return out, mean.reshape(n, group), inverse.reshape(n, group)


def batch_norm_inference(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """(x - running mean) / sqrt(running var + eps) * weight + bias, per channel."""
    per_channel = [1, x.shape[1]] + [1] * (x.dim() - 2)
    inverse = torch.rsqrt(torch.add(variance, eps))
    out = torch.mul(torch.sub(x, mean.reshape(per_channel)), inverse.reshape(per_channel))
    if weight is not None:
        out = torch.mul(out, weight.reshape(per_channel))
    if bias is not None:
        out = torch.add(out, bias.reshape(per_channel))
    return out, x.new_empty(0), x.new_empty(0)


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm, in training with the statistics of the batch per channel. `rest` ends with momentum and eps."""
    running = [r for r in rest if isinstance(r, Tensor)]
    training = next((r for r in rest if isinstance(r, bool)), True)
    if not training:
        return batch_norm_inference(x, weight, bias, running[0], running[1], 0.0, rest[-1])
    dims = [d for d in range(x.dim()) if d != 1]
    variance, mean = var_mean(x, dims, 0, True)
    inverse = torch.rsqrt(torch.add(variance, rest[-1]))
    out = torch.mul(torch.sub(x, mean), inverse)
    per_channel = [1, x.shape[1]] + [1] * (x.dim() - 2)
    if weight is not None:
        out = torch.mul(out, weight.reshape(per_channel))
    if bias is not None:
        out = torch.add(out, bias.reshape(per_channel))
    return out, mean.flatten(), inverse.flatten()


def batch_norm_with_update(*args: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return *batch_norm(*args), torch.empty(0, dtype=torch.uint8)


def cross(a: Tensor, b: Tensor, *, dim: int = -1) -> Tensor:
    """Two products and their difference, along a dim of size 3."""
    a, b = torch.broadcast_tensors(a, b)
    one, two = torch.tensor([1, 2, 0]), torch.tensor([2, 0, 1])
    left = torch.mul(a.index_select(dim, one), b.index_select(dim, two))
    return torch.sub(left, torch.mul(a.index_select(dim, two), b.index_select(dim, one)))


def ldexp(x: Tensor, other: Tensor) -> Tensor:
    return torch.mul(x, torch.pow(2.0, other))


def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    """Running log of a sum of exp, each prefix shifted by the maximum of the whole dim."""
    if x.dim() == 0 or x.numel() == 0:
        return torch.ops.aten._logcumsumexp(x, dim)
    top = torch.nan_to_num(x.amax(dim, keepdim=True), nan=0.0, posinf=0.0, neginf=0.0)
    return torch.add(torch.log(torch.cumsum(torch.exp(torch.sub(x, top)), dim)), top)


def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """max + log1p(exp(-|a - b|))."""
    top = torch.maximum(a, b)
    return torch.add(top, torch.log1p(torch.exp(-torch.abs(torch.sub(a, b)))))


def cdist(a: Tensor, b: Tensor, p: float, mode: int | None = None) -> Tensor:
    """Every row of `a` from every row of `b`: p-norm of the difference, or for p = 2 what `compute_mode` asks for:
    products where it is 1, and where it is 0 (the default) for more than 25 rows."""
    if p == 2 and (mode == 1 or (not mode and max(a.shape[-2], b.shape[-2]) > 25)):
        return euclidean(a, b)
    return vector_norm(torch.sub(a.unsqueeze(-2), b.unsqueeze(-3)), p, [-1])


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """sqrt(max(|a|^2 - 2 a b + |b|^2, 0)) by one matrix product, which cancels where the rows are close."""
    squares = [torch.sum(torch.mul(x, x), -1, keepdim=True) for x in (a, b)]
    left = torch.cat([torch.mul(a, -2), squares[0], torch.ones_like(squares[0])], -1)
    right = torch.cat([b, torch.ones_like(squares[1]), squares[1]], -1)
    return torch.sqrt(torch.clamp_min(torch.matmul(left, right.mT), 0))


def vector_norm(x: Tensor, order: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(sum |x|^p)^(1/p); maximum, minimum and count for p = inf, -inf, 0."""
    dims = _dims(x, dim)
    order = float(order)
    mag = torch.abs(x)
    if not dims or order in (float("inf"), float("-inf")) or order == 0:
        return torch.ops.aten.linalg_vector_norm(x, order, dim, keepdim)
    if order == 1:
        return torch.sum(mag, dims, keepdim=keepdim)
    if order == 2:
        return torch.sqrt(torch.sum(torch.mul(mag, mag), dims, keepdim=keepdim))
    return torch.pow(torch.sum(torch.pow(mag, order), dims, keepdim=keepdim), 1 / order)


def glu(x: Tensor, dim: int = -1) -> Tensor:
    a, b = x.chunk(2, dim)
    return torch.mul(a, torch.sigmoid(b))


def fake_quantize(x: Tensor, scale: Any, zero_point: Any, low: int, high: int) -> tuple[Tensor, Tensor]:
    """x / scale to the nearest integer between two bounds, and back; with a mask of what the bounds left alone."""
    steps = torch.add(torch.round(torch.div(x, scale)), zero_point)
    kept = torch.clamp(steps, low, high)
    return torch.mul(torch.sub(kept, zero_point), scale), kept == steps


def fake_quantize_per_channel(
    x: Tensor, scale: Tensor, zero_point: Tensor, axis: int, low: int, high: int
) -> tuple[Tensor, Tensor]:
    shape = [-1 if d == axis % x.dim() else 1 for d in range(x.dim())]
    return fake_quantize(x, scale.reshape(shape), zero_point.reshape(shape), low, high)


#: ATen packet -> formula with the packet's arguments. These come before PyTorch's decompositions.
FORMULAS: dict[str, Callable[..., Any]] = {
    "aten.var": _biased(_var),
    "aten.std": _biased(_std),
    "aten.var_mean": _biased(var_mean),
    "aten.std_mean": _biased(_std_mean),
    "prims.var": _biased(_var),
    "aten.native_layer_norm": layer_norm,
    "aten.native_group_norm": group_norm,
    "aten._native_batch_norm_legit_no_training": batch_norm_inference,
    "aten.native_batch_norm": batch_norm,
    "aten._native_batch_norm_legit": batch_norm,
    "aten._native_batch_norm_legit_functional": batch_norm,
    "aten._batch_norm_with_update": batch_norm_with_update,
    "aten.linalg_cross": cross,
    "aten.ldexp": ldexp,
    "aten._logcumsumexp": logcumsumexp,
    "aten.logcumsumexp": logcumsumexp,
    "aten.logaddexp": logaddexp,
    "aten._cdist_forward": cdist,
    "aten._euclidean_dist": euclidean,
    "aten.linalg_vector_norm": vector_norm,
    "aten.glu": glu,
    "aten.fake_quantize_per_tensor_affine_cachemask": fake_quantize,
    "aten.fake_quantize_per_channel_affine_cachemask": fake_quantize_per_channel,
}
