"""Each class with numbers computed by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.vocabulary import HarnessError
from harness.evidence.vocabulary import ToleranceClass as C
from harness.verdict import tolerance as tol
from harness.verdict.tolerance import FP16, FP32, Rule


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_formats_match_torch():
    for f in (FP16, FP32):
        info = torch.finfo(f.dtype)
        assert (f.epsilon, f.smallest_normal, f.largest) == (info.eps, info.smallest_normal, info.max)
    with pytest.raises(HarnessError, match="fp8"):
        tol.format_of("fp8")


def test_ulp_of_hand_picked_values():
    # fp16: 10 fraction bits; 1 and 1.999 share a binade, 2048 has ulp 2, anything subnormal has the spacing 2^-24.
    got = FP16.ulp(t(1, -1.999, 2, 2048, 2.0**-14, 2.0**-20, 0, math.inf, math.nan))
    want = t(2**-10, 2**-10, 2**-9, 2, 2**-24, 2**-24, 2**-24, 2**-24, 2**-24)
    assert torch.equal(got, want)


@given(st.floats(min_value=1e-4, max_value=6e4))
def test_ulp_is_the_distance_to_the_next_half(x: float):
    half = torch.tensor(x, dtype=torch.float16)
    following = torch.nextafter(half, torch.tensor(math.inf, dtype=torch.float16))
    if torch.isfinite(following):
        assert float(FP16.ulp(half.double())) == float(following.double() - half.double())


def test_rounding_keeps_complex():
    assert FP16.round(torch.tensor([0.1 + 0.1j], dtype=torch.complex128)) == complex(0.0999755859375, 0.0999755859375)


def test_ulp_bound():
    assert torch.equal(tol.ulp_bound(t(3.0, 0.0), 2.5, FP16), t(2.5 * 2 * 2**-10, 2.5 * 2**-24))


def test_abs_error_bound_has_a_floor():
    # log near 1: 5 ulp of 0.5, however small the result.
    assert torch.equal(tol.abs_error_bound(t(1e-6, 4.0), 5, FP16, lower=0.5), t(2.5 * 2**-10, 20 * 2**-10))


def test_dot_product_of_64_terms():
    # K = 64 in fp16: the test of every element allows 6.25 % of bnd, the test of the whole tensor a steady 0.49 %.
    assert tol.dot_scale(64, False, FP16) == 64
    assert float(tol.dot_bound(t(1.0), 64, FP16)) == 0.0625
    steady = math.sqrt(tol.DOT_VARIANCE * 64) * float(tol.dot_unit(t(1.0), FP16))
    assert steady == pytest.approx(0.0049, rel=0.01)


def test_dot_product_with_a_wider_accumulator_and_bias():
    # 13 more bits: 2^6.5 = 90.5 terms cost one.
    assert tol.dot_scale(64, False, FP16, accumulator_frac=23) == 1
    assert tol.dot_scale(91, True, FP16, accumulator_frac=23) == 3


def test_dot_product_of_zeros_is_exact():
    assert torch.equal(tol.dot_bound(t(0.0, 1.0), 4, FP16), t(0, 8 * 2**-11))
    assert tol.dot_statistic(t(0.0, 0.0), t(0.0, 0.0)) == 0


def test_dot_statistic_is_the_mean_square():
    assert tol.dot_statistic(t(2.0, 0.0, 5.0), t(1.0, 1.0, 0.0)) == 2.0


def test_product_bound_of_three_factors():
    u = 2**-11
    assert float(tol.product_bound(t(2.0), 3, FP16)) == pytest.approx(2 * ((1 + u) ** 3 - 1), rel=1e-12)


def test_flush_allows_zero_below_the_smallest_normal_only():
    assert torch.equal(tol.flushed(t(2.0**-15, 2.0**-14), t(0.0, 0.0), FP16), t(2.0**-15, 0.0))


def test_sqnr():
    ref = t(3.0, 4.0)
    assert tol.sqnr(ref + t(0.03, 0.04), ref) == pytest.approx(40.0)
    assert tol.sqnr(ref, ref) == math.inf
    assert tol.sqnr(t(1.0), t(0.0)) == -math.inf
    assert math.isnan(tol.sqnr(t(math.nan), t(1.0)))
    assert tol.sqnr(t(), t()) == math.inf


def test_thresholds_follow_from_a_thousand_roundings():
    for f, accumulation in ((FP16, 0.0), (FP32, 30.0)):
        one_rounding = 20 * math.log10(2.0 ** (f.frac + 1) * math.sqrt(3))
        assert 0 <= one_rounding - 30 - accumulation - tol.SQNR_THRESHOLD_DB[f.name] < 10


def test_local_bound_of_each_class():
    none = SimpleNamespace()
    ones = lambda: t(1.0)  # noqa: E731
    assert float(tol.local_bound(Rule("a", C.EXACT), t(1.0), none, FP16, ones)) == 0
    assert float(tol.local_bound(Rule("a", C.ULP, (3, 1.5)), t(1.0), none, FP16, ones)) == 1.5 * 2**-10
    assert float(tol.local_bound(Rule("a", C.ULP, (3, 1.5)), t(1.0), none, FP32, ones)) == 3 * 2**-23
    dot = Rule("a", C.DOT_PRODUCT, length=lambda a, r: 4, bias=lambda a: True)
    assert float(tol.local_bound(dot, t(0.5), none, FP16, ones)) == 5 * 2**-10
    product = Rule("a", C.REDUCE_PRODUCT, length=lambda a, r: 1)
    assert float(tol.local_bound(product, t(1.0), none, FP16, ones)) == pytest.approx(2**-11)
    with pytest.raises(HarnessError, match="per element"):
        tol.local_bound(Rule("a", C.SQNR), t(1.0), none, FP16, ones)


def test_a_rule_without_a_row_shows():
    assert Rule("a", C.COMPOSED, listed=False).label == "COMPOSED (no row)"


def test_a_program_of_float16_tensors_is_judged_in_fp16_whatever_the_recipe():
    def judged_in(precision, *dtypes, delegated=True):
        return tol.effective_precision(precision, delegated, [torch.empty(1, dtype=d) for d in dtypes])

    assert judged_in("fp32", torch.float32, torch.int64) == "fp32"
    assert judged_in("fp32", torch.float32, torch.float16) == "fp16"
    assert judged_in("fp16", torch.float64) == "fp16"
    assert judged_in("fp16", torch.float32, delegated=False) == "fp32"
    assert judged_in("fp16", torch.bfloat16) == "bf16"
