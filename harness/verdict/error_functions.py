"""Error functions and dot-product lengths that rows of the table refer to.

An error function returns the allowed error in units of 2^-frac: first-order propagation of the errors of the steps the
operator is documented to consist of. `a` holds the call's arguments by ATen schema name, tensors in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from harness.verdict.tolerance import ErrorFunction, Format

Args = SimpleNamespace


def _t(x: Any) -> Tensor:
    return torch.as_tensor(x, dtype=torch.float64) if not isinstance(x, Tensor) else x.double()


def k_exp(x: Tensor, f: Format) -> Tensor:
    """Vulkan: exp is within 3 + 2|x| ulp in fp32, 1 + 2|x| in fp16. |x| is capped where the result overflows."""
    cap = 1.0 + math.log(f.largest)
    return (1.0 if f.frac == 10 else 3.0) + 2 * x.abs().clamp_max(cap)


def k_log(x: Tensor) -> Tensor:
    """log is within 5 ulp, and within 5 * 2^-frac * 0.5 near 1 where the result vanishes."""
    return 5 * torch.log(x.abs()).abs().clamp_min(0.5)


def exp(ref: Tensor, a: Args, f: Format) -> Tensor:
    return ref.abs() * k_exp(_t(a.self), f)


def expm1(ref: Tensor, a: Args, f: Format) -> Tensor:
    # Relative accuracy near 0 is what expm1 exists for: the subtraction of exp(x) - 1 is not excused.
    return ref.abs() * k_exp(_t(a.self), f)


def sinh_cosh(ref: Tensor, a: Args, f: Format) -> Tensor:
    # Half of exp(x) +- exp(-x): exp's error and one addition.
    return ref.abs() * (k_exp(_t(a.self), f) + 1)


def log_scaled(base: float) -> ErrorFunction:
    """log(x) / log(base): log's error scaled, and the rounding of constant and product."""
    scale = 1 / math.log(base)
    return lambda ref, a, f: ref.abs() + scale * k_log(_t(a.self))


def log(ref: Tensor, a: Args, f: Format) -> Tensor:
    return 5 * ref.abs().clamp_min(0.5)


def sigmoid(ref: Tensor, a: Args, f: Format) -> Tensor:
    x = _t(a.self)
    return ref.abs() * 2 * (1 + x.abs().clamp_max(1.0 + math.log(f.largest)))


def tanh(ref: Tensor, a: Args, f: Format) -> Tensor:
    # |x| is capped where tanh is +-1 to the last place of either format.
    return ref.abs().clamp_min(0.5) * 4 * k_exp(_t(a.self).clamp(-9.1, 9.1), f)


def sine(ref: Tensor, a: Args, f: Format) -> Tensor:
    """OpenCL: within 4 ulp in fp32 and 2 in fp16, with the rounding of the reduced argument beside it."""
    return _sine(ref, _t(a.self), torch.cos, f)


def cosine(ref: Tensor, a: Args, f: Format) -> Tensor:
    return _sine(ref, _t(a.self), torch.sin, f)


def _sine(ref: Tensor, x: Tensor, slope: Callable[[Tensor], Tensor], f: Format) -> Tensor:
    # x less a multiple of pi/2, computed in the format, is off by an ulp of x: all that is left of the result near its
    # zeros. Up to pi/4 nothing is reduced.
    reduced = torch.where(x.abs() > math.pi / 4, x.abs() * slope(x).abs(), 0.0)
    return (2.0 if f.frac == 10 else 4.0) * ref.abs() + reduced


def _k_erf(f: Format) -> float:
    return 4.0 if f.frac == 10 else 16.0


def erfc(ref: Tensor, a: Args, f: Format) -> Tensor:
    return ref.abs() * _k_erf(f)


