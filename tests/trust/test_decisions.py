"""Integers, truth values and indices that hang on a float: any value within rounding is right, and no other."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from harness.check import Checker
from harness.diagnosis import blame
from harness.evidence.vocabulary import Outcome
from harness.units.reference import ReferenceUnit

sys.path.insert(0, str(Path(__file__).parent))

from rows import Call, case_of, records

TENTHS = torch.arange(1, 40) / 10
RIGHT = {Outcome.PASS, Outcome.PARTIAL}


def drawn(*shapes):
    return tuple(torch.randn(*shape) for shape in shapes)


def overlaps(boxes):
    """Which pairs of boxes overlap by more than half."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clamp(min=0)
    both = shared[..., 0] * shared[..., 1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return both / (area[:, None] + area[None] - both) > 0.5


BOXES = torch.tensor([[0, 0, 4, 4], [0, 0, 4, 2], [1, 1, 5, 5], [2, 2, 8, 8], [0, 0, 3, 3], [0, 1, 4, 5]]).float()
CHUNKS = torch.linspace(0, 1, 63), torch.linspace(-1, 1, 32)

#: What a user's function returns; which result is a decision, and a place of it that is far from where it would fall
#: otherwise: a flip there is a fault.
ROWS = {
    # rounding of quotients
    "floor of tenths": (lambda: (Call(lambda x: (x / 0.1).floor().long()), (TENTHS - 0.05,)), 0, (3,)),
    "floor at the jump": (lambda: (Call(lambda x: (x / 0.1).floor().long()), (TENTHS,)), 0, None),
    "ceil": (lambda: (Call(lambda x: torch.ceil(x * 10).int()), (TENTHS - 0.03,)), 0, (2,)),
    "ceil at the jump": (lambda: (Call(lambda x: torch.ceil(x / 0.1)), (TENTHS,)), 0, None),
    "round": (lambda: (Call(lambda x: torch.round(x / 0.2).long()), (TENTHS,)), 0, (3,)),
    "floor division": (lambda: (Call(lambda x: x // 0.1), (TENTHS,)), 0, None),
    "quotient cut off": (lambda: (Call(lambda x: torch.div(x, 0.3, rounding_mode="trunc")), (TENTHS,)), 0, (0,)),
    "cast to integer": (lambda: (Call(lambda x: (x * 10).int()), (TENTHS + 0.04,)), 0, (5,)),
    "frames of a sum": (lambda: (Call(lambda x: x.cumsum(0).floor().long()), (torch.full((50,), 0.1),)), 0, (4,)),
    "rows of a table": (lambda: (Call(lambda x, t: t[(x * 31).round().long()]), CHUNKS), 0, (0,)),
    # comparisons
    "threshold of a sigmoid": (
        lambda: (nn.Sequential(nn.Conv2d(4, 1, 1), Call(lambda y: y.sigmoid() > 0.5)), drawn((1, 4, 40, 40))),
        0, "whole",
    ),
    "sum at its threshold": (lambda: (Call(lambda x, y: x + y <= 0.3), (TENTHS, 0.3 - TENTHS)), 0, None),
    "distance at its threshold": (
        lambda: (
            Call(lambda a, b: (a - b).square().sum(-1).sqrt() < 0.5),
            (torch.tensor([[0.3, 0.4], [0.0, 0.5], [3.0, 0.1]]), torch.zeros(3, 2)),
        ),
        0, (2,),
    ),
    "overlap of boxes": (lambda: (Call(overlaps), (BOXES,)), 0, (0, 3)),
    "sign": (lambda: (nn.Sequential(nn.Linear(16, 500), Call(torch.sign)), drawn((2, 16))), 0, "whole"),
    "both of two": (
        lambda: (Call(lambda x, w: ((x @ w).tanh() > 0.1) & ((x @ w) < 3)), drawn((40, 16), (16, 20))), 0, None
    ),
    "number above": (lambda: (Call(lambda x, w: ((x @ w) > 0).sum(-1)), drawn((40, 16), (16, 60))), 0, "whole"),
    # indices
    "argmax of classes": (
        lambda: (nn.Sequential(nn.Conv2d(4, 21, 1), Call(lambda y: y.argmax(1))), drawn((1, 4, 32, 32))), 0, "whole"
    ),
    "one hot of argmax": (
        lambda: (nn.Sequential(nn.Linear(8, 9), Call(lambda y: F.one_hot(y.argmax(-1), 9))), drawn((300, 8))),
        0, "whole",
    ),
    "nearest of a codebook": (
        lambda: (
            Call(lambda x, c: c[(x[:, None] - c).square().sum(-1).argmin(-1)]), drawn((150, 3), (30, 3))
        ),
        0, "whole",
    ),
    "best five": (lambda: (Call(lambda x, w: tuple((x @ w).topk(5))), drawn((30, 16), (16, 200))), 1, "whole"),
    "embedding chosen": (
        lambda: (
            Call(lambda x, w, t: F.one_hot((x @ w).argmax(-1), 9).float() @ t), drawn((200, 8), (8, 9), (9, 5))
        ),
        0, "whole",
    ),
    # grids
    "quantized by hand": (
        lambda: (
            Call(lambda x, w: ((x @ w) / 0.05).round().clamp(-128, 127) * 0.05), drawn((40, 16), (16, 30))
        ),
        0, "whole",
    ),
    "small ones dropped": (
        lambda: (Call(lambda x: torch.where(x.softmax(-1) > 0.1, x, 0.0)), drawn((60, 10))), 0, "whole"
    ),
}  # fmt: skip


def flipped(value: torch.Tensor, place) -> torch.Tensor:
    """The decision with one element, or where `whole` every one, fallen otherwise."""
    value = value.clone()
    at = place if isinstance(place, tuple) else ()
    if value.dtype == torch.bool:
        value[at] = ~value[at]
    elif value.is_floating_point():
        value[at] += 1
    else:
        value[at] = (value[at] + 1) % (int(value.max()) + 1)
    return value


@pytest.fixture(autouse=True)
def _unlocalised(monkeypatch):
    monkeypatch.setattr(blame, "SECONDS", 0.0)


@pytest.fixture
def planted(monkeypatch):
    """`planted(change)`: what the reference unit gives is changed on its way to the judge."""

    def plant(change):
        run = ReferenceUnit.run

        def changed(self, *args, **options):
            ran = run(self, *args, **options)
            change(ran.outputs)
            return ran

        monkeypatch.setattr(ReferenceUnit, "run", changed)

    return plant


@pytest.mark.parametrize("name", ROWS)
def test_a_decision_within_rounding_is_right_and_another_is_wrong(name, planted):
    make, result, place = ROWS[name]
    checker, case = Checker(), case_of(make)
    found = records(case, checker)
    assert {record.outcome for record in found.values()} <= RIGHT, [(r.recipe, r.reason) for r in found.values()]
    if place is None:
        return
    planted(lambda outputs: outputs.__setitem__(result, flipped(outputs[result], place)))
    for record in records(case, checker).values():
        assert record.outcome is Outcome.WRONG_VALUE, (record.recipe, record.outcome, record.reason)


#: A function, and the same with its decision at another place, a hundredth or two away: far outside rounding.
MOVED = {
    "mask": (lambda x, w: (x @ w).sigmoid() > 0.5, lambda x, w: (x @ w).sigmoid() > 0.52),
    "bins": (lambda x, w: ((x @ w) * 8).floor().int(), lambda x, w: ((x @ w) * 8 + 0.2).floor().int()),
    "best of classes": (lambda x, w: (x @ w).argmax(-1), lambda x, w: (x @ w + 0.1 * w.sign()[0]).argmax(-1)),
    "bins of tenths": (lambda x, w: (x @ w).round(), lambda x, w: (x @ w - 0.05).round()),
}


@pytest.mark.parametrize("name", MOVED)
def test_a_decision_that_has_moved_is_wrong(name, planted):
    right, moved = MOVED[name]
    torch.manual_seed(1)
    inputs = drawn((200, 8), (8, 12))
    planted(lambda outputs: outputs.__setitem__(0, moved(*inputs)))
    for record in records(lambda: (Call(right), inputs)).values():
        assert record.outcome is Outcome.WRONG_VALUE, (record.recipe, record.outcome, record.reason)
