"""`torch.export.export` of a case's method."""

from __future__ import annotations

import torch

from harness.cases.attributes import left_as_it_was
from harness.cases.case import Method


def program_of(method: Method) -> torch.export.ExportedProgram:
    """The program of a method: the one the user exported, where there is one. Raises what `torch.export` raises."""
    if method.program is not None:
        return method.program
    with left_as_it_was(method.module):
        return torch.export.export(
            method.module,
            method.inputs,
            dict(method.kwargs),
            dynamic_shapes=method.dynamic_shapes,  # type: ignore[arg-type]
        )
