"""Tolerance classes: how far a result may be from the exact one, element by element.

Every bound is an absolute error, a float64 tensor of the shape of the result it belongs to. Bounds are after the
compliance modes of the TOSA specification (https://www.mlplatform.org/tosa/tosa_spec.html, "Accuracy") and the error
tables of OpenCL C ("Relative error as ULPs"), Vulkan ("Precision and operation of SPIR-V instructions") and WebNN
conformance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor

from harness.evidence.vocabulary import HarnessError, ToleranceClass


@dataclass(frozen=True)
class Format:
    """A binary floating-point format: fraction bits, smallest normal and largest finite value."""

    name: str
    frac: int
    smallest_normal: float
    largest: float
    dtype: torch.dtype

    @property
    def epsilon(self) -> float:
        """Spacing of the values just above 1: one ulp of 1."""
        return 2.0**-self.frac

    def round(self, x: Tensor) -> Tensor:
        """Every element of a float64 or complex128 tensor rounded to this format, in the tensor's own dtype."""
        if x.is_complex():
            return torch.view_as_complex(self.round(torch.view_as_real(x.resolve_conj().resolve_neg())).contiguous())
        return x.to(self.dtype).to(x.dtype)

    def ulp(self, x: Tensor) -> Tensor:
        """Spacing of the format at each element of `x` (float64; |x| for complex); nan and inf count as 0."""
        mag = torch.nan_to_num(x.abs().double(), nan=0.0, posinf=0.0, neginf=0.0).clamp_min(self.smallest_normal)
        # frexp gives mag = m * 2^e with m in [0.5, 1): 2^floor(log2 mag) = 2^(e-1), exactly.
        return torch.ldexp(torch.ones_like(mag), torch.frexp(mag).exponent - 1 - self.frac)


FP16 = Format("fp16", 10, 2.0**-14, 65504.0, torch.float16)
FP32 = Format("fp32", 23, 2.0**-126, (2 - 2.0**-23) * 2.0**127, torch.float32)
#: Of no recipe, but of tensors that a program itself holds in this dtype.
BF16 = Format("bf16", 7, 2.0**-126, (2 - 2.0**-7) * 2.0**127, torch.bfloat16)
FORMATS = {f.name: f for f in (FP16, FP32, BF16)}


def format_of(precision: str) -> Format:
    """The format of a recipe's precision, `fp16` or `fp32`; raises `HarnessError` for any other word."""
    try:
        return FORMATS[precision]
    except KeyError:
        raise HarnessError(f"precision {precision!r}: expected fp16 or fp32") from None


def effective_precision(precision: str, delegated: object, *tensors: Iterable[Tensor]) -> str:
    """What a program is judged in: its recipe's precision, or that of its coarsest input or output dtype.

    A float16 result of a FLOAT32 program has fp16's ulp whatever computed it, and eager rounds there as well. Where
    nothing is `delegated`, nothing is computed in the recipe's precision.
    """
    dtypes = {tensor.dtype for group in tensors for tensor in group}
    held = {f.name for f in FORMATS.values() if f.dtype in dtypes}
    return min({precision if delegated else "fp32", *held}, key=lambda name: FORMATS[name].frac)


#: Error of an operator in units of 2^-frac, from the exact result, its arguments by schema name (tensors
#: widened to float64) and the format.
ErrorFunction = Callable[[Tensor, SimpleNamespace, Format], Tensor]
#: Number of terms that are added (or multiplied) for one output element, from arguments by schema name and the result.
LengthFunction = Callable[[SimpleNamespace, Tensor], int]


@dataclass(frozen=True)
class Rule:
    """How one operator is judged: a row of the table.

    `factor` is the number of ulp for (fp32, fp16); for COMPOSED it is what is allowed where no formula to propagate
    through is known. `error` is the bound of ABS_ERROR, or what is added to that of DOT_PRODUCT; `length` is KS of
    DOT_PRODUCT and n of REDUCE_PRODUCT, `bias` says that one more term is added at the end. `backward` rows are
    exact for inputs moved by `factor` ulp of the largest: what a backward stable algorithm promises.
    """

    op: str
    cls: ToleranceClass
    factor: tuple[float, float] = (0.0, 0.0)
    error: ErrorFunction | None = None
    length: LengthFunction | None = None
    bias: Callable[[SimpleNamespace], bool] | None = None
    reason: str = ""
    listed: bool = True
    backward: bool = False

    @property
    def label(self) -> str:
        """The class as records show it; an operator without a row is visible as such."""
        return str(self.cls) if self.listed else f"{self.cls} (no row)"

    def ulps(self, f: Format) -> float:
        return self.factor[0] if f.name == "fp32" else self.factor[1]


def ulp_bound(ref: Tensor, n: float, f: Format) -> Tensor:
    """n * max(2^floor(log2 |ref|), smallest normal) * 2^-frac."""
    return n * f.ulp(ref)


def abs_error_bound(ref: Tensor, k: Tensor | float, f: Format, lower: float = 0.0) -> Tensor:
    """2^-frac * max(|ref|, smallest normal, lower) * k."""
    mag = torch.nan_to_num(ref.abs().double(), nan=0.0, posinf=0.0, neginf=0.0)
    return f.epsilon * mag.clamp_min(max(f.smallest_normal, lower)) * k


def dot_scale(length: int, bias: bool, f: Format, accumulator_frac: int | None = None) -> int:
    """`ksb = ceil(KS / 2^((frac_acc - frac) / 2)) + bias`; the accumulator has the compute precision unless said."""
    acc = f.frac if accumulator_frac is None else accumulator_frac
    return math.ceil(length / 2 ** ((acc - f.frac) / 2)) + int(bias)


