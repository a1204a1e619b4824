import copy

import torch

from harness.cases.attributes import left_as_it_was
from harness.cases.case import Built
from harness.lowering.lower import export


class Keeps(torch.nn.Module):
    """Computes something once, and keeps it as an attribute."""

    def __init__(self):
        super().__init__()
        self.kept = None
        self.register_buffer("scale", torch.ones(3))

    def forward(self, x):
        if self.kept is None:
            self.kept = x * 2
        return x + self.kept


def test_what_is_set_added_and_taken_away_is_as_before():
    module = torch.nn.Sequential(Keeps())
    scale = module[0].scale
    with left_as_it_was(module):
        module[0].kept = 7
        module[0].other = 8
        module[0].scale = torch.zeros(3)
        module[0].register_buffer("more", torch.zeros(1))
        del module[0].training
    assert module[0].kept is None
    assert not hasattr(module[0], "other")
    assert module[0].scale is scale
    assert list(module.state_dict()) == ["0.scale"]
    assert module[0].training


def test_a_module_that_keeps_a_result_can_be_copied_and_called_after_it_was_exported():
    module = Keeps()
    exported = export(Built(module, (torch.ones(3),), seed=0))
    assert exported.failure is None
    assert module.kept is None
    assert copy.deepcopy(module)(torch.ones(3)).tolist() == [3.0, 3.0, 3.0]
