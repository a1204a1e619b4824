"""Defects that a ratio over an output, a tolerance or an excuse would let pass, in modules of users."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.evidence.notes import NoteCode
from harness.evidence.vocabulary import Outcome

sys.path.insert(0, str(Path(__file__).parent))

from rows import SOFTPLUS, Call, Row, hold

WRONG, PASS, RANGE, LOAD = Outcome.WRONG_VALUE, Outcome.PASS, Outcome.OUT_OF_RANGE, Outcome.LOAD_ERROR
NAN, INF = math.nan, math.inf
TIES = torch.tensor([0.25, 0.75, 0.75, 0.5])
NEAR_ZERO = torch.linspace(0.01, 0.1, 24)
AROUND = torch.linspace(-4, 4, 24)


def padded(*shape):
    """A batch of which the last two tokens are padding."""
    x = torch.randn(*shape)
    x[:, -2:] = 0
    return x


def beside(wrong, many, size):
    """A column of `wrong` of numbers in (0, 1) behind one of up to `size`."""
    return Call(lambda x, large: torch.cat((large, wrong(x)), -1)), (torch.rand(many, 1), torch.rand(many, 4) * size)


SPECIAL = {
    # rms_norm makes a NaN of a row of zeros; what follows may lose it, and is wrong either way.
    "rms_norm, linear, relu, linear": Row(
        lambda: (
            nn.Sequential(nn.RMSNorm(16, eps=1e-5), nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 8)),
            (padded(2, 5, 16),),
        ),
        WRONG,
        operator="aten.rms_norm.default",
    ),
    "rms_norm, clamp": Row(
        lambda: (Call(lambda x: F.rms_norm(x, (8,), eps=1e-5).clamp(-1, 1)), (padded(2, 5, 8),)),
        WRONG,
    ),
    "rms_norm, where": Row(
        lambda: (
            nn.Sequential(nn.RMSNorm(8, eps=1e-5), Call(lambda y: torch.where(y > 0, y, y / 8))),
            (padded(1, 4, 8),),
        ),
        WRONG,
    ),
    # NaN of one element is 0 of a converter that divides by n
    "std of one": Row(lambda: (Call(torch.std), (torch.ones(1),)), WRONG, reason="got 0, expected nan"),
    "std of one, maximum": Row(
        lambda: (Call(lambda x: torch.maximum(x.std(), torch.zeros(()))), (torch.ones(1),)), WRONG
    ),
    "std of one, where it is NaN": Row(
        lambda: (Call(lambda x: torch.where(torch.isnan(x.std()), -1.0, x.std())), (torch.ones(1, 1),)), WRONG
    ),
    # infinities
    "logarithm of 0": Row(
        lambda: (Call(lambda x: x.log() + 1), (torch.tensor([0.0, 1.0]),)), WRONG, reason="expected -inf"
    ),
    "0 times the logarithm of 0": Row(
        lambda: (Call(lambda p: -(p * p.log()).sum(-1)), (torch.tensor([[0.0, 1.0], [0.5, 0.5]]),)),
        WRONG,
        reason="expected nan",
    ),
    "rsqrt of 0": Row(lambda: (Call(torch.rsqrt), (torch.tensor([0.0, 4.0]),)), WRONG, PASS, reason="expected inf"),
    "hardswish of -inf": Row(lambda: (nn.Hardswish(), (torch.tensor([-INF, 1.0]),)), WRONG, reason="expected nan"),
    "clamp of equal bounds": Row(
        lambda: (Call(lambda x: x.clamp(1.0, 1.0) * 2), (torch.tensor([NAN, 2.0]),)), WRONG, reason="expected nan"
    ),
    "NaN made by a mask": Row(
        lambda: (Call(lambda x: F.threshold(x, 0.5, -INF).softmax(-1)), (torch.tensor([0.0, 1.0, 2.0]),)),
        WRONG,
        reason="got nan",
    ),
    # NaN and infinities that are right
    "inf - inf": Row(lambda: (Call(lambda x: x.sum(-1)), (torch.tensor([[INF, -INF], [1.0, 2.0]]),)), PASS),
    "inf over inf": Row(lambda: (Call(lambda x: x / x.amax(-1)), (torch.tensor([INF, 1.0]),)), PASS),
    "root of -1": Row(lambda: (Call(lambda x: x.sqrt() + 1), (torch.tensor([-1.0, 4.0]),)), PASS),
    "no token attended to": Row(
        lambda: (
            Call(lambda x, off: x.masked_fill(off, -INF).softmax(-1)),
            (torch.randn(2, 3), torch.tensor([[True, True, True], [False, True, False]])),
        ),
        PASS,
    ),
    "NaN replaced": Row(
        lambda: (
            Call(lambda x: (lambda y: torch.where(torch.isnan(y), 0.0, y))(x / x.sum(-1, keepdim=True))),
            (torch.tensor([[0.0, 0.0], [1.0, 3.0]]),),
        ),
        PASS,
    ),
}

COLUMNS = {
    "scores beside coordinates": Row(lambda: beside(SOFTPLUS, 50, 3840), WRONG, operator="aten.softplus.default"),
    "scores weighed afterwards": Row(
        lambda: (
            Call(lambda x, box, w: torch.cat((box, SOFTPLUS(x)), -1) * w, w=torch.tensor([1.0, 1.0, 1.0, 1.0, 0.5])),
            (torch.rand(20, 1), torch.rand(20, 4) * 640),
        ),
        WRONG,
    ),
    "tanh gelu beside pixels": Row(
        lambda: beside(lambda x: F.gelu(x * 4 - 2, approximate="tanh"), 40, 1920),
        WRONG,
        PASS,  # half a unit of fp16
    ),
    "reciprocals beside areas": Row(
        lambda: (Call(lambda x, a: torch.stack((a, x.reciprocal()), -1)), (NEAR_ZERO, torch.rand(24) * 5e4)), WRONG
    ),
    "logits beside areas": Row(
        lambda: (
            Call(lambda x, wh: torch.cat((wh.prod(-1, keepdim=True), x.log_softmax(-1)), -1)),
            (torch.tensor([[0.0, 150.0], [3.0, 1.0]]), torch.rand(2, 2) * 100),
        ),
        WRONG,
    ),
    "one channel": Row(
        lambda: (Call(lambda x: torch.cat((x * 2000, SOFTPLUS(x)), 1)), (torch.rand(1, 1, 4, 5),)), WRONG
    ),
    "elements among large ones": Row(
        lambda: (
            Call(lambda x, large: torch.where(large, x * 3000, SOFTPLUS(x))),
            (torch.rand(6, 5), torch.rand(6, 5) > 0.5),
        ),
        WRONG,
    ),
    "std beside a sum": Row(
        lambda: (Call(lambda x: torch.stack((x.sum(), x.std()))), (torch.rand(9) * 400,)),
        WRONG,
    ),
}

OVERFLOWS = {
    "rms norm by hand": Row(
        lambda: (
            Call(lambda x, w: w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)), w=torch.ones(24)),
            (torch.randn(2, 4, 24) * 500,),
        ),
        PASS,
        RANGE,
        operator="aten.pow.Tensor_Scalar",
        reason="an intermediate reaches",
        notes=(NoteCode.RIGHT_WHEN_WIDENED,),
    ),
    "unit vectors by hand": Row(
        lambda: (Call(lambda x: x / (x * x).sum(-1, keepdim=True).sqrt()), (torch.randn(2, 32) * 300,)), PASS, RANGE
    ),
    "softmax without the largest": Row(
        lambda: (
            Call(lambda x: x.exp() / x.exp().sum(-1, keepdim=True)),
            (torch.tensor([[12.0, 11.5, 3.0], [1.0, 2.0, 3.0]]),),
        ),
        PASS,
        RANGE,
    ),
    "standardised by hand": Row(
        lambda: (
            Call(lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-5).sqrt()),
            (torch.randn(2, 16) * 800,),
        ),
        PASS,
        RANGE,
        reason="an intermediate reaches",
    ),
    "group norm": Row(lambda: (nn.GroupNorm(2, 4), (torch.randn(1, 4, 3, 3) * 900,)), PASS, RANGE),
    "harmonic mean": Row(
        lambda: (Call(lambda a, b: a * b / (a + b)), (torch.rand(8) * 400 + 300, torch.rand(8) * 400 + 300)),
        PASS,
        RANGE,
        operator="aten.mul.Tensor",
        notes=(NoteCode.EAGER_TOO, NoteCode.RIGHT_WHEN_WIDENED),
    ),
    # An operator that scales first, and an infinity of which nothing is left.
    "unit vectors by the norm": Row(
        lambda: (Call(lambda x: x / x.norm(dim=-1, keepdim=True)), (torch.randn(2, 32) * 300,)), PASS
    ),
    "layer norm": Row(lambda: (nn.LayerNorm(16), (torch.randn(2, 16) * 800,)), PASS),
    "1 over an infinity": Row(lambda: (Call(lambda x: x / (x.exp() + 1)), (torch.tensor([20.0, 1.0, -3.0]),)), PASS),
}

TIED = {
    "softplus, topk": Row(
        lambda: (Call(lambda x, s: (SOFTPLUS(x), *s.topk(2))), (torch.rand(40, 1), TIES)),
        WRONG,
        reason="output 0",
        notes=(NoteCode.UNDOCUMENTED,),
    ),
    "tanh gelu, sort": Row(
        lambda: (Call(lambda x, s: (F.gelu(x, approximate="tanh"), *s.sort())), (AROUND, TIES)),
        WRONG,
        PASS,
        reason="output 0",
        notes=(NoteCode.UNDOCUMENTED,),
    ),
    "argmax, reciprocal": Row(
        lambda: (Call(lambda x, s: (s.argmax(-1), x.reciprocal())), (NEAR_ZERO, TIES[None])),
        WRONG,
        reason="output 1",
        notes=(NoteCode.UNDOCUMENTED,),
    ),
    "argsort, std": Row(
        lambda: (Call(lambda x, s: (s.argsort(), x.std())), (torch.rand(9), TIES)),
        WRONG,
        reason="output 1",
    ),
    "one place written to twice, softplus": Row(
        lambda: (
            Call(lambda x, i, v: (x.scatter(0, i, v), SOFTPLUS(v))),
            (torch.zeros(4), torch.tensor([1, 1, 2]), torch.rand(3)),
        ),
        WRONG,
        reason="output 1",
    ),
    "maximum of NaN, softplus": Row(
        lambda: (Call(lambda x, y: (torch.maximum(x, x * 2), SOFTPLUS(y))), (torch.tensor([NAN, 1.0]), torch.rand(6))),
        WRONG,
        reason="output 1",
    ),
    "in one output": Row(
        lambda: (Call(lambda x, s: torch.cat((SOFTPLUS(x), s.topk(2).indices.float()))), (torch.rand(9), TIES)),
        WRONG,
        reason="output 0",
    ),
    "values of ties": Row(
        lambda: (Call(lambda s: s.topk(2).values * 2), (TIES,)), PASS, notes=(NoteCode.UNDOCUMENTED,)
    ),
    "what a tied index picks": Row(
        lambda: (Call(lambda s, w: w[s.topk(1).indices] * 2), (TIES, torch.arange(4.0))),
        Outcome.NOT_RUN,
        reason="right by one reading",
    ),
    "what hangs on a reading": Row(
        lambda: (
            nn.Sequential(nn.RMSNorm(8, eps=1e-5), nn.ReLU6()),
            (torch.cat((torch.zeros(1, 8), torch.ones(1, 8))),),
        ),
        Outcome.NOT_RUN,
        notes=(NoteCode.UNDOCUMENTED,),
    ),
}

PAD, WIDER, RANK = "pad-before-the-last-two-dimensions", "pad-wider-than-the-dimension", "more-than-five-dimensions"
LOADER = {
    "reflection of a volume": Row(lambda: (nn.ReflectionPad3d(1), (torch.randn(1, 1, 3, 4, 4),)), LOAD, rule=PAD),
    "replication of a volume": Row(
        lambda: (nn.ReplicationPad3d((0, 0, 0, 0, 1, 0)), (torch.randn(1, 2, 3, 3, 3),)), LOAD, rule=PAD
    ),
    "between other layers": Row(
        lambda: (
            nn.Sequential(nn.Conv3d(1, 2, 1), nn.ReflectionPad3d((1, 1, 0, 0, 1, 0)), nn.ReLU()),
            (torch.randn(1, 1, 4, 4, 4),),
        ),
        LOAD,
        rule=PAD,
    ),
    "padding of a convolution": Row(
        lambda: (nn.Conv3d(1, 2, 3, padding=1, padding_mode="replicate"), (torch.randn(1, 1, 4, 4, 4),)),
        LOAD,
        rule=PAD,
    ),
    "only its last two dimensions": Row(
        lambda: (nn.ReflectionPad3d((1, 1, 1, 1, 0, 0)), (torch.randn(1, 2, 4, 4, 4),)), PASS
    ),
    "wider than the signal": Row(lambda: (nn.ReplicationPad1d(5), (torch.randn(1, 2, 3),)), LOAD, rule=WIDER),
    "wider than the image": Row(
        lambda: (nn.ReplicationPad2d((0, 4, 0, 0)), (torch.randn(1, 2, 3, 3),)), LOAD, rule=WIDER
    ),
    "as wide as it may be": Row(lambda: (nn.ReflectionPad2d(2), (torch.randn(1, 2, 3, 3),)), PASS),
    # In fp16 the converter meets a cast to more than five dimensions, and refuses itself.
    "windows of a delegate": Row(
        lambda: (Call(lambda x: x.unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2))), (torch.randn(1, 2, 4, 4),)),
        LOAD,
        Outcome.CONVERT_ERROR,
        rule=RANK,
    ),
    "an input of rank 6": Row(
        lambda: (Call(lambda x: x.sum(-1)), (torch.randn(1, 2, 1, 2, 1, 3),)), LOAD, Outcome.CONVERT_ERROR, rule=RANK
    ),
    "an input of rank 7": Row(
        lambda: (Call(lambda x: x.amax((0, 1, 2))), (torch.randn(1, 2, 1, 2, 1, 3, 1),)),
        LOAD,
        Outcome.CONVERT_ERROR,
        rule=RANK,
    ),
    "rank 6 taken apart": Row(
        lambda: (
            Call(lambda x: x.view(1, 2, 2, 2, 2, 3).permute(0, 1, 3, 2, 4, 5).reshape(4, 4, 3) * 2),
            (torch.randn(1, 4, 4, 3),),
        ),
        PASS,
    ),
    "the input itself": Row(
        lambda: (Call(lambda x: x.clone()), (torch.randn(4),)), PASS, notes=(NoteCode.REFUSED_BY_NEWER_SYSTEMS,)
    ),
    "the input beside others": Row(
        lambda: (Call(lambda x: (x + 1, x.clone())), (torch.randn(3, 4),)),
        PASS,
        notes=(NoteCode.REFUSED_BY_NEWER_SYSTEMS,),
    ),
    "the input of a layer that does nothing": Row(
        lambda: (nn.Sequential(nn.Dropout()), (torch.randn(3, 4),)), PASS, notes=(NoteCode.REFUSED_BY_NEWER_SYSTEMS,)
    ),
}  # fmt: skip

ALL = {"special": SPECIAL, "columns": COLUMNS, "overflows": OVERFLOWS, "tied": TIED, "loader": LOADER}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, rows in ALL.items() for name in rows])
def test_a_defect_does_not_pass(kind, name, monkeypatch):
    hold(ALL[kind][name], monkeypatch)


@pytest.mark.parametrize("name", ["scores beside coordinates", "scores weighed afterwards", "tanh gelu beside pixels"])
def test_nor_where_a_model_is_too_large_for_bounds(name, monkeypatch):
    """Past the budget a ratio decides, column by column."""
    monkeypatch.setattr("harness.verdict.judge.within_budget", lambda _: False)
    hold(replace(COLUMNS[name], operator="", reason="columns of like magnitude"), monkeypatch)
