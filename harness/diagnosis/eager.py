"""A unit that computes delegates by eager PyTorch: what a program would give if its packages were right."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from harness.diagnosis.nodes import EdgeProgram, Judge
from harness.diagnosis.replay import Conversion
from harness.evidence.notes import Note
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Unit
from harness.lowering.program import LoweredProgram, UnpackedDelegate
from harness.units.base import Feature, Prediction
from harness.units.whole_program import resolve
from harness.verdict.tolerance import Rule


@dataclass
class Answer:
    """What one call of a delegate gives: its outputs by position, and the value of each state by its name."""

    outputs: Sequence[Any] = ()
    states: Mapping[str, np.ndarray] = field(default_factory=dict)


class EagerUnit:
    """A unit that computes a delegate by eager, from the edge program it was made from, and keeps its inputs.

    `given` are answers of delegates, by their numbers, to be taken instead.
    """

    unit = UnitSpec(Unit.REFERENCE)

    def __init__(self, program: LoweredProgram, conversions: Sequence[Conversion], rule: Rule, precision: str) -> None:
        self._delegates, self._rule, self._precision = program.delegates, rule, precision
        self._edges = [EdgeProgram(conversion.program, resolve) for conversion in conversions]
        self._opened = 0
        self.given: dict[int, Answer] = {}
        self.inputs: dict[int, list[torch.Tensor]] = {}
        self.judges: dict[int, Judge] = {}

    def instead(self, number: int, answer: Answer) -> EagerUnit:
        """The same with the answer of one delegate given."""
        other = copy.copy(self)
        other.given, other._opened = {number: answer}, 0
        return other

    def open(self, delegate: UnpackedDelegate) -> OpenEager:
        # `run_program` opens the delegates in their order.
        self._opened += 1
        return OpenEager(self, self._opened - 1)

    def compute(self, number: int, arrays: Sequence[np.ndarray]) -> Answer:
        if number in self.given:
            return self.given[number]
        tensors = []
        for array, spec in zip(arrays, self._delegates[number].inputs, strict=True):
            tensor = torch.from_numpy(array)
            if spec is not None:
                tensor = tensor.to(spec.torch_dtype)
                tensor = tensor.reshape(()) if spec.shape == () else tensor
            tensors.append(tensor)
        judge = Judge(self._edges[number], tensors, self._rule, self._precision)
        self.inputs.setdefault(number, tensors)
        self.judges.setdefault(number, judge)
        # A state is found by the order of the buffers where it has no name of coremltools'.
        states = {buffer: _array(value) for buffer, value in judge.right_states.items()}
        return Answer([_array(value) for value in judge.right], states)

    def features(self, number: int) -> list[Feature]:
        specs = self._delegates[number].inputs
        kinds = [("float32" if s is None or s.dtype == "bfloat16" else s.dtype) for s in specs]
        return [Feature(f"input {position}", kind, None) for position, kind in enumerate(kinds)]


class OpenEager:
    def __init__(self, unit: EagerUnit, number: int) -> None:
        self._unit, self._number = unit, number
        self._states: Mapping[str, np.ndarray] = {}
        self.features = unit.features(number)
        self.mil_ops: dict[str, int] = {}
        self.placement: dict[str, dict[str, Any]] = {}
        self.aten_placement: dict[str, dict[str, Any]] = {}

    def plan(self) -> list[Note]:
        return []

    def predict(self, inputs: list[np.ndarray], second: list[np.ndarray] | None = None) -> Prediction:
        answer = self._unit.compute(self._number, inputs)
        self._states = answer.states
        return Prediction([np.atleast_1d(np.asarray(value)) for value in answer.outputs])

    def read_state(self) -> dict[str, np.ndarray]:
        return dict(self._states)

    def close(self) -> None:
        pass


def _array(tensor: torch.Tensor) -> np.ndarray:
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
