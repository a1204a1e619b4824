"""Weights of an untrained transformer, UNet or recurrent network, such that each of its blocks matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Standard deviation of what is added to weights that a fresh model has all alike: ones, zeros.
_SPREAD = 0.1


def initialised(module: Any) -> torch.nn.Module:
    """The module with weights that carry a signal, seeded as torch is.

    Libraries draw the weights of linear layers with a deviation of 0.02, right for thousands of channels: with some
    tens a block adds next to nothing to what passes beside it. So linear and recurrent layers and convolutions keep
    the variance of what they are given, whatever their width. What a fresh model has all alike, biases of zero, scales
    of normalisation, last layers of a block that are zero, is spread: one that is left out shows.
    """
    import torch

    with torch.no_grad():
        for part in module.modules():
            if (fan_in := _fan_in(part)) is not None:
                part.weight.normal_(0.0, fan_in**-0.5)
            elif isinstance(part, torch.nn.Embedding):
                part.weight.normal_(0.0, 0.5)
            elif isinstance(part, torch.nn.RNNBase | torch.nn.RNNCellBase):
                for weight in part.parameters():
                    if weight.dim() == 2:
                        weight.normal_(0.0, weight.shape[1] ** -0.5)
        for parameter in module.parameters():
            if parameter.numel() > 1 and bool((parameter == parameter.flatten()[0]).all()):
                parameter.add_(_SPREAD * torch.randn_like(parameter))
    found: torch.nn.Module = module
    return found


def _fan_in(part: torch.nn.Module) -> int | None:
    """How many numbers each of its results is a sum over, None where it is no such layer."""
    import torch

    if isinstance(part, torch.nn.Linear | torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d):
        return part.weight[0].numel()
    if type(part).__name__ == "Conv1D":  # transformers' linear layer of GPT-2, its weight the other way round
        return int(part.weight.shape[0])  # type: ignore[arg-type, index, union-attr]
    return None