def dot_unit(magnitude: Tensor, f: Format) -> Tensor:
    """The unit in which DOT_PRODUCT errors are counted: max(bnd * 2^(-1-frac), smallest normal); 0 where bnd is 0."""
    bnd = torch.nan_to_num(magnitude.abs().double(), nan=0.0, posinf=0.0, neginf=0.0)
    return torch.where(bnd == 0, 0.0, (bnd * 2.0 ** (-1 - f.frac)).clamp_min(f.smallest_normal))


def dot_bound(magnitude: Tensor, ksb: int, f: Format) -> Tensor:
    """Test of every element: |got - ref| <= 2 * ksb * unit."""
    return 2 * ksb * dot_unit(magnitude, f)


#: Test of the whole tensor of T elements: sum(e^2) <= DOT_VARIANCE * ksb * T, e in `dot_unit`s.
DOT_VARIANCE = 1.6


def dot_statistic(error: Tensor, unit: Tensor) -> float:
    """sum(e^2) / T with e = error / unit, over elements whose unit is not zero; 0 for an empty tensor."""
    used = unit > 0
    if not bool(used.any()):
        return 0.0
    return float((error[used] / unit[used]).square().mean())


def product_bound(ref: Tensor, n: int, f: Format) -> Tensor:
    """REDUCE_PRODUCT: max(|ref|, smallest normal) * ((1 + 2^(-frac-1))^n - 1)."""
    mag = torch.nan_to_num(ref.abs().double(), nan=0.0, posinf=0.0, neginf=0.0).clamp_min(f.smallest_normal)
    return mag * math.expm1(n * math.log1p(2.0 ** (-f.frac - 1)))


def flushed(ref: Tensor, bound: Tensor, f: Format) -> Tensor:
    """`bound`, wide enough for 0 where the exact result is below the smallest normal (flush to zero)."""
    mag = ref.abs().double()
    return torch.where(mag < f.smallest_normal, torch.maximum(bound, mag), bound)


#: Signal-to-noise ratio a whole model must reach, in dB. One rounding to a format with `frac` fraction bits leaves
#: noise of rms 2^-(frac+1) / sqrt(3) relative to the signal at worst: 6.02 * (frac + 1) + 4.8 dB below it, 71 dB in
#: fp16 and 149 dB in fp32. A thousand uncorrelated roundings along the deepest path cost 30 dB. That gives 41 dB for
#: fp16, with accumulators wider than fp16. In fp32 nothing is wider: dot products of a thousand terms cost another
#: 30 dB, which leaves 89 dB. Rounded down.
SQNR_THRESHOLD_DB: dict[str, float] = {"fp16": 40.0, "fp32": 80.0, "bf16": 22.0}

#: Below this nothing passes, however bad eager is in the precision: a tenth of the amplitude is noise, or a thousandth.
SQNR_FLOOR_DB: dict[str, float] = {"fp16": 20.0, "fp32": 60.0, "bf16": 10.0}

#: A network can amplify roundings (batch normalisation of an untrained one does). Where eager PyTorch itself, run in
#: the recipe's precision, does not reach the threshold, its own SQNR less this margin is asked for: twice its noise.
SQNR_MARGIN_DB = 6.0


def sqnr(got: Tensor, ref: Tensor) -> float:
    """Signal-to-quantization-noise ratio 10 log10(sum ref^2 / sum (got - ref)^2) in dB, any one shape for both.

    inf for equal tensors (empty ones too), -inf for noise without a signal, nan where either holds nan or inf.
    """
    wide = torch.complex128 if (got.is_complex() or ref.is_complex()) else torch.float64
    signal = ref.to(wide)
    noise = float((got.to(wide) - signal).abs().square().sum())
    power = float(signal.abs().square().sum())
    if math.isnan(noise) or math.isinf(noise) or math.isinf(power):
        return math.nan
    if noise == 0:
        return math.inf
    return 10 * math.log10(power / noise) if power > 0 else -math.inf


def local_bound(rule: Rule, ref: Tensor, args: SimpleNamespace, f: Format, magnitude: Callable[[], Tensor]) -> Tensor:
    """Bound of one operator's result `ref` (float64) under `rule`, its arguments taken as exact.

    `magnitude` gives, when asked, the operator's result on absolute values. COMPOSED means its factor in ulp here;
    SQNR has no bound per element and raises `HarnessError`.
    """
    match rule.cls:
        case ToleranceClass.EXACT:
            return torch.zeros(ref.shape, dtype=torch.float64)
        case ToleranceClass.ABS_ERROR if rule.error is not None:
            error = torch.nan_to_num(rule.error(ref, args, f), nan=0.0, posinf=0.0, neginf=0.0)
            return torch.maximum(f.epsilon * error, f.ulp(ref)).expand(ref.shape)
        case ToleranceClass.ULP | ToleranceClass.ABS_ERROR | ToleranceClass.COMPOSED:
            return ulp_bound(ref, rule.ulps(f), f)
        case ToleranceClass.DOT_PRODUCT:
            extra = f.epsilon * rule.error(ref, args, f) if rule.error is not None else 0.0
            return (dot_bound(magnitude(), dot_terms(rule, ref, args, f), f) + extra).expand(ref.shape)
        case ToleranceClass.REDUCE_PRODUCT:
            return product_bound(ref, rule.length(args, ref) if rule.length else 1, f)
        case _:
            raise HarnessError(f"{rule.op}: {rule.cls} has no bound per element")


def dot_terms(rule: Rule, ref: Tensor, args: SimpleNamespace, f: Format) -> int:
    """ksb of one call."""
    length = rule.length(args, ref) if rule.length else 1
    return dot_scale(max(1, length), bool(rule.bias and rule.bias(args)), f)