def gelu(ref: Tensor, a: Args, f: Format) -> Tensor:
    x = _t(a.self)
    if getattr(a, "approximate", "none") == "tanh":
        # x/2 (1 + tanh y): tanh's error on |x|/2, rounding of y through tanh', of the sum and of the products.
        y = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        inner = torch.tanh(y)
        slope = 3 * y.abs() * (1 - inner.square())
        k = 4 * k_exp(y.clamp(-9.1, 9.1), f)
        return x.abs() / 2 * (inner.abs().clamp_min(0.5) * k + slope + 1 + inner) + 2 * ref.abs()
    # x/2 (1 + erf(x / sqrt 2)): erf's error on |x|/2, rounding of the argument through erf', of the sum and of the
    # products.
    inner = torch.erf(x / math.sqrt(2))
    slope = 2 * x.abs() * torch.exp(-x.square() / 2) * math.sqrt(2 / math.pi)
    return x.abs() / 2 * (inner.abs() * _k_erf(f) + slope + 1 + inner) + 2 * ref.abs()


def softplus(ref: Tensor, a: Args, f: Format) -> Tensor:
    # log(1 + exp(beta x)) / beta: log's error, exp's through d log(1 + e) / de * e = sigmoid, the scaling.
    beta = float(getattr(a, "beta", 1))
    z = beta * _t(a.self)
    return (k_log1p_exp(z) + torch.sigmoid(z) * k_exp(z, f)) / abs(beta) + 2 * ref.abs()


def k_log1p_exp(z: Tensor) -> Tensor:
    return 5 * torch.nn.functional.softplus(z).clamp_min(0.5)


def log_sigmoid(ref: Tensor, a: Args, f: Format) -> Tensor:
    z = -_t(a.self)
    return k_log1p_exp(z) + torch.sigmoid(z) * k_exp(z, f) + ref.abs()


def logit(ref: Tensor, a: Args, f: Format) -> Tensor:
    # log(x / (1 - x)): log's error near x = 1/2, the quotient's and the difference's roundings.
    return 5 * ref.abs().clamp_min(0.5) + 3.5


def silu(ref: Tensor, a: Args, f: Format) -> Tensor:
    x = _t(a.self)
    return ref.abs() * (2 * (1 + x.abs().clamp_max(1.0 + math.log(f.largest))) + 1)


def mish(ref: Tensor, a: Args, f: Format) -> Tensor:
    # x tanh(softplus(x)): tanh's error on |x|, softplus' through tanh'.
    x = _t(a.self)
    s = torch.nn.functional.softplus(x)
    t = torch.tanh(s)
    soft = k_log1p_exp(x) + torch.sigmoid(x) * k_exp(x, f)
    return x.abs() * (t.clamp_min(0.5) * 4 * k_exp(s.clamp_max(9.1), f) + (1 - t * t) * soft) + ref.abs()


def elu(ref: Tensor, a: Args, f: Format) -> Tensor:
    # scale * x, or scale * alpha * (exp(input_scale * x) - 1), where exp, the subtraction and the products round.
    x = _t(a.self)
    alpha = float(getattr(a, "alpha", 1))
    scale = float(getattr(a, "scale", 1))
    inner = float(getattr(a, "input_scale", 1)) * x.clamp_max(0)
    negative = abs(alpha * scale) * (torch.exp(inner) * (k_exp(inner, f) + inner.abs()) + 1) + 2 * ref.abs()
    return torch.where(x > 0, 2 * ref.abs(), negative)


def hardsigmoid(ref: Tensor, a: Args, f: Format) -> Tensor:
    # clamp(x / 6 + 1/2, 0, 1): constant, product and sum round, on the larger summand. Saturated parts are exact.
    x = _t(a.self)
    return torch.where(x.abs() > 3.02, ref.abs(), 2 * (x.abs() / 6).clamp_min(0.5))


def hardswish(ref: Tensor, a: Args, f: Format) -> Tensor:
    x = _t(a.self)
    return x.abs() * hardsigmoid(ref / x.where(x != 0, torch.ones_like(x)), a, f) + ref.abs()


