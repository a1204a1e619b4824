"""What a unit is: something that opens a delegate's package and predicts with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch

from harness.evidence.notes import Note
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Phase
from harness.lowering.lower import Emitted, silence
from harness.lowering.program import UnpackedDelegate
from harness.mil import BrokenRule
from harness.mil.package import ReadPackage


class NotRunnable(Exception):
    """This unit cannot judge the program here; the message is the record's reason (`not_run`)."""


class LoadFailed(Exception):
    """The unit refused the package (`load_error`)."""


class LoadRuleBroken(LoadFailed):
    """The package breaks rules that Core ML's loader is publicly known to have: `broken`, at least one."""

    def __init__(self, broken: Sequence[BrokenRule]) -> None:
        self.broken = tuple(broken)
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        super().__init__(f"{broken[0]}{more}")

    @property
    def rules(self) -> tuple[str, ...]:
        """Names of the rules, each once."""
        return tuple(dict.fromkeys(broken.rule.name for broken in self.broken))


class PredictFailed(Exception):
    """The package loaded, then predicting raised (`run_error`)."""


class UnitDied(Exception):
    """What ran the program, outside of this process, ended with it (`crash`): the app on a device."""


class FallbackFailed(Exception):
    """A fallback operator raised in eager PyTorch (`run_error`)."""


class EmittedOtherwise(Exception):
    """The `.pte` does not hold what was lowered (`emit_error`)."""


class ProgramContradiction(Exception):
    """The emitted program contradicts itself: declared shape or dtype, missing value (`invalid_program`)."""


@dataclass
class Prediction:
    """Outputs by position of `UnpackedDelegate.output_names`, and what was noticed on the way.

    `again` are the outputs of the second prediction where it gave others, bit by bit; None where it did not.
    """

    outputs: list[np.ndarray]
    notes: list[Note] = field(default_factory=list)
    again: list[np.ndarray] | None = None


@dataclass(frozen=True)
class Feature:
    """A model input or output as the package's description declares it.

    dtype is numpy's name (`float32`, `float16`, `int32`); shape is None where it is flexible.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None


class OpenDelegate(Protocol):
    """A loaded package.

    `features` are the inputs by position. `predict` takes arrays of exactly these dtypes and shapes (rank 0 is [1]).
    `mil_ops` counts the program's operators by MIL type. `placement` and `aten_placement` are as in the record, and
    empty until `plan` was asked.
    """

    features: list[Feature]
    mil_ops: dict[str, int]
    placement: dict[str, dict[str, Any]]
    aten_placement: dict[str, dict[str, Any]]

    def plan(self) -> list[Note]:
        """Ask where each operator would run, where the unit can tell; gives notes. Never raises: a plan that cannot
        be had leaves the placement unknown."""
        ...

    def predict(self, inputs: list[np.ndarray], second: list[np.ndarray] | None = None) -> Prediction:
        """Predict with `inputs`, then again from a state that is equal to the first one's.

        `second` is given once an earlier delegate's two predictions differed: then the second prediction takes it.
        """
        ...

    def read_state(self) -> dict[str, np.ndarray]:
        """The value of each state by its name in the package, after the calls so far; empty where there is none."""
        ...

    def close(self) -> None: ...


@dataclass
class ProgramResult:
    """The user's outputs, flattened, and what was seen on the way.

    `buffers` are what the call left in the buffers of the module that it writes to, by name; a state in the dtype the
    unit gives it, and left out where the package has none for its buffer. None where the unit cannot tell.
    `again` are the outputs of a second, equal call where some delegate's two predictions differed; None elsewhere.
    `then` are the results of the calls after this one, whose counts and notes are with the first. `answered` are the
    numbers of the calls that were to be refused and were not. `packages` are those of the delegates, in order, where
    the unit has read them itself.
    """

    outputs: list[Any] = field(default_factory=list)
    buffers: dict[str, torch.Tensor] | None = None
    again: list[Any] | None = None
    mil_ops: dict[str, int] = field(default_factory=dict)
    placement: dict[str, dict[str, Any]] = field(default_factory=dict)
    aten_placement: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    then: list[ProgramResult] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    packages: list[ReadPackage] = field(default_factory=list)


class UnitRunner(Protocol):
    """One place to run. `unavailable` answers at once, without loading anything heavy."""

    unit: UnitSpec

    def unavailable(self, target: str) -> str | None:
        """Why this unit cannot run here for a deployment target such as `iOS18`; None when it can."""
        ...

    def run(
        self,
        emitted: Emitted,
        inputs: Sequence[Any],
        on_phase: Callable[[Phase], None] = silence,
        *,
        plan: bool = True,
        then: Sequence[Sequence[Any]] = (),
        refused: Sequence[Sequence[Any]] = (),
    ) -> ProgramResult:
        """Load the program and call it with `inputs`, then with each of `then`, at last with each of `refused`, which
        it should not answer; each is an argument list, flattened, of tensors, numbers and None. They are not changed.
        Without `plan` no compute plan is asked for.

        Raises `NotRunnable`, `LoadFailed`, `PredictFailed`, `FallbackFailed`, `UnitDied`, `ProgramContradiction` and
        `EmittedOtherwise`.
        """
        ...


class DelegateOpener(Protocol):
    """What runs delegates, package by package."""

    unit: UnitSpec

    def open(self, delegate: UnpackedDelegate) -> OpenDelegate:
        """Load the package; raises `LoadFailed`, `NotRunnable` or `ProgramContradiction`."""
        ...
