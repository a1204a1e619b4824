"""Special values, messages and planted faults: what is wrong is caught, at the right rung."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.evidence.notes import Note, NoteCode
from harness.evidence.vocabulary import HarnessError, Outcome, Phase
from harness.verdict.compare import Verdict, compare
from harness.verdict.oracle import truth
from harness.verdict.table import MODEL, RULES, lookup, rule_for
from harness.verdict.tolerance import sqnr

INF, NAN = math.inf, math.nan


class Fn(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, *args):
        return self.fn(*args)


def judge(fn, inputs, got, op, precision="fp16") -> Verdict:
    if isinstance(got, torch.Tensor):
        got = [got]
    return compare(list(got), truth(Fn(fn), inputs), rule_for(op, [op]), precision)


def grid(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random float32 values that fp16 represents."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).half().float()


# --- number, shape, dtype ---------------------------------------------------------------------------


def test_number_of_outputs():
    x = grid(3)
    v = judge(torch.neg, (x,), [x, x], "aten.neg")
    assert (v.outcome, v.phase, v.reason) == (Outcome.WRONG_SHAPE, Phase.SHAPE, "2 outputs, expected 1")


def test_shape_before_dtype_before_value():
    x = grid(2, 3)
    v = judge(torch.neg, (x,), torch.zeros(3, 2, dtype=torch.int32), "aten.neg")
    assert (v.outcome, v.phase) == (Outcome.WRONG_SHAPE, Phase.SHAPE)
    assert v.reason == "output 0: shape [3, 2], expected [2, 3]"
    v = judge(torch.neg, (x,), torch.zeros(2, 3, dtype=torch.int32), "aten.neg")
    assert (v.outcome, v.phase) == (Outcome.WRONG_DTYPE, Phase.DTYPE)
    assert v.reason == "output 0: dtype int32, expected float32"


def test_rank_0_is_not_rank_1():
    v = judge(torch.sum, (grid(3),), torch.zeros(1), "aten.sum")
    assert v.outcome is Outcome.WRONG_SHAPE


def test_unknown_precision_is_the_callers_error():
    with pytest.raises(HarnessError, match="fp8"):
        judge(torch.neg, (grid(2),), grid(2), "aten.neg", "fp8")


def test_empty_tensors_pass():
    v = judge(torch.exp, (torch.zeros(0, 2),), torch.zeros(0, 2), "aten.exp")
    assert v.outcome is Outcome.PASS


# --- special values: exact, got -> outcome ----------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "got", "outcome"),
    [
        (NAN, NAN, Outcome.PASS),
        (NAN, 1.0, Outcome.WRONG_VALUE),
        (NAN, INF, Outcome.WRONG_VALUE),
        (INF, INF, Outcome.PASS),
        (INF, -INF, Outcome.WRONG_VALUE),
        (INF, 65504.0, Outcome.WRONG_VALUE),
        (INF, NAN, Outcome.WRONG_VALUE),
        (1.0, NAN, Outcome.OUT_OF_RANGE),
        (1.0, INF, Outcome.OUT_OF_RANGE),
        (40000.0, INF, Outcome.PASS),  # 80000 is beyond fp16
        (40000.0, 65504.0, Outcome.PASS),
        (40000.0, 80000.0, Outcome.PASS),  # computed wider than asked
        (40000.0, -INF, Outcome.OUT_OF_RANGE),
        (40000.0, 60000.0, Outcome.WRONG_VALUE),
        (2.0**-16, 0.0, Outcome.PASS),  # flushed
        (2.0**-16, -0.0, Outcome.PASS),
        (2.0**-13, 0.0, Outcome.WRONG_VALUE),
        (-0.0, 0.0, Outcome.PASS),
    ],
)
def test_special_values_of_a_product(x, got, outcome):
    two = torch.tensor([2.0])
    v = judge(torch.mul, (torch.tensor([x]), two), torch.tensor([got]), "aten.mul")
    assert v.outcome is outcome, v.reason


def test_fp32_has_its_own_range():
    x, two = torch.tensor([40000.0]), torch.tensor([2.0])
    assert judge(torch.mul, (x, two), torch.tensor([INF]), "aten.mul", "fp32").outcome is Outcome.OUT_OF_RANGE


def test_a_saturated_intermediate_is_a_range_finding():
    # x * x overflows fp16 inside although the result is 300.
    def fn(x):
        return torch.sqrt(x * x)

    x = torch.tensor([300.0, 2.0])
    v = judge(fn, (x,), torch.tensor([255.9375, 2.0]), "aten.sqrt")
    assert v.outcome is Outcome.OUT_OF_RANGE
    assert "intermediate reaches 90000" in v.reason
    assert judge(fn, (x / 4,), torch.tensor([63.0, 0.5]), "aten.sqrt").outcome is Outcome.WRONG_VALUE


def test_a_wrong_value_is_not_hidden_behind_an_overflow():
    x = torch.tensor([1.0, 2.0])
    v = judge(torch.mul, (x, x), torch.tensor([INF, 5.0]), "aten.mul")
    assert v.outcome is Outcome.WRONG_VALUE


def test_complex_results():
    x = grid(4)
    want = torch.complex(x, x)
    assert judge(lambda x: torch.complex(x, x), (x,), want, "aten.complex").outcome is Outcome.PASS
    v = judge(lambda x: torch.complex(x, x), (x,), want.conj(), "aten.complex")
    assert v.outcome is Outcome.WRONG_VALUE


# --- exact classes ----------------------------------------------------------------------------------


def test_integers_are_exact_and_the_message_says_where():
    a = torch.tensor([[1, 2], [3, 2**31]])
    got = a * 2
    got[1, 1] += 1
    v = judge(lambda a: a * 2, (a,), got, "aten.mul")
    assert v.outcome is Outcome.WRONG_VALUE
    assert v.reason == "output 0[1, 1]: got 4294967297, expected 4294967296 exactly (1 of 4 elements)"
    assert v.numerics is not None
    assert (v.numerics.worst, v.numerics.limit, v.numerics.at) == (1.0, 0.0, "0[1, 1]")


def test_one_ulp_off_is_wrong_where_data_is_only_moved():
    x = grid(3, 4)
    got = x.t().clone()
    got[0, 0] = torch.nextafter(got[0, 0], torch.tensor(INF))
    assert judge(lambda x: x.t().contiguous(), (x,), got, "aten.t", "fp32").outcome is Outcome.WRONG_VALUE


def test_ties_are_judged_by_the_values_they_select():
    x = torch.tensor([[1.0, 5.0, 5.0, 2.0]])
    argmax = torch.argmax(x, 1)
    assert judge(lambda x: torch.argmax(x, 1), (x,), 3 - argmax, "aten.argmax").outcome is Outcome.PASS
    assert judge(lambda x: torch.argmax(x, 1), (x,), argmax + 2, "aten.argmax").outcome is Outcome.WRONG_VALUE
    assert judge(lambda x: torch.argmax(x, 1), (x,), argmax - 9, "aten.argmax").outcome is Outcome.WRONG_VALUE
    assert judge(torch.argmax, (x,), 3 - torch.argmax(x), "aten.argmax").outcome is Outcome.PASS


def test_ties_of_topk_are_free_but_no_element_twice():
    x = torch.tensor([5.0, 5.0, 1.0, 5.0])
    values = torch.tensor([5.0, 5.0])

    def fn(x):
        return torch.topk(x, 2)

    for index, outcome in (([3, 1], Outcome.PASS), ([3, 3], Outcome.WRONG_VALUE), ([3, 2], Outcome.WRONG_VALUE)):
        assert judge(fn, (x,), [values, torch.tensor(index)], "aten.topk").outcome is outcome


def test_a_stable_sort_has_one_answer():
    x = torch.tensor([1.0, 1.0, 0.0])
    got = [torch.tensor([0.0, 1.0, 1.0]), torch.tensor([2, 1, 0])]
    assert judge(lambda x: torch.sort(x), (x,), got, "aten.sort").outcome is Outcome.PASS
    assert judge(lambda x: torch.sort(x, stable=True), (x,), got, "aten.sort").outcome is Outcome.WRONG_VALUE


def test_ties_of_pooling_indices():
    x = torch.ones(1, 1, 4, 4)
    values, index = F.max_pool2d(x, 2, return_indices=True)

    def fn(x):
        return F.max_pool2d(x, 2, return_indices=True)

    assert judge(fn, (x,), [values, index + 1], "aten.max_pool2d_with_indices").outcome is Outcome.PASS
    x[0, 0, 0, 0] = 2
    values, index = fn(x)
    assert judge(fn, (x,), [values, index + 1], "aten.max_pool2d_with_indices").outcome is Outcome.WRONG_VALUE


# --- constants that the precision does not represent ------------------------------------------------


def test_a_constant_may_be_rounded_to_the_recipes_precision_only():
    x = torch.tensor([1000.0])
    tenth16 = float(torch.tensor(0.1).half())  # 0.0999756: 0.024 % off
    rounded = x * tenth16
    assert judge(lambda x: x * 0.1, (x,), rounded, "aten.mul").outcome is Outcome.PASS
    assert judge(lambda x: x * 0.1, (x,), rounded, "aten.mul", "fp32").outcome is Outcome.WRONG_VALUE
    assert judge(lambda x: x * 0.1, (x,), x * 0.0995, "aten.mul").outcome is Outcome.WRONG_VALUE


HALF = torch.tensor([0.1, 0.3, 0.7]).half().float()


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda x: torch.where(x > 0, x, torch.tensor([0.1, 0.3, 0.7])), lambda x: torch.where(x > 0, x, HALF)),
        (lambda x: torch.cat([x, torch.tensor([0.1, 0.3, 0.7])]), lambda x: torch.cat([x, HALF])),
        (lambda x: torch.cat([x, torch.tensor([1, 3, 7]) / 10]), lambda x: torch.cat([x, HALF])),
    ],
)
def test_numbers_written_as_a_tensor_may_be_rounded_as_well(fn, expected):
    x = torch.tensor([1.0, -2.0, 3.0])
    assert judge(fn, (x,), expected(x), "aten.cat").outcome is Outcome.PASS
    assert judge(fn, (x,), expected(x), "aten.cat", "fp32").outcome is Outcome.WRONG_VALUE
    assert judge(fn, (x,), expected(x) * (1 + 2**-8), "aten.cat").outcome is Outcome.WRONG_VALUE


def test_operands_may_be_rounded_where_the_truth_is_not_in_float64():
    def fn(x):
        if x.dtype == torch.float64:
            raise NotImplementedError("no kernel for Double")
        return x.flip(0)

    x = torch.tensor([0.1, 0.3])
    assert judge(fn, (x,), x.half().float().flip(0), "aten.flip").outcome is Outcome.PASS
    assert judge(fn, (x,), x.half().float().flip(0), "aten.flip", "fp32").outcome is Outcome.WRONG_VALUE
    assert judge(fn, (x,), x, "aten.flip").outcome is Outcome.WRONG_VALUE


def test_a_quantized_weight_is_no_operand_to_round():
    from torchao.quantization import quantize_
    from torchao.quantization.quant_api import IntxWeightOnlyConfig

    layer = nn.Linear(32, 2)
    quantize_(layer, IntxWeightOnlyConfig(torch.int8))
    x = torch.randn(1, 32, generator=torch.Generator().manual_seed(1)).half().float()
    t = truth(layer, (x,))
    rule = rule_for("aten.linear", ["aten.linear"])
    assert compare([layer(x).detach()], t, rule, "fp16").outcome is Outcome.PASS


def test_weights_may_be_rounded_too():
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.1)
    x = torch.tensor([[1000.0]])
    t = truth(layer, (x,))
    rule = rule_for("aten.linear", ["aten.linear"])
    assert compare([x * float(torch.tensor(0.1).half())], t, rule, "fp16").outcome is Outcome.PASS


def test_a_comparison_with_an_unrepresentable_constant_has_two_answers():
    x = torch.tensor([float(torch.tensor(0.1).half()), 0.5, 0.0])

    def fn(x):
        return x >= 0.1

    for got, outcome in (([0, 1, 0], Outcome.PASS), ([1, 1, 0], Outcome.PASS), ([1, 0, 0], Outcome.WRONG_VALUE)):
        assert judge(fn, (x,), torch.tensor(got, dtype=torch.bool), "aten.ge").outcome is outcome
    assert judge(fn, (x,), torch.tensor([True, True, False]), "aten.ge", "fp32").outcome is Outcome.WRONG_VALUE


def test_a_filled_constant_is_one_of_two_values_not_between():
    x = torch.tensor([1.0])
    low = float(torch.tensor(0.1).half())
    for value, outcome in ((0.1, Outcome.PASS), (low, Outcome.PASS), ((0.1 + low) / 2, Outcome.WRONG_VALUE)):
        got = torch.full((1,), value, dtype=torch.float64).float()
        v = judge(
            lambda x: torch.where(x > 0, torch.full((1,), 0.1, dtype=torch.float64).float(), x), (x,), got, "aten.where"
        )
        assert v.outcome is outcome, (value, v.reason)


# --- numerics ---------------------------------------------------------------------------------------


def test_numerics_are_of_the_element_closest_to_its_bound():
    x = torch.tensor([1.0, 1024.0])
    one = torch.ones(2)
    got = torch.tensor([1.0 + 0.75 * 2**-10, 1024.0 + 0.5])
    v = judge(torch.mul, (x, one), got, "aten.mul")
    assert v.outcome is Outcome.PASS
    n = v.numerics
    assert n is not None
    assert (n.tolerance_class, n.at) == ("ULP", "0[0]")
    assert n.limit == pytest.approx(2**-10)
    assert n.worst == pytest.approx(0.75 * 2**-10)
    assert n.headroom == pytest.approx(1 / 0.75)
    assert n.max_ulp == pytest.approx(0.75)
    assert n.max_abs == 0.5
    want = 10 * math.log10((1 + 1024**2) / (0.25 + (0.75 * 2**-10) ** 2))
    assert n.sqnr_db == pytest.approx(want)


def test_an_exact_result_has_infinite_headroom():
    v = judge(torch.neg, (grid(3),), -grid(3), "aten.neg")
    assert v.numerics is not None
    assert v.numerics.headroom == INF
    assert v.numerics.sqnr_db == INF


def test_the_message_has_index_got_expected_error_and_bound():
    v = judge(torch.mul, (torch.ones(2, 2), torch.ones(2, 2)), torch.tensor([[1.0, 1.0], [1.0, 1.5]]), "aten.mul")
    assert v.reason == (
        "output 0[1, 1]: got 1.5, expected 1, error 0.5 (512 ulp), bound 0.0009766 (ULP, fp16; 1 of 4 elements)"
    )


def test_a_listed_operator_of_many_steps_is_composed():
    x = grid(4).abs() + 1
    v = judge(torch.special.bessel_j0, (x,), torch.special.bessel_j0(x), "aten.special_bessel_j0", "fp32")
    assert v.numerics is not None
    assert v.numerics.tolerance_class == "COMPOSED"
    assert v.notes == []


def test_an_operator_without_a_row_is_named(monkeypatch):
    monkeypatch.delitem(RULES, "aten.polygamma")
    x = grid(4).abs() + 1
    v = judge(lambda x: torch.polygamma(1, x), (x,), torch.polygamma(1, x), "aten.polygamma", "fp32")
    assert v.outcome is Outcome.PASS
    assert v.numerics is not None
    assert v.numerics.tolerance_class == "COMPOSED (no row)"
    expected = "no row for aten.polygamma.default in the table of tolerances: 8 ulp were allowed"
    assert v.notes == [Note(NoteCode.NO_ROW, expected)]


@pytest.mark.parametrize("rule", [None, MODEL])
def test_a_pass_of_empty_outputs_says_that_nothing_was_compared(rule):
    x = grid(0, 3)
    t = truth(Fn(torch.exp), (x,))
    v = compare([torch.exp(x)], t, rule or lookup("aten.exp"), "fp32")
    note = Note(NoteCode.NOTHING_COMPARED, "no value compared: every output is empty")
    assert (v.outcome, v.notes) == (Outcome.PASS, [note])
    t = truth(Fn(lambda x: (x, x.new_ones(1))), (x,))
    assert compare([x, torch.ones(1)], t, rule or lookup("aten.exp"), "fp32").notes == []


# --- whole models -----------------------------------------------------------------------------------


def test_a_model_is_judged_by_sqnr():
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    x = grid(8, 16)
    t = truth(model, (x,))
    good = t.reference[0]
    assert compare([good], t, MODEL, "fp32").outcome is Outcome.PASS
    off = good * 1.002  # 54 dB
    assert compare([off], t, MODEL, "fp16").outcome is Outcome.PASS
    v = compare([off], t, MODEL, "fp32")
    assert v.outcome is Outcome.WRONG_VALUE
    assert "SQNR 54.0 dB, below 80 dB" in v.reason
    assert compare([good * 1.02], t, MODEL, "fp16").outcome is Outcome.WRONG_VALUE
    bad = good.clone()
    bad[0, 0] = INF
    assert compare([bad], t, MODEL, "fp16").outcome is Outcome.OUT_OF_RANGE


def test_a_models_integers_are_exact():
    t = truth(Fn(lambda x: (x * 2, x.argmax())), (grid(4),))
    good = list(t.reference)
    assert compare(good, t, MODEL, "fp16").outcome is Outcome.PASS
    assert compare([good[0], good[1] + 1], t, MODEL, "fp16").outcome is Outcome.WRONG_VALUE


# --- planted faults ---------------------------------------------------------------------------------

A, B = grid(8, 64, seed=1), grid(64, 8, seed=2)
IMAGE, KERNEL = grid(2, 3, 9, 9, seed=3), grid(4, 3, 3, 3, seed=4)
POSITIVE = grid(4, 16, seed=5).abs() + 0.5

FAULTS = {
    "product scaled by 0.1 %": (torch.mul, (A, A), lambda a, b: a * b * 1.0021, "aten.mul", "fp16"),
    "product two ulp off": (torch.mul, (A, A), lambda a, b: a * b * (1 + 2**-8), "aten.mul", "fp16"),
    "matmul scaled by 0.1 %": (torch.matmul, (A, B), lambda a, b: a @ b * 1.001, "aten.matmul", "fp32"),
    "positive matmul off by 1 %": (
        torch.matmul,
        (A.abs(), B.abs()),
        lambda a, b: a @ b * 1.01,
        "aten.matmul",
        "fp16",
    ),
    "matmul without its last term": (torch.matmul, (A, B), lambda a, b: a[:, :-1] @ b[:-1], "aten.matmul", "fp16"),
    "swapped operands of sub": (torch.sub, (A, A.flip(0)), lambda a, b: b - a, "aten.sub", "fp16"),
    "swapped operands of div": (torch.div, (A, POSITIVE[0, 0]), lambda a, b: b / a, "aten.div", "fp16"),
    "reciprocal with epsilon 1e-4 inside": (
        torch.reciprocal,
        (torch.tensor([0.0078125, 1.0]),),
        lambda x: 1 / (x + 1e-4),
        "aten.reciprocal",
        "fp16",
    ),
    "softmax over the wrong axis": (
        lambda x: F.softmax(x, -1),
        (A,),
        lambda x: F.softmax(x, 0),
        "aten.softmax",
        "fp16",
    ),
    "log_softmax without log": (
        lambda x: F.log_softmax(x, -1),
        (A,),
        lambda x: F.softmax(x, -1),
        "aten.log_softmax",
        "fp16",
    ),
    "layer_norm with epsilon 1e-3": (
        lambda x: F.layer_norm(x, (64,), eps=1e-5),
        (A * 0.125,),
        lambda x: F.layer_norm(x, (64,), eps=1e-3),
        "aten.layer_norm",
        "fp16",
    ),
    "layer_norm with n - 1": (
        lambda x: F.layer_norm(x, (16,)),
        (POSITIVE,),
        lambda x: (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True),
        "aten.layer_norm",
        "fp16",
    ),
    "variance of n": (lambda x: x.var(1), (A,), lambda x: x.var(1, correction=0), "aten.var", "fp16"),
    "gelu by tanh": (F.gelu, (A * 2,), lambda x: F.gelu(x, approximate="tanh"), "aten.gelu", "fp32"),
    "leaky slope ignored": (
        lambda x: F.leaky_relu(x, 0.2),
        (A,),
        lambda x: F.leaky_relu(x, 0.01),
        "aten.leaky_relu",
        "fp16",
    ),
    "alpha of add ignored": (lambda a: torch.add(a, a, alpha=2), (A,), lambda a: a + a, "aten.add", "fp16"),
    "convolution flipped": (F.conv2d, (IMAGE, KERNEL), lambda x, w: F.conv2d(x, w.flip(3)), "aten.conv2d", "fp16"),
    "convolution without bias": (
        F.conv2d,
        (IMAGE, KERNEL, torch.full((4,), 4.0)),
        lambda x, w, b: F.conv2d(x, w),
        "aten.conv2d",
        "fp16",
    ),
    "mean of n - 1": (lambda x: x.mean(1), (POSITIVE,), lambda x: x.sum(1) / 15, "aten.mean", "fp16"),
    "pool counts the padding": (
        lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
        (IMAGE.abs() + 1,),
        lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=True),
        "aten.avg_pool2d",
        "fp16",
    ),
    "cumsum exclusive": (lambda x: x.cumsum(1), (POSITIVE,), lambda x: x.cumsum(1) - x, "aten.cumsum", "fp16"),
    "product loses a factor": (lambda x: x.prod(1), (POSITIVE,), lambda x: x[:, 1:].prod(1), "aten.prod", "fp16"),
    "round half away from zero": (
        torch.round,
        (torch.tensor([0.5, 1.5, 2.5]),),
        lambda x: torch.floor(x + 0.5),
        "aten.round",
        "fp16",
    ),
    "floor of a negative": (torch.floor, (torch.tensor([-0.5]),), torch.trunc, "aten.floor", "fp16"),
    "nan dropped by relu": (F.relu, (torch.tensor([NAN]),), lambda x: torch.zeros(1), "aten.relu", "fp16"),
    "sign of remainder": (torch.remainder, (A, POSITIVE[0, 0]), torch.fmod, "aten.remainder", "fp16"),
    "tanh by x at small values": (torch.tanh, (grid(64) * 0.5,), lambda x: x, "aten.tanh", "fp16"),
    "log1p by log(1 + x) in fp16": (
        torch.log1p,
        (torch.tensor([0.001]).half().float(),),
        lambda x: torch.log((1 + x).half().float()),
        "aten.log1p",
        "fp16",
    ),
    "interpolation with aligned corners": (
        lambda x: F.interpolate(x, size=(5, 5), mode="bilinear", align_corners=False),
        (IMAGE,),
        lambda x: F.interpolate(x, size=(5, 5), mode="bilinear", align_corners=True),
        "aten.upsample_bilinear2d",
        "fp16",
    ),
    "attention without scale": (
        lambda q: F.scaled_dot_product_attention(q, q, q),
        (grid(1, 2, 6, 16),),
        lambda q: F.scaled_dot_product_attention(q, q, q, scale=1.0),
        "aten.scaled_dot_product_attention",
        "fp16",
    ),
    "attention not causal": (
        lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True),
        (grid(1, 2, 6, 16),),
        lambda q: F.scaled_dot_product_attention(q, q, q),
        "aten.scaled_dot_product_attention",
        "fp16",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_caught(name):
    fn, inputs, fault, op, precision = FAULTS[name]
    v = judge(fn, inputs, fault(*inputs), op, precision)
    assert v.outcome is Outcome.WRONG_VALUE, v
    assert v.phase is Phase.VALUE
    assert "output 0" in v.reason


@pytest.mark.parametrize("name", FAULTS)
def test_without_the_fault_it_passes(name):
    fn, inputs, _, op, precision = FAULTS[name]
    v = judge(fn, inputs, Fn(fn)(*inputs), op, precision)
    assert v.outcome is Outcome.PASS, v


def test_the_whole_tensor_test_catches_what_no_element_shows():
    # 1 % on every element of a positive product of 64 terms: within 6.25 % of bnd each, beyond 0.49 % together.
    a, b = A.abs(), B.abs()
    v = judge(torch.matmul, (a, b), a @ b * 1.01, "aten.matmul")
    assert "whole tensor" in v.reason
    one = a @ b
    one[0, 0] *= 1.01
    assert judge(torch.matmul, (a, b), one, "aten.matmul").outcome is Outcome.PASS


def test_a_model_that_amplifies_roundings_is_judged_by_eager_in_the_same_precision() -> None:
    class Amplifies(torch.nn.Module):
        """Subtracts nearly all of what it adds: eager in fp16 keeps two or three digits."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 100.0) - 99.0

    module, inputs = Amplifies(), (torch.linspace(-1, 1, 101, dtype=torch.float32),)
    case = truth(module, inputs)
    eager = module(inputs[0].half()).float()
    reached = sqnr(eager, case.outputs[0])
    assert reached < 40
    assert compare([eager], case, MODEL, "fp16").outcome is Outcome.PASS
    worse = case.outputs[0] + 3 * (eager.double() - case.outputs[0])
    verdict = compare([worse.float()], case, MODEL, "fp16")
    assert verdict.outcome is Outcome.WRONG_VALUE
    assert f"below {reached - 6:.0f} dB" in verdict.reason
    expected = f"output 0: {reached - 6:.1f} dB asked for instead of 40: eager in fp16 reaches {reached:.1f}"
    assert verdict.notes == [Note(NoteCode.THRESHOLD_LOWERED, expected)]


