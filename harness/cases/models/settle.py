"""Weights of an untrained model, settled: its activations stay in range and its outputs carry signal.

What training would have done is done by rules of kind, whatever the model: parameters that start at a constant, which
hide what depends on them, get values of their own, weights drawn too small get the size that keeps a signal, and batch
normalisation gets the statistics of its own activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Share of the channels' mean variance that none is below.
_SILENT = 0.05
#: Of values added to what is of size one: biases, positions, tables of relative positions.
_OFFSET = 0.1
#: A gain drawn around one.
_GAIN = (0.8, 1.2)


def settled(model: torch.nn.Module, *inputs: Any) -> torch.nn.Module:
    """The model itself, in eval mode, its parameters in size and its batch normalisation with the statistics of
    `inputs`, a call of the model by several images. Deterministic after seeding torch."""
    import torch

    model.eval()
    with torch.no_grad():
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                _settle(module, name, parameter)
        norms = [m for m in model.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        if norms and inputs:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # cumulative average: the statistics of what is fed below
                norm.train()
            model(*inputs)
            for norm in norms:
                variance = norm.running_var
                if variance is not None:  # a channel silent here would be magnified on other images
                    variance.clamp_(min=_SILENT * float(variance.mean()))
    return model.eval()


def images(count: int, size: int) -> torch.Tensor:
    """Square images with large shapes and grain: what a network says of noise alone is hardly different from image to
    image once it is averaged."""
    import torch

    shapes = torch.nn.functional.interpolate(torch.randn(count, 3, 4, 4), (size, size), mode="bilinear")
    return shapes + 0.5 * torch.randn(count, 3, size, size)


def _settle(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> None:
    import torch

    if not parameter.is_floating_point() or not parameter.numel():
        return
    first = float(parameter.flatten()[0])
    if bool((parameter == first).all()):
        if _is_gain(module, name) or (first != 0 and abs(first) <= 1):
            parameter.uniform_(*_GAIN)
        elif first == 0 and not _is_matrix(module, name, parameter):
            parameter.normal_(std=_OFFSET)
    if _is_matrix(module, name, parameter):
        keeping = parameter[0].numel() ** -0.5
        if isinstance(module, torch.nn.modules.conv._ConvTransposeNd):
            keeping = parameter[:, 0].numel() ** -0.5
        size = float(parameter.std()) if parameter.numel() > 1 else abs(first)
        if size == 0:
            parameter.normal_(std=keeping)
        elif size < keeping / 2:
            parameter.mul_(keeping / size)


def _is_gain(module: torch.nn.Module, name: str) -> bool:
    """Whether it is what a normalisation or a layer scale multiplies by."""
    return (name == "weight" and "norm" in type(module).__name__.lower()) or name.rpartition("_")[2] in (
        "gamma",
        "scale",
    )


def _is_matrix(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter) -> bool:
    """Whether it is the weight of a layer that sums over its inputs."""
    import torch

    layers = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)
    return parameter.dim() >= 2 and (
        (isinstance(module, layers) and name == "weight")
        or (isinstance(module, torch.nn.MultiheadAttention) and name.endswith("weight"))
    )
