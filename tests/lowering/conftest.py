"""Lowering for the tests: one thread, quiet, with the speedups, as the harness itself measures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
import torch

from harness.cases.case import Built
from harness.evidence.recipe import Recipe
from harness.lowering import speedups
from harness.lowering.lower import Exported, Lowered, export, lower
from harness.lowering.program import LoweredProgram


@pytest.fixture(scope="session", autouse=True)
def _measuring() -> None:
    torch.set_num_threads(1)
    import executorch.backends.apple.coreml.partition
    import executorch.exir  # noqa: F401

    speedups.enable()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def exported() -> Callable[..., Exported]:
    """`exported(module, *inputs, dynamic_shapes=None)`."""

    def make(module: torch.nn.Module, *inputs: torch.Tensor, dynamic_shapes: object = None) -> Exported:
        return export(Built(module.eval(), inputs, 0, dynamic_shapes))

    return make


@pytest.fixture(scope="session")
def lowered(exported: Callable[..., Exported]) -> Callable[..., Lowered]:
    """`lowered(module, *inputs, recipe="fp32-ios18")`."""

    def make(module: torch.nn.Module, *inputs: torch.Tensor, recipe: str = "fp32-ios18") -> Lowered:
        return lower(exported(module, *inputs), Recipe.parse(recipe))

    return make


@pytest.fixture(scope="session")
def program_of(lowered: Callable[..., Lowered]) -> Callable[..., LoweredProgram]:
    """As `lowered`, for what must lower."""

    def make(module: torch.nn.Module, *inputs: torch.Tensor, recipe: str = "fp32-ios18") -> LoweredProgram:
        result = lowered(module, *inputs, recipe=recipe)
        assert result.failure is None, result.failure
        assert result.program is not None, result.unplannable
        return result.program

    return make