def test_eager_in_the_precision_never_raises_the_threshold() -> None:
    module = torch.nn.Linear(8, 8).eval()
    case = truth(module, (torch.randn(4, 8),))
    noisy = case.outputs[0] * (1 + 5e-3)
    assert compare([noisy.float()], case, MODEL, "fp16").outcome is Outcome.PASS


def test_a_signal_that_died_away_is_told_to_be_no_comparison():
    x = grid(8) * 2.0**-20
    died = judge(lambda x: torch.sin(x) * 0.5, (x,), torch.zeros(8), "aten.sin")
    assert died.outcome is Outcome.PASS
    assert [note.code for note in died.notes] == [NoteCode.NOTHING_COMPARED]
    assert "0 is right for all" in died.notes[0].detail
    half_alive = torch.cat([x, grid(8)])
    alive = judge(lambda x: torch.sin(x) * 0.5, (half_alive,), torch.sin(half_alive) * 0.5, "aten.sin")
    assert (alive.outcome, alive.notes) == (Outcome.PASS, [])
    nothing = judge(torch.relu, (-grid(8).abs(),), torch.zeros(8), "aten.relu")
    assert (nothing.outcome, nothing.notes) == (Outcome.PASS, [])


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.WRONG_VALUE])
def test_a_model_whose_signal_died_away(outcome):
    x = grid(8) * 2.0**-20
    got = torch.zeros(8) if outcome is Outcome.PASS else torch.ones(8)
    v = compare([got], truth(Fn(torch.sin), (x,)), MODEL, "fp16")
    assert v.outcome is outcome
    said = NoteCode.NOTHING_COMPARED in [note.code for note in v.notes]
    assert said is (outcome is Outcome.PASS)


