"""What a module holds, kept while something runs that may change it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

_STORES = ("_parameters", "_buffers", "_modules")


@contextlib.contextmanager
def left_as_it_was(module: torch.nn.Module) -> Iterator[None]:
    """Afterwards the module and those in it have the attributes, parameters and buffers that they had before.

    torch.export runs a module's own code on tensors without data. A module that keeps a result of it as an attribute,
    as long rotations of Phi-3 do, would be left with such a tensor, and could neither be copied nor called again.
    Tensors themselves are not copied: what is written in place stays written.
    """
    held = {part: dict(part.__dict__) for part in module.modules()}
    stores = {part: {name: dict(part.__dict__[name]) for name in _STORES} for part in held}
    try:
        yield
    finally:
        for part, attributes in held.items():
            part.__dict__.clear()
            part.__dict__.update(attributes)
            for name, values in stores[part].items():
                part.__dict__[name].clear()
                part.__dict__[name].update(values)
