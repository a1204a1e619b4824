"""Calibration: correct fp16 arithmetic passes for every family, a few times as much error does not."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._decomp import core_aten_decompositions
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from harness.evidence.vocabulary import Outcome
from harness.verdict.compare import compare
from harness.verdict.oracle import truth
from harness.verdict.propagate import bounds
from harness.verdict.table import RULES, lookup, rule_for
from harness.verdict.tolerance import FP16, FP32, dot_bound


class Fn(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, *args):
        return self.fn(*args)


def grid(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale).half().float()


#: The useful range of a function of one argument, signs, zeros and small values included.
LADDER = torch.tensor([-20, -10.4, -5, -1, -0.5, -1e-3, -0.0, 0.0, 1e-3, 0.5, 1, 2, 5, 10.4, 20]).half().float()
WIDE = torch.cat([LADDER, grid(200, seed=9, scale=2.0)])
POSITIVE = torch.cat([LADDER.abs() + 2**-10, grid(200, seed=8).abs() + 2**-8]).half().float()
UNIT = torch.tanh(grid(200, seed=7)).half().float().clamp(-0.99, 0.99).half().float()
ABOVE = (POSITIVE + 1).half().float()
A, B = grid(6, 40, seed=1), grid(40, 6, seed=2)
IMAGE, KERNEL = grid(2, 4, 9, 9, seed=3), grid(4, 4, 3, 3, seed=4, scale=0.2)
Q, K, V = (grid(1, 2, 7, 16, seed=i) for i in (11, 12, 13))
WEIGHT, BIAS = grid(40, seed=5), grid(40, seed=6)
TARGET = torch.tensor([1, 0, 3, 5, 2, 4])

#: name -> (function, inputs, primary ATen operator)
FAMILIES = {
    "abs": (torch.abs, (WIDE,), "abs"),
    "neg": (torch.neg, (WIDE,), "neg"),
    "floor": (torch.floor, (WIDE,), "floor"),
    "round": (torch.round, (WIDE,), "round"),
    "relu": (F.relu, (WIDE,), "relu"),
    "clamp": (lambda x: x.clamp(-1, 2), (WIDE,), "clamp"),
    "maximum": (torch.maximum, (WIDE, WIDE.flip(0)), "maximum"),
    "add": (torch.add, (WIDE, WIDE.flip(0)), "add"),
    "add alpha": (lambda a, b: torch.add(a, b, alpha=0.3), (WIDE, WIDE.flip(0)), "add"),
    "add scalar": (lambda a: a + 0.1, (WIDE,), "add"),
    "sub": (torch.sub, (WIDE, WIDE.flip(0)), "sub"),
    "rsub": (lambda a: 0.7 - a, (WIDE,), "rsub"),
    "mul": (torch.mul, (WIDE, WIDE.flip(0)), "mul"),
    "mul scalar": (lambda a: a * 0.1, (WIDE,), "mul"),
    "div": (torch.div, (WIDE, POSITIVE), "div"),
    "reciprocal": (torch.reciprocal, (POSITIVE,), "reciprocal"),
    "floor_divide": (lambda a: torch.div(a, 0.25, rounding_mode="floor"), (WIDE,), "div.Tensor_mode"),
    "remainder": (torch.remainder, (WIDE, ABOVE), "remainder"),
    "fmod": (torch.fmod, (WIDE, ABOVE), "fmod"),
    "sqrt": (torch.sqrt, (POSITIVE,), "sqrt"),
    "rsqrt": (torch.rsqrt, (POSITIVE,), "rsqrt"),
    "square": (torch.square, (WIDE,), "square"),
    "pow scalar": (lambda x: x**3, (WIDE,), "pow"),
    "pow half": (lambda x: x**1.5, (POSITIVE,), "pow"),
    "pow tensor": (torch.pow, (POSITIVE[:60], WIDE[15:75]), "pow"),
    "exp": (torch.exp, (WIDE,), "exp"),
    "exp2": (torch.exp2, (WIDE.clamp(-10, 10),), "exp2"),
    "expm1": (torch.expm1, (WIDE,), "expm1"),
    "log": (torch.log, (POSITIVE,), "log"),
    "log2": (torch.log2, (POSITIVE,), "log2"),
    "log10": (torch.log10, (POSITIVE,), "log10"),
    "log1p": (torch.log1p, (POSITIVE,), "log1p"),
    "sin": (torch.sin, (WIDE,), "sin"),
    "cos": (torch.cos, (WIDE,), "cos"),
    "tan": (torch.tan, (UNIT,), "tan"),
    "asin": (torch.asin, (UNIT,), "asin"),
    "acos": (torch.acos, (UNIT,), "acos"),
    "atan": (torch.atan, (WIDE,), "atan"),
    "atan2": (torch.atan2, (WIDE, WIDE.flip(0)), "atan2"),
    "sinh": (torch.sinh, (WIDE.clamp(-10, 10),), "sinh"),
    "cosh": (torch.cosh, (WIDE.clamp(-10, 10),), "cosh"),
    "tanh": (torch.tanh, (WIDE,), "tanh"),
    "asinh": (torch.asinh, (WIDE,), "asinh"),
    "acosh": (torch.acosh, (ABOVE,), "acosh"),
    "atanh": (torch.atanh, (UNIT,), "atanh"),
    "erf": (torch.erf, (WIDE,), "erf"),
    "sigmoid": (torch.sigmoid, (WIDE,), "sigmoid"),
    "logit": (torch.logit, ((UNIT / 2 + 0.5).half().float(),), "logit"),
    "silu": (F.silu, (WIDE,), "silu"),
    "gelu": (F.gelu, (WIDE,), "gelu"),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), (WIDE,), "gelu"),
    "softplus": (F.softplus, (WIDE.clamp_max(10.4),), "softplus"),
    "logsigmoid": (F.logsigmoid, (WIDE.clamp_min(-10.4),), "log_sigmoid"),
    "mish": (F.mish, (WIDE,), "mish"),
    "elu": (lambda x: F.elu(x, 0.7), (WIDE,), "elu"),
    "selu": (F.selu, (WIDE,), "selu"),
    "celu": (lambda x: F.celu(x, 1.5), (WIDE,), "celu"),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), (WIDE,), "leaky_relu"),
    "hardsigmoid": (F.hardsigmoid, (WIDE,), "hardsigmoid"),
    "hardswish": (F.hardswish, (WIDE,), "hardswish"),
    "addcmul": (lambda a, b: torch.addcmul(a, b, b, value=0.3), (WIDE, WIDE.flip(0)), "addcmul"),
    "addcdiv": (lambda a, b: torch.addcdiv(a, a, b, value=0.3), (WIDE, POSITIVE), "addcdiv"),
    "lerp": (lambda a, b: torch.lerp(a, b, 0.3), (WIDE, WIDE.flip(0)), "lerp"),
    "matmul": (torch.matmul, (A, B), "matmul"),
    "bmm": (torch.bmm, (A.view(2, 3, 40), B.view(2, 40, 3)), "bmm"),
    "addmm": (lambda a, b, c: torch.addmm(c, a, b, beta=0.5, alpha=2), (A, B, A @ B), "addmm"),
    "linear": (F.linear, (A, B.t().contiguous(), BIAS[:6]), "linear"),
    "conv2d": (F.conv2d, (IMAGE, KERNEL, BIAS[:4]), "conv2d"),
    "conv2d groups": (lambda x, w: F.conv2d(x, w, groups=2), (IMAGE, KERNEL[:, :2].contiguous()), "conv2d"),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, stride=2), (IMAGE, KERNEL), "conv_transpose2d"),
    "sum": (lambda x: x.sum(1), (A,), "sum"),
    "mean": (lambda x: x.mean(1), (A,), "mean"),
    "cumsum": (lambda x: x.cumsum(1), (A,), "cumsum"),
    "prod": (lambda x: x.prod(1), (A[:, :12] + 2,), "prod"),
    "cumprod": (lambda x: x.cumprod(1), (A[:, :8] + 2,), "cumprod"),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3), (IMAGE,), "avg_pool2d"),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, 4), (IMAGE,), "_adaptive_avg_pool2d"),
    "bilinear": (lambda x: F.interpolate(x, (13, 5), mode="bilinear"), (IMAGE,), "upsample_bilinear2d"),
    "scatter_add": (lambda x: x.scatter_add(1, torch.zeros(6, 5, dtype=torch.long), x), (A,), "scatter_add"),
    "softmax": (lambda x: F.softmax(x, -1), (A * 4,), "_softmax"),
    "log_softmax": (lambda x: F.log_softmax(x, -1), (A * 4,), "_log_softmax"),
    "logsumexp": (lambda x: torch.logsumexp(x, -1), (A * 4,), "logsumexp"),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (40,), w, b), (A, WEIGHT, BIAS), "native_layer_norm"),
    "group_norm": (lambda x: F.group_norm(x, 2), (IMAGE,), "native_group_norm"),
    "batch_norm": (lambda x, w: F.batch_norm(x, w, w.abs() + 1, w, w), (IMAGE, WEIGHT[:4]), "batch_norm"),
    "rms_norm": (lambda x: F.rms_norm(x, (40,)), (A,), "rms_norm"),
    "var": (lambda x: x.var(1), (A,), "var"),
    "std": (lambda x: x.std(1), (A,), "std"),
    "norm": (lambda x: torch.linalg.vector_norm(x, dim=1), (A,), "linalg_vector_norm"),
    "norm 3": (lambda x: torch.linalg.vector_norm(x, 3, dim=1), (A,), "linalg_vector_norm"),
    "cosine_similarity": (F.cosine_similarity, (A, A.flip(0)), "cosine_similarity"),
    "cdist": (torch.cdist, (A, A.flip(0) * 2), "_cdist_forward"),
    "attention": (F.scaled_dot_product_attention, (Q, K, V), "scaled_dot_product_attention"),
    "glu": (lambda x: F.glu(x, 1), (A,), "glu"),
    "mse_loss": (F.mse_loss, (A, A.flip(0)), "mse_loss"),
    "cross_entropy": (lambda x: F.cross_entropy(x, TARGET), (A,), "cross_entropy_loss"),
    "hypot": (torch.hypot, (WIDE, WIDE.flip(0)), "hypot"),
    "logaddexp": (torch.logaddexp, (WIDE, WIDE.flip(0)), "logaddexp"),
    "tanhshrink": (F.tanhshrink, (WIDE,), "tanhshrink"),
    "instance_norm": (F.instance_norm, (IMAGE,), "instance_norm"),
}


class Stepwise(TorchDispatchMode):
    """Correct arithmetic of the narrowest kind: PyTorch's core decompositions, every result rounded to fp16."""

    table = core_aten_decompositions()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self.table and not func._schema.is_mutable:
            with self:
                out = self.table[func](*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        return tree_map_only(torch.Tensor, lambda t: t.half().float() if t.dtype == torch.float32 else t, out)


def judge(name: str, got: torch.Tensor, precision: str):
    fn, inputs, op = FAMILIES[name]
    return compare([got], truth(Fn(fn), inputs), rule_for(f"aten.{op}", [f"aten.{op}"]), precision)


@pytest.mark.parametrize("name", FAMILIES)
def test_correct_results_pass(name):
    fn, inputs, _ = FAMILIES[name]
    exact = fn(*inputs)
    once = exact.half().float()
    with torch.no_grad(), Stepwise():
        stepwise = fn(*inputs).half().float()
    results = {"fp32": (exact, "fp32"), "rounded once": (once, "fp16"), "stepwise": (stepwise, "fp16")}
    for how, (got, precision) in results.items():
        v = judge(name, got, precision)
        assert v.outcome is Outcome.PASS, (how, v.reason)


@pytest.mark.parametrize("name", FAMILIES)
def test_gross_errors_do_not(name):
    """Ten bits lost in fp32, three significant bits left in fp16: no bound is so loose."""
    fn, inputs, _ = FAMILIES[name]
    exact = fn(*inputs)
    for precision, relative in (("fp32", 2.0**-10), ("fp16", 2.0**-3)):
        v = judge(name, exact * (1 + relative), precision)
        assert v.outcome is Outcome.WRONG_VALUE, (precision, v)


def test_a_single_operator_bounds_exactly_as_its_row_and_through_data_movement():
    x = grid(3, 5)
    b = bounds(truth(Fn(lambda x: (x.t() / 3).flip(0)), (x,)), lookup("aten.div"), FP16)
    want = 2.5 * FP16.ulp((x.double() / 3).t().flip(0))
    assert torch.allclose(b.bound[0], want, rtol=1e-9, atol=0)
    assert [c.rule.op for c in b.calls] == ["aten.div"]


def test_a_matmul_bounds_by_the_products_magnitudes():
    b = bounds(truth(Fn(torch.matmul), (A, B)), lookup("aten.mm"), FP16)
    assert b.terms == 40
    want = dot_bound(A.double().abs() @ B.double().abs(), 40, FP16)
    assert torch.allclose(b.bound[0], want, rtol=1e-6, atol=0)
    assert torch.allclose(b.unit[0] * 80, want, rtol=1e-6, atol=0)


def test_convolution_lengths():
    for fn, inputs, terms in (
        (F.conv2d, (IMAGE, KERNEL), 36),
        (F.conv2d, (IMAGE, KERNEL, BIAS[:4]), 37),
        (lambda x, w: F.conv2d(x, w, groups=2), (IMAGE, KERNEL[:, :2].contiguous()), 18),
        (F.conv1d, (IMAGE[:, :, 0], KERNEL[:, :, 0]), 12),
        (F.conv_transpose2d, (IMAGE, KERNEL), 36),
    ):
        assert bounds(truth(Fn(fn), inputs), lookup("aten.convolution"), FP16).terms == terms


def test_cancellation_widens_the_bound_where_it_happens():
    # (x + 1) - 1 loses what x + 1 rounds away, however small x is.
    x = torch.tensor([2.0**-12, 1.0])
    b = bounds(truth(Fn(lambda x: (x + 1) - 1), (x,)), lookup("aten.add"), FP16)
    assert float(b.bound[0][0]) > 2**-11
    got = torch.tensor([0.0, 1.0])
    assert compare([got], truth(Fn(lambda x: (x + 1) - 1), (x,)), lookup("aten.add"), "fp16").outcome is Outcome.PASS


def test_representable_sums_and_products_carry_no_error():
    x = torch.tensor([1.0, 2.0])
    t = truth(Fn(lambda x: torch.floor(x * 3 + 1)), (x,))
    assert torch.equal(
        bounds(t, rule_for("aten.mul", ["aten.mul", "aten.add"]), FP16).bound[0], torch.zeros(2).double()
    )


def test_an_output_that_is_only_moved_stays_exact_beside_one_that_is_computed():
    t = truth(Fn(lambda x: (x / 3 * x, x.flip(0))), (grid(4),))
    b = bounds(t, rule_for("aten.mul", ["aten.div", "aten.mul", "aten.flip"]), FP16)
    assert float(b.bound[0].max()) > 0
    assert float(b.bound[1].max()) == 0


def test_composed_operators_are_taken_apart():
    t = truth(Fn(lambda x: F.layer_norm(x, (40,))), (A,))
    b = bounds(t, lookup("aten.native_layer_norm"), FP32)
    ops = [c.rule.op for c in b.calls]
    assert ops.count("aten.mean") == 1
    assert "aten.rsqrt" in ops
    assert all(c.rule.listed for c in b.calls)


def test_peak_sees_inside_composed_operators():
    x = torch.full((1, 4), 300.0)
    t = truth(Fn(lambda x: torch.linalg.vector_norm(x, dim=1)), (x,))
    assert bounds(t, lookup("aten.linalg_vector_norm"), FP16).peak == pytest.approx(360000)


def test_bounds_are_the_same_every_time():
    t = truth(Fn(lambda x: F.softmax(x, -1)), (A,))
    rule = lookup("aten._softmax")
    assert torch.equal(bounds(t, rule, FP16).bound[0], bounds(t, rule, FP16).bound[0])


def test_backward_stable_operators_are_judged_by_their_condition():
    good = torch.eye(3) * 2
    bad = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0009765625, 0.0], [0.0, 0.0, 1.0]])
    rule = lookup("aten.linalg_inv")
    wide, narrow = (bounds(truth(Fn(torch.linalg.inv), (m,)), rule, FP32).bound[0].max() for m in (bad, good))
    assert float(wide) > 1000 * float(narrow)