def test_one_number_throughout_is_told_to_be_no_comparison_of_several_operators():
    x, zeros = grid(3, 8), torch.zeros(3, 4)

    def layer(x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, x.new_zeros(4, 8))

    v = judge(lambda x: layer(torch.sin(x)), (x,), zeros, "aten.linear")
    assert v.outcome is Outcome.PASS
    assert [note.detail for note in v.notes] == ["no value compared: every output is 0 throughout"]
    wrong = judge(lambda x: layer(torch.sin(x)), (x,), zeros + 1, "aten.linear")
    assert (wrong.outcome, wrong.notes) == (Outcome.WRONG_VALUE, [])
    single = judge(layer, (x,), zeros, "aten.linear")
    number = judge(lambda x: layer(torch.sin(x)).sum(), (x,), torch.zeros(()), "aten.linear")
    assert (single.notes, number.notes) == ([], [])


def test_floats_of_eight_bits_are_compared_exactly() -> None:
    """torch has no arithmetic on them; programs only hand them on."""
    right = torch.tensor([0.5, -1.0, 448.0]).to(torch.float8_e4m3fn)
    wrong = torch.tensor([0.5, -1.125, 448.0]).to(torch.float8_e4m3fn)
    one = truth(Fn(lambda x: x.clone()), (right,))
    assert compare([right], one, lookup("aten.clone"), "fp32").outcome is Outcome.PASS
    assert compare([wrong], one, lookup("aten.clone"), "fp32").outcome is Outcome.WRONG_VALUE
