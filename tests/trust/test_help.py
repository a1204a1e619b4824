"""A failure has its cause by name, the operator and its line, and a way around that was tried: in users' modules."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.check import Checker
from harness.commands.way_around import find
from harness.evidence.check import Check
from harness.evidence.vocabulary import WORKING, Outcome
from harness.lowering.cache import LoweringCache

sys.path.insert(0, str(Path(__file__).parent))

from rows import SOFTPLUS, Call, Row, case_of, causes, hold

WRONG, CONVERT, PASS = Outcome.WRONG_VALUE, Outcome.CONVERT_ERROR, Outcome.PASS
IGNORED, RANGE = "instance-norm-running-statistics-ignored", "arange-of-floats-becomes-integers"
X = torch.linspace(-1, 1, 12).reshape(3, 4)


def trained(norm):
    """As after training: its statistics are no longer those it began with."""
    norm.running_mean.fill_(0.5)
    norm.running_var.fill_(2.0)
    return norm.eval()


class Styled(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = trained(nn.InstanceNorm2d(2, affine=True, track_running_stats=True))
        self.out = nn.Conv2d(2, 1, 1)

    def forward(self, x):
        y = self.norm(x * 2)
        return self.out(y) + 1


class Positions(nn.Module):
    def forward(self, x):
        steps = torch.arange(x.shape[1], dtype=torch.float32)
        waves = torch.sigmoid(steps)
        return x + waves


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 4)

    def forward(self, x):
        y = self.body(x)
        y = F.softplus(y, beta=3.0, threshold=0.2)
        return y.sum(-1)


class Entropy(nn.Module):
    def forward(self, p):
        logs = p.log()
        return -(p * logs).sum(-1)


class Unit(nn.Module):
    def forward(self, x):
        squares = x * x
        return x / squares.sum(-1, keepdim=True).sqrt()


class Halved(nn.Module):
    def forward(self, x):
        y = x * 2
        return F.max_pool2d(y, 2)


ROWS = {
    "statistics of a volume": Row(
        lambda: (trained(nn.InstanceNorm3d(2, affine=True, track_running_stats=True)), (torch.randn(1, 2, 3, 3, 3),)),
        WRONG,
        operator="aten.instance_norm.default",
        cause=IGNORED,
    ),
    "statistics of a signal": Row(
        lambda: (trained(nn.InstanceNorm1d(3, track_running_stats=True)), (torch.randn(2, 3, 9),)),
        WRONG,
        cause=IGNORED,
    ),
    "statistics among other layers": Row(
        lambda: (
            nn.Sequential(
                nn.Conv2d(1, 3, 3), trained(nn.InstanceNorm2d(3, track_running_stats=True)), nn.ReLU()
            ),
            (torch.randn(1, 1, 6, 6),),
        ),
        WRONG,
        cause=IGNORED,
    ),
    "statistics in a module": Row(
        lambda: (Styled(), (torch.randn(1, 2, 5, 5),)), WRONG, source="y = self.norm(x * 2)", cause=IGNORED
    ),
    "sine of a range": Row(
        lambda: (Call(lambda x: x + torch.arange(4, dtype=torch.float32).sin()), (X,)),
        CONVERT,
        operator="aten.sin.default",
        cause=RANGE,
    ),
    "cosine of a range": Row(
        lambda: (Call(lambda x: x * torch.arange(4, dtype=torch.float32).cos()), (X,)), CONVERT, cause=RANGE
    ),
    "root of a range": Row(
        lambda: (Call(lambda x: x / torch.arange(1, 5, dtype=torch.float32).sqrt()), (X,)), CONVERT, cause=RANGE
    ),
    "range in a module": Row(
        lambda: (Positions(), (X,)), CONVERT, source="waves = torch.sigmoid(steps)", cause=RANGE
    ),
    "integers of the user's own": Row(
        lambda: (Call(lambda i: i.sin() + 1), (torch.arange(5),)), CONVERT, cause="integers-given-to-float-operators"
    ),
    # other causes, by the operator that is wrong
    "rows of zeros": Row(
        lambda: (nn.Sequential(nn.RMSNorm(8, eps=1e-5), nn.Linear(8, 4)), (torch.zeros(2, 8),)),
        WRONG,
        operator="aten.rms_norm.default",
        cause="rms-norm-scales-epsilon",
    ),
    "threshold": Row(
        lambda: (Head(), (X,)),
        WRONG,
        operator="aten.softplus.default",
        source="y = F.softplus(y, beta=3.0, threshold=0.2)",
        cause="softplus-threshold-dropped",
    ),
    "logarithm": Row(
        lambda: (Entropy(), (torch.tensor([[0.0, 1.0], [0.5, 0.5]]),)),
        WRONG,
        source="logs = p.log()",
        cause="log-adds-epsilon",
    ),
    "gelu of a network": Row(
        lambda: (nn.Sequential(nn.Linear(4, 16), nn.GELU("tanh"), nn.Linear(16, 4)), (X,)),
        WRONG,
        PASS,
        operator="aten.gelu.default",
        cause="gelu-approximate-dropped",
    ),
    "left the range": Row(
        lambda: (Unit(), (X * 300 + 400,)),
        PASS,
        Outcome.OUT_OF_RANGE,
        operator="aten.mul.Tensor",
        source="squares = x * x",
    ),
    "pool without a stride": Row(
        lambda: (Halved(), (torch.randn(1, 2, 4, 4),)),
        CONVERT,
        operator="aten.max_pool2d.default",
        source="return F.max_pool2d(y, 2)",
        cause="default-arguments-left-out",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_failure_says_what_is_known(name, monkeypatch):
    hold(ROWS[name], monkeypatch)


#: What fails, how, and what of the remedy is looked at: an operator left to ExecuTorch, or the rewrite.
AROUND = {
    "pool without a stride": (
        lambda: (nn.Sequential(nn.Conv2d(3, 4, 3), Call(lambda x: F.max_pool2d(x, 2))), (torch.randn(1, 3, 8, 8),)),
        CONVERT,
        "max_pool2d.default",
    ),
    "expanded input": (
        lambda: (Call(lambda x: x * 2), (torch.randn(1, 3).expand(4, 3),)), Outcome.EMIT_ERROR, "contiguous_inputs"
    ),
    "channels last": (
        lambda: (nn.Conv2d(2, 3, 1), (torch.randn(1, 2, 4, 4).to(memory_format=torch.channels_last),)),
        CONVERT,
        "contiguous_inputs",
    ),
    "padding of a volume": (
        lambda: (nn.Sequential(nn.Conv3d(1, 2, 1), nn.ReflectionPad3d(1)), (torch.randn(1, 1, 4, 4, 4),)),
        Outcome.LOAD_ERROR,
        "run_decompositions",
    ),
    "threshold": (
        lambda: (nn.Sequential(nn.Linear(4, 4), Call(SOFTPLUS)), (torch.rand(3, 4),)), WRONG, "softplus.default"
    ),
    "range of floats": (
        lambda: (Call(lambda x: x + torch.arange(4, dtype=torch.float32).sin()), (X,)), CONVERT, "aten.sin.default"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AROUND)
def test_a_way_around_is_found_and_proved(name, tmp_path):
    make, outcome, part = AROUND[name]
    checker, case = Checker(cache=LoweringCache(tmp_path)), case_of(make)
    check = Check.of(case, "fp32-ios18", "reference")
    failing = causes().name(checker.check(check))
    assert failing.outcome is outcome, failing.reason
    remedy = find(checker, check, failing, 30, causes())
    assert remedy.is_verified, remedy
    assert remedy.outcome in WORKING
    assert part in (*remedy.skip, remedy.rewrite), remedy
    assert remedy.delegated > 0