def test_softplus_that_overflows_in_fp16_is_out_of_range():
    # log(1 + exp(x)) as written: exp(20) is beyond fp16.
    x = torch.tensor([20.0, 1.0])
    with Stepwise():
        got = torch.log(torch.exp(x) + 1)
    v = compare([got], truth(Fn(F.softplus), (x,)), lookup("aten.softplus"), "fp16")
    assert v.outcome is Outcome.OUT_OF_RANGE


def test_eagers_own_rounding_belongs_to_the_bound_where_it_is_the_truth():
    def refuses(x):
        if x.dtype == torch.float64:
            raise NotImplementedError("no kernel for Double")
        return x / 3

    t = truth(Fn(refuses), (A,))
    assert not t.exact
    alone = bounds(truth(Fn(lambda x: x / 3), (A,)), lookup("aten.div"), FP32).bound[0]
    both = bounds(t, lookup("aten.div"), FP32).bound[0]
    assert float((both / alone).min()) >= 1.5


@torch.library.custom_op("harness_tests::scaled_exp", mutates_args=())
def scaled_exp(x: torch.Tensor, k: float) -> torch.Tensor:
    return torch.exp(x) * k


def test_an_operator_without_a_row_is_bounded_through_the_operators_it_calls():
    b = bounds(truth(Fn(lambda x: scaled_exp(x, 3.0)), (A,)), lookup("harness_tests.scaled_exp"), FP16)
    same = bounds(truth(Fn(lambda x: torch.exp(x) * 3.0), (A,)), lookup("aten.mul"), FP16)
    assert [c.name for c in b.calls] == ["aten.exp.default", "aten.mul.Tensor"]
    assert b.without_row == {"harness_tests.scaled_exp.default": True}
    assert torch.equal(b.bound[0], same.bound[0])


