"""Weights of an untrained model, settled: its activations stay in range and its outputs carry signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def settled(model: torch.nn.Module, size: int = 224) -> torch.nn.Module:
    """Give batch normalisation the statistics of its own activations on images of `size`, as training would have.

    With the initial mean 0 and variance 1 the activations of a deep untrained network shrink or grow layer by layer,
    and comparing its outputs says little.
    """
    import torch

    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    if norms:
        for norm in norms:
            norm.momentum = None  # cumulative average: the statistics of what is fed below
        model.train()
        with torch.no_grad():
            model(torch.randn(2, 3, size, size))
    return model
