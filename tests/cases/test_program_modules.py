"""The modules of older releases' programs are the same each time, with values that float16 holds."""

from __future__ import annotations

import pytest
import torch

from harness.cases.program_modules import PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_module_is_the_same_each_time(name: str) -> None:
    make, _ = PROGRAMS[name]
    first, second = make(), make()
    torch.testing.assert_close(first.module.state_dict(), second.module.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(first.inputs, second.inputs, rtol=0, atol=0)
    for value in (*first.inputs, *first.module.state_dict().values()):
        torch.testing.assert_close(value.half().to(value.dtype), value, rtol=0, atol=0)
    for inputs in (first.inputs, *first.calls):
        assert torch.isfinite(first.module(*inputs)).all()