def test_native_code_without_a_row_gets_eight_ulp(monkeypatch):
    monkeypatch.delitem(RULES, "aten.polygamma")
    x = A.double().abs() + 1
    b = bounds(truth(Fn(lambda x: torch.polygamma(1, x)), (x,)), lookup("aten.polygamma"), FP32)
    assert b.without_row == {"aten.polygamma.default": False}
    assert torch.allclose(b.bound[0], 8 * FP32.ulp(torch.polygamma(1, x)), rtol=1e-6)


def test_a_quantized_value_may_differ_by_a_step_only_next_to_a_tie():
    def fn(x):
        q = torch.ops.quantized_decomposed.quantize_per_tensor(x, 0.1, 0, -128, 127, torch.int8)
        return torch.ops.quantized_decomposed.dequantize_per_tensor(q, 0.1, 0, -128, 127, torch.int8)

    import torch.ao.quantization.fx._decomposed

    # At 82.46 steps fp16's spacing of 1/16 reaches the tie; at 82.3 it does not; 82.5 itself is exact in fp16.
    b = bounds(truth(Fn(fn), (torch.tensor([8.246, 8.23, 8.25, 0.0]),)), lookup("quantized_decomposed.add"), FP16)
    assert b.without_row == {}
    assert [round(float(v), 2) for v in b.bound[0]] == [0.12, 0.02, 0.02, 0.0]