def pow_(ref: Tensor, a: Args, f: Format) -> Tensor:
    # exp(y log x): log's error times y, the product's rounding, exp's own.
    x, y = _t(a.self), _t(a.exponent)
    log_x = torch.nan_to_num(torch.log(x.abs()), nan=0.0, posinf=0.0, neginf=0.0)
    z = torch.nan_to_num(y * log_x, nan=0.0, posinf=0.0, neginf=0.0).clamp(-800, 800)
    y = torch.nan_to_num(y, nan=0.0, posinf=0.0, neginf=0.0)
    # An integral power of two factors is at most one multiplication: pow(x, 0), pow(x, 1), pow(x, 2).
    small = (y == 0) | (y == 1) | (y == 2)
    through_log = y.abs() * 5 * log_x.abs().clamp_min(0.5) + z.abs() + k_exp(z, f)
    return ref.abs() * torch.where(small, 2.0, through_log)


def add_scaled(ref: Tensor, a: Args, f: Format) -> Tensor:
    # self + alpha * other: the product rounds, then the sum.
    alpha = getattr(a, "alpha", 1)
    product = 0.0 if alpha in (1, -1) else (alpha * _t(a.other)).abs()
    return ref.abs() + product


def rsub_scaled(ref: Tensor, a: Args, f: Format) -> Tensor:
    alpha = getattr(a, "alpha", 1)
    return ref.abs() + (0.0 if alpha in (1, -1) else (alpha * _t(a.self)).abs())


def addcmul(ref: Tensor, a: Args, f: Format) -> Tensor:
    return ref.abs() + 2 * (a.value * _t(a.tensor1) * _t(a.tensor2)).abs()


def addcdiv(ref: Tensor, a: Args, f: Format) -> Tensor:
    return ref.abs() + 3.5 * torch.nan_to_num((a.value * _t(a.tensor1) / _t(a.tensor2)).abs(), 0.0, 0.0, 0.0)


def lerp(ref: Tensor, a: Args, f: Format) -> Tensor:
    # start + weight * (end - start): difference, product and sum round.
    step = (_t(a.weight) * (_t(a.end) - _t(a.self))).abs()
    return ref.abs() + 2 * step


def integral_quotient(ref: Tensor, a: Args, f: Format) -> Tensor:
    # A quotient within 2.5 ulp of an integer may end up on either side of it; one that is representable, an integer
    # above all, is expected as it is.
    mode = getattr(a, "rounding_mode", "floor")
    if mode is None:
        return 2.5 * ref.abs()
    cut = torch.floor if mode == "floor" else torch.trunc
    quotient = _t(a.self) / _t(a.other)
    off = torch.where(f.round(quotient) == quotient, 0.0, 2.5 * f.ulp(quotient))
    step = torch.maximum((cut(quotient + off) - ref).abs(), (cut(quotient - off) - ref).abs())
    return torch.nan_to_num(step, nan=0.0, posinf=0.0) / f.epsilon + ref.abs() / 2


def linspace(ref: Tensor, a: Args, f: Format) -> Tensor:
    # start + i * ((end - start) / (steps - 1)): difference (1/2), division (2.5) and product (1/2) round on i * step,
    # however near to 0 the sum is.
    return 3.5 * (ref - _t(a.start)).abs() + ref.abs()


def remainder(ref: Tensor, a: Args, f: Format) -> Tensor:
    # a - b * floor(a / b): exact in fmod's own algorithm; the formula rounds the product, of the size of a.
    return _t(a.self).abs().expand(ref.shape) + ref.abs()


# --- dot-product lengths -------------------------------------------------------------------------


