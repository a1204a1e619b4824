import pytest
import torch

from harness.cases.case import Built
from harness.cases.tally import Tally, traces
from harness.evidence.vocabulary import HarnessError


def built(module, *inputs):
    return Built(module.eval(), inputs, 0)


def test_equal_calls_are_one_with_how_often_and_where():
    tally = Tally()
    relu = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU())
    for name in ("one", "other"):
        for traced in traces(built(relu, torch.ones(3))):
            tally.add(name, traced)
    (call,) = tally.calls.values()
    assert (call.count, call.programs, tally.total) == (4, ["one", "other"], 4)
    assert list(tally.operators()) == ["aten.relu.default"]


def test_of_blocks_of_one_structure_the_smallest_stays():
    class Twice(torch.nn.Module):
        def __init__(self, size):
            super().__init__()
            self.parts = torch.nn.ModuleList(
                torch.nn.Sequential(torch.nn.Linear(size, size), torch.nn.ReLU()) for _ in range(3)
            )

        def forward(self, x):
            for part in self.parts:
                x = part(x)
            return x

    tally = Tally()
    for size in (8, 2):
        for traced in traces(built(Twice(size), torch.ones(1, size))):
            tally.add(f"of {size}", traced)
    (block,) = tally.blocks.values()
    assert (block.count, block.what.elements) == (6, 4)
    assert block.kind == "torch.nn.modules.container.Sequential"


def test_a_module_that_does_not_export_is_told_in_a_line():
    class Branches(torch.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(HarnessError, match="does not export") as raised:
        list(traces(built(Branches(), torch.ones(2))))
    assert "\n" not in str(raised.value)