def test_a_step_next_to_a_tie_moves_the_decisions_behind_it():
    """Tenths, then halves of the difference of two neighbours: pushed both the same way they would cancel."""

    def stepped(x, scale):
        q = torch.ops.quantized_decomposed.quantize_per_tensor(x, scale, 0, -128, 127, torch.int8)
        return torch.ops.quantized_decomposed.dequantize_per_tensor(q, scale, 0, -128, 127, torch.int8)

    def fn(x):
        tenths = stepped(x, 0.1)
        return stepped(tenths[::2] - tenths[1::2], 0.5)

    import torch.ao.quantization.fx._decomposed

    # 8.246 and 7.546 lie next to a tie in fp16. The first difference is 0.7 or 0.8, on either side of 0.75, the second
    # 0.6 or 0.5 on one side, and nothing moves the third.
    x = torch.tensor([8.246, 7.546, 8.1, 7.546, 8.2, 7.5])
    b = bounds(truth(Fn(fn), (x,)), lookup("quantized_decomposed.add"), FP16)
    assert [float(v) > 0.4 for v in b.bound[0]] == [True, False, False]
    assert float(b.bound[0][0]) < 0.6


def test_in_place_operators_are_bounded_like_their_twins():
    def inplace(x):
        y = x.clone()
        y.div_(3)
        return y.exp_()

    fn = bounds(truth(Fn(lambda x: torch.exp(x / 3)), (A,)), lookup("aten.exp"), FP16).bound[0]
    got = bounds(truth(Fn(inplace), (A,)), lookup("aten.exp"), FP16).bound[0]
    assert torch.allclose(fn, got, rtol=1e-9)
    assert math.isfinite(float(got.max()))