def ratio(a: Args, ref: Tensor) -> int:
    """Elements read per element written: reductions over dims, pooling without overlap."""
    n = a.self.numel() if isinstance(getattr(a, "self", None), Tensor) else 1
    return max(1, n // max(1, ref.numel()))


def last_dim(name: str, dim: int = -1) -> Callable[[Args, Tensor], int]:
    """Size of one dim of the tensor argument `name`."""

    def length(a: Args, ref: Tensor) -> int:
        t = getattr(a, name)
        return t.shape[dim] if t.dim() else 1

    return length


def along_dim(a: Args, ref: Tensor) -> int:
    """Size of the dim named by the argument `dim`: cumulative sums and products."""
    return a.self.shape[a.dim] if a.self.dim() else 1


def kernel(a: Args, ref: Tensor) -> int:
    """Window of a pooling: the product of `kernel_size`."""
    size = a.kernel_size if isinstance(a.kernel_size, (list, tuple)) else [a.kernel_size]
    dims = {1: 1, 2: 2, 3: 3}[len(size)] if len(size) > 1 else 1
    return math.prod(size) if dims > 1 else size[0]


def convolution(a: Args, ref: Tensor) -> int:
    """kh * kw * cin / groups: all of the weight but its first dim; transposed ones sum over cin / groups too."""
    weight = a.weight
    if getattr(a, "transposed", False):
        return weight[0, 0].numel() * (weight.shape[0] // a.groups)
    return weight[0].numel() if weight.shape[0] else 1


def convolution_backward(a: Args, ref: Tensor) -> int:
    """Terms of the gradient `ref` has the shape of: the input's, else those of weight and bias."""
    weight, gradient = a.weight, a.grad_output
    if ref.shape == a.input.shape:
        return max(1, weight.numel() // max(1, a.input.shape[1]))
    return max(1, gradient.numel() // max(1, gradient.shape[1]))


def has_bias(a: Args) -> bool:
    return getattr(a, "bias", None) is not None


def adaptive_window(a: Args, ref: Tensor) -> int:
    """Largest window of an adaptive pooling: ceil(in / out), one more where they do not divide, per pooled dim."""
    size = a.output_size if isinstance(a.output_size, (list, tuple)) else [a.output_size]
    n = 1
    for extent, out in zip(a.self.shape[-len(size) :], size, strict=True):
        n *= math.ceil(extent / max(out, 1)) + (1 if extent % max(out, 1) else 0)
    return n


def adaptive_overlap(a: Args, ref: Tensor) -> int:
    """Windows of an adaptive pooling that an element is in, at most: ceil(out / in) + 1 per pooled dim."""
    pooled = zip(a.self.shape[-2:], a.grad_output.shape[-2:], strict=True)
    return math.prod(math.ceil(out / max(extent, 1)) + 1 for extent, out in pooled)


def transformed(a: Args, ref: Tensor) -> int:
    """Terms of a Fourier transform: the product of the sizes of the dims it runs over."""
    return math.prod(max(a.self.shape[d], ref.shape[d]) for d in a.dim) if isinstance(a.dim, (list, tuple)) else 1


def constant(n: int) -> Callable[[Args, Tensor], int]:
    return lambda a, ref: n


def antialias(taps: int) -> Callable[[Args, Tensor], int]:
    """Window of an antialiased resize: taps * in / out per spatial dim, rounded up."""

    def length(a: Args, ref: Tensor) -> int:
        spatial = zip(a.self.shape[2:], ref.shape[2:], strict=True)
        return 2 * math.prod(math.ceil(taps * max(1.0, n / max(m, 1))) + 1 for n, m in spatial)

    return length


def position(ref: Tensor, a: Args, f: Format) -> Tensor:
    """Rounding of the source position of a resize, which no implementation carries in less than fp32.

    Four roundings of a coordinate up to the extent, times the step between neighbours: at most twice the largest value
    that is finite.
    """
    extent = max(a.self.shape[2:], default=1)
    largest = torch.nan_to_num(a.self.abs(), nan=0.0, posinf=0.0).amax() if a.self.numel() else torch.zeros(())
    return (8 * extent * 2.0 ** (f.frac - 23) * largest).expand(ref.shape)


def cubic_position(ref: Tensor, a: Args, f: Format) -> Tensor:
    # The cubic kernel's weights are polynomials of degree 3, up to 1.25 |t|^3 + 2.25 |t|^2: a slope three times as
    # steep.
    return 3 * position(ref, a, f)


def scattered(a: Args, ref: Tensor) -> int:
    """Terms that can meet in one element: the largest multiplicity of an index, and the element itself."""
    index = getattr(a, "index", None)
    if index is None:
        index = getattr(a, "indices", None)
    if isinstance(index, (list, tuple)):
        index = next((i for i in index if i is not None), None)
    if index is None or index.numel() == 0:
        return 1
    return int(torch.unique(index, return_counts=True)[1].max()) + 1
