"""Models with their published weights, which are downloaded where the network allows, or had from a library's cache."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.cases.case import WeightsNotHad
from harness.cases.models.model import Made, Model, only, transformers


def published(model: Model) -> Callable[[], Made] | None:
    """How it is made with its published weights: as its row says, or by the name of a function of torchvision's or
    timm's that makes a classifier of images. None where nothing is known to be published."""
    if model.pretrained is not None:
        return model.pretrained
    module, _, name = model.api.rpartition(".")
    made = _BY_NAME.get(module)
    # Classes have capitals: they are given what they are made of.
    return functools.partial(made, name) if made is not None and name.islower() else None


def from_transformers(
    architecture: str, name: str, fields: tuple[str, ...], inputs: Callable[[], tuple[Any, ...]]
) -> Made:
    """`transformers.<architecture>.from_pretrained(name)`, in float32."""
    import torch

    cls = getattr(transformers(), architecture)
    with _weights(name):
        model = cls.from_pretrained(name, dtype=torch.float32)
    return Made(only(model, *fields), inputs())


def from_torchvision(name: str, size: int = 224) -> Made:
    """`torchvision.models.<name>(weights="DEFAULT")`, called with an image."""
    import torch

    from harness.cases.torchvision_ops import import_torchvision

    import_torchvision()
    from torchvision import models

    make = getattr(models, name)
    with _weights(name):
        model = make(weights="DEFAULT")
    return Made(model, (torch.randn(1, 3, size, size),))


def from_timm(name: str) -> Made:
    """`timm.create_model(name, pretrained=True)`, called with an image of the size it was trained with."""
    import torch

    from harness.cases.torchvision_ops import import_torchvision

    import_torchvision()
    import timm

    with _weights(name):
        model = timm.create_model(name, pretrained=True)
    return Made(model, (torch.randn(1, *model.pretrained_cfg["input_size"]),))


#: By the package whose functions have weights under their own names.
_BY_NAME: dict[str, Callable[[str], Made]] = {"torchvision.models": from_torchvision, "timm.models": from_timm}


@contextmanager
def _weights(name: str) -> Iterator[None]:
    """Raises `WeightsNotHad` for what loading raises where there is no network, or no such file.

    That is an OSError, of torch a RuntimeError where a file arrives damaged, or an error of the client of Hugging
    Face's. A wrong call is none of these, and stays a fault.
    """
    not_had: tuple[type[Exception], ...] = (OSError, RuntimeError, *_client_errors())
    try:
        yield
    except not_had as error:
        said = str(error).strip().splitlines()
        detail = f"{type(error).__name__}{': ' + said[0] if said else ''}"
        raise WeightsNotHad(f"weights could not be had: {name}: {detail}") from None


def _client_errors() -> tuple[type[Exception], ...]:
    try:
        from huggingface_hub import errors
    except ImportError:
        return ()
    base = getattr(errors, "HTTPError", None)
    return (base,) if base is not None else ()