def test_a_fourier_transform_is_bounded_by_the_sum_of_magnitudes_in_both_parts():
    x = grid(4, 16)
    b = bounds(truth(Fn(lambda x: torch.view_as_real(torch.fft.fft(x))), (x,)), lookup("aten.fft_fft"), FP16)
    want = dot_bound(x.double().abs().sum(1), 16, FP16).view(4, 1, 1).expand(4, 16, 2)
    assert b.terms == 16
    assert torch.allclose(b.bound[0], want, rtol=1e-9)


def _layers(weight):
    """A convolution, a comparison with an exact number, a linear layer; and an image of whole numbers."""
    convolution = nn.Conv2d(16, 16, weight.shape[-1], padding=weight.shape[-1] // 2, bias=False)
    convolution.weight.data = weight
    linear = nn.Linear(8, 4)
    linear.weight.data, linear.bias.data = grid(4, 8, seed=31), grid(4, seed=32)
    image = (2 * grid(1, 16, 8, 8, seed=33)).round()
    return Fn(lambda x: linear((convolution(x) == 1.0).to(x.dtype))), Fn(lambda x: linear(torch.zeros_like(x))), image


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("f", [FP16, FP32], ids=lambda f: f.name)
def test_a_pointwise_convolution_of_one_term_is_exact_so_that_a_comparison_after_it_is_judged(f, kernel):
    weight = torch.zeros(16, 16, kernel, kernel)
    weight[:, :, kernel // 2, kernel // 2] = torch.eye(16).flip(1)
    right, never_equal, image = _layers(weight)
    t = truth(right, (image,))
    rule = rule_for("aten.eq.Scalar", ["aten.conv2d.default", "aten.eq.Scalar", "aten.linear.default"])
    assert compare([right(image)], t, rule, f.name).outcome is Outcome.PASS
    # A larger kernel may be computed with roundings that turn the comparison over.
    expected = Outcome.WRONG_VALUE if kernel == 1 else Outcome.PASS
    assert compare([never_equal(image)], t, rule, f.name).outcome is expected


def test_a_transformer_layer_is_bounded_by_its_own_operators():
    """Eager would run it by one fused operator, which nobody has a row for."""
    layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    found = bounds(truth(layer, (torch.randn(1, 5, 16),)), rule_for("module.layer", ["aten.mm.default"]), FP32)
    assert found.whole
    assert found.without_row == {}
    assert len(found.calls) > 5
    assert torch.backends.mha.get_fastpath_enabled()


def test_bounds_that_pass_over_an_operator_or_lose_an_element_are_not_whole(monkeypatch):
    def lengths(x):
        return torch.rsqrt(x.square().mean(-1)).sum()

    # Squares below the smallest normal number of fp16: as errors they are as large as themselves.
    t = truth(Fn(lengths), (torch.full((64, 256), 0.004),))
    assert bounds(t, rule_for("m.f", ["aten.mul.Tensor"] * 2), FP32).whole
    assert not bounds(t, rule_for("m.f", ["aten.mul.Tensor"] * 2), FP16).whole
    monkeypatch.delitem(RULES, "aten.polygamma")
    t = truth(Fn(lambda x: torch.polygamma(1, x) * 2), (torch.rand(4) + 1,))
    assert not bounds(t, rule_for("m.f", ["aten.polygamma.default", "aten.mul.Tensor"]), FP32).whole


def test_no_element_misses_an_operator_because_two_errors_cancel():
    """Errors of `exp` and `log` are of like size at some of many elements, and may not cancel in every run."""

    class SoftplusByHand(torch.nn.Module):
        def forward(self, x):
            return torch.log(torch.exp(x) + 1)

    x = torch.linspace(-1, 1, 50_000)
    bound = bounds(truth(SoftplusByHand(), (x,)), lookup("aten.log.default"), FP32).bound[0]
    windows = bound[: 50_000 // 50 * 50].reshape(-1, 50)  # where x, and so the bound, is nearly the same
    assert float((windows.amin(1) / windows.amax(1)).min()) > 0.6
