from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from harness.verdict import error_functions as e
from harness.verdict.tolerance import FP16, FP32


def args(*values: float, **more) -> SimpleNamespace:
    return SimpleNamespace(self=torch.tensor(values, dtype=torch.float64), **more)


def ref(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_exp_has_the_factors_of_vulkan():
    assert float(e.k_exp(ref(-2.0), FP32)) == 7
    assert float(e.k_exp(ref(2.0), FP16)) == 5


def test_log_has_a_floor_of_a_half():
    assert e.log(ref(0.0, 4.0), args(1.0, math.e**4), FP16).tolist() == [2.5, 20.0]


def test_log10_is_log_scaled():
    got = float(e.log_scaled(10.0)(ref(2.0), args(100.0), FP16))
    assert got == pytest.approx(2 + 5 * math.log(100) / math.log(10))


def test_sin_and_cos_have_ulp_of_opencl_and_the_rounding_of_a_reduced_argument():
    assert float(e.sine(ref(math.sin(0.5)), args(0.5), FP32)) == pytest.approx(4 * math.sin(0.5))
    assert float(e.cosine(ref(math.cos(0.5)), args(0.5), FP16)) == pytest.approx(2 * math.cos(0.5))
    # At its zeros only the reduction is left: an ulp of the argument.
    assert float(e.sine(ref(0.0), args(math.pi), FP32)) == pytest.approx(math.pi)
    assert float(e.cosine(ref(0.0), args(2.5 * math.pi), FP32)) == pytest.approx(2.5 * math.pi)
    assert float(e.sine(ref(1.0), args(10.5 * math.pi), FP16)) == pytest.approx(2, abs=1e-6)


@pytest.mark.parametrize("f", [FP32, FP16])
def test_sin_and_cos_are_nowhere_wider_than_vulkan(f):
    # 2^-11 | 2^-7 absolute on [-pi, pi].
    x = torch.linspace(-math.pi, math.pi, 1001, dtype=torch.float64)
    a = SimpleNamespace(self=x)
    for error, fn in ((e.sine, torch.sin), (e.cosine, torch.cos)):
        assert float((error(fn(x), a, f) * f.epsilon).max()) < (2.0**-7 if f is FP16 else 2.0**-11)


def test_a_reduction_in_fp32_stays_within_the_bound():
    # Two constants (Cody and Waite): the first with few bits, so that its multiples are exact.
    x = torch.linspace(-30, 30, 4001, dtype=torch.float32)
    n = (x / (math.pi / 2)).round()
    high = torch.tensor(math.pi / 2).bfloat16().float()
    r = (x - n * high) - n * (torch.tensor(math.pi / 2, dtype=torch.float64) - high).float()
    quadrant = n.long() % 4
    got = torch.where(quadrant % 2 == 0, r.sin(), r.cos()) * torch.where(quadrant < 2, 1.0, -1.0)
    want = x.double().sin()
    bound = e.sine(want, SimpleNamespace(self=x), FP32) * FP32.epsilon
    assert bool(((got.double() - want).abs() <= torch.maximum(bound, FP32.ulp(want))).all())


def test_tanh_is_capped_where_it_is_one():
    assert float(e.tanh(ref(1.0), args(1e4), FP16)) == float(e.tanh(ref(1.0), args(10.0), FP16))
    assert float(e.tanh(ref(0.0), args(0.0), FP16)) == 2


def test_sigmoid():
    assert float(e.sigmoid(ref(0.5), args(0.0), FP16)) == 1
    assert float(e.sigmoid(ref(1.0), args(3.0), FP16)) == 8


def test_a_small_integral_power_is_a_product_not_a_logarithm():
    small = e.pow_(ref(9.0), args(3.0, exponent=2), FP16)
    assert float(small) == 18
    assert float(e.pow_(ref(27.0), args(3.0, exponent=3), FP16)) > 27 * 15


def test_the_gelu_tail_is_bounded_by_the_cancellation_in_one_plus_erf():
    # At -5 the exact value is -1.4e-6; 1 + erf carries 4 ulp of 1 and gelu half of |x| times that.
    x = torch.tensor([-5.0], dtype=torch.float64)
    got = float(e.gelu(torch.nn.functional.gelu(x), SimpleNamespace(self=x), FP16))
    assert got == pytest.approx(2.5 * 4, rel=0.02)


def test_alpha_costs_one_product():
    a = args(1.0, other=torch.tensor([4.0]), alpha=0.5)
    assert float(e.add_scaled(ref(3.0), a, FP16)) == 5
    a.alpha = -1
    assert float(e.add_scaled(ref(3.0), a, FP16)) == 3


def test_lengths():
    x, w = torch.zeros(2, 6, 8), torch.zeros(4, 3, 5)
    assert e.ratio(SimpleNamespace(self=x), torch.zeros(2, 8)) == 6
    assert e.last_dim("self")(SimpleNamespace(self=x), x) == 8
    assert e.along_dim(SimpleNamespace(self=x, dim=1), x) == 6
    assert e.kernel(SimpleNamespace(kernel_size=[3, 2]), x) == 6
    assert e.kernel(SimpleNamespace(kernel_size=[3]), x) == 3
    assert e.convolution(SimpleNamespace(weight=w, transposed=False), x) == 15
    assert e.convolution(SimpleNamespace(weight=w, transposed=True, groups=2), x) == 10
    assert e.adaptive_window(SimpleNamespace(self=x, output_size=[3]), x) == 4
    assert e.adaptive_window(SimpleNamespace(self=x, output_size=[4]), x) == 2
    assert e.antialias(2)(SimpleNamespace(self=torch.zeros(1, 1, 8)), torch.zeros(1, 1, 4)) == 10
    assert e.scattered(SimpleNamespace(index=torch.tensor([1, 1, 1, 0])), x) == 4
    assert e.scattered(SimpleNamespace(indices=[None, torch.tensor([0, 1])]), x) == 2


def test_a_resize_does_not_round_positions_to_fp16():
    a = SimpleNamespace(self=torch.ones(1, 1, 100, dtype=torch.float64))
    assert float(e.position(ref(1.0), a, FP16) * FP16.epsilon) == float(e.position(ref(1.0), a, FP32) * FP32.epsilon)


def test_an_infinity_does_not_take_the_bound_from_finite_pixels():
    image = torch.tensor([[[1.0, -3.0, math.inf, math.nan]]])
    bound = e.position(torch.zeros(1, 1, 8), SimpleNamespace(self=image), FP32)
    assert float(bound[0, 0, 0]) == 8 * 4 * 3


def test_linspace_near_zero_is_off_by_roundings_of_its_start():
    start, end, steps = -5.0, 5.1, 50
    exact = torch.linspace(start, end, steps, dtype=torch.float64)
    a = SimpleNamespace(start=start, end=end)
    for f in (FP16, FP32):
        first = torch.tensor(start, dtype=f.dtype)
        step = (torch.tensor(end, dtype=f.dtype) - first) / (steps - 1)
        # The end itself is rounded to the format, which is no error of the operator.
        meant = torch.linspace(start, float(torch.tensor(end, dtype=f.dtype)), steps, dtype=torch.float64)
        off = (first + torch.arange(steps).to(f.dtype) * step).double() - meant
        assert bool((off.abs() <= e.linspace(exact, a, f) * f.epsilon).all())
        assert bool((off.abs() > f.ulp(exact)).any())
    assert float(e.linspace(ref(0.0), a, FP32)) == 3.5 * 5


@pytest.mark.parametrize(("mode", "quotient", "integers"), [
    ("trunc", 138.99, 1), ("trunc", 138.5, 0), ("trunc", 139.0, 0), ("floor", 0.0, 0), ("trunc", -138.99, 1),
    ("trunc", 1e-9, 0),
    ("floor", 138.99, 1), ("floor", -1e-9, 1), ("floor", 1e-9, 1), ("floor", 0.5, 0),
])  # fmt: skip
def test_a_quotient_close_to_an_integer_may_be_on_either_side_of_it(mode, quotient, integers):
    x = torch.tensor(quotient, dtype=torch.float64)
    a = SimpleNamespace(self=x, other=torch.ones((), dtype=torch.float64), rounding_mode=mode)
    exact = x.trunc() if mode == "trunc" else x.floor()
    allowed = float(e.integral_quotient(exact, a, FP16)) * FP16.epsilon
    assert integers <= allowed < integers + 0.5


def test_a_quotient_that_is_not_cut_off_is_a_division():
    a = SimpleNamespace(self=ref(1.0), other=ref(3.0), rounding_mode=None)
    assert float(e.integral_quotient(ref(1 / 3), a, FP32)) == pytest.approx(2.5 / 3)
