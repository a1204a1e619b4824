from __future__ import annotations

import torch

from harness.cases import shapes
from harness.cases.shape_modules import MODULES, Calls


def test_every_module_is_used() -> None:
    assert {one.module for one in shapes.PROGRAMS} == MODULES.keys()


def test_a_call_is_given_the_parts_before_the_inputs() -> None:
    linear = torch.nn.Linear(2, 3)
    module = Calls(lambda part, x, y: (part(x), y), linear)
    x, y = torch.ones(1, 2), torch.zeros(4)
    found = module(x, y)
    assert torch.equal(found[0], linear(x))
    assert found[1] is y
    assert dict(module.named_parameters()).keys() == {"parts.0.weight", "parts.0.bias"}
