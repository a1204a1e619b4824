"""Which operator a value that left the range of a precision comes from.

An infinity is no wrong value where what is exact lies beyond the range as well: it is that of an operator which makes
something else of it, a zero or NaN, that leaves its bound first. To blame is where the infinity came up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from harness.diagnosis.nodes import Culprit, EdgeProgram, Join, Judge, Result, joined
from harness.lowering.program import EagerCall, GetItem, values_in


def overflowed(judge: Judge, join: Join, results: Sequence[Result], culprit: Culprit) -> Culprit | None:
    """The first operator on the way to `culprit` whose own value is infinite where the exact one is finite; None where
    there is none."""
    if culprit.node is None:
        return None
    before = ancestors(judge.edge, culprit.node)
    for result, number in joined(judge, join, results):
        if number not in before:
            continue
        at = _infinite(result.value, judge.like(number))
        if at is not None:
            nodes = join.nodes_of(result.operation)
            return replace(
                culprit,
                operator=result.operation.type,
                output=result.name,
                place=result.place,
                node=number,
                nodes=nodes,
                reason=f"got {result.value.reshape(-1)[at]}, expected {judge.like(number).flatten()[at].item():.8g}",
                local=False,
                range_left=True,
            )
    return None


def ancestors(edge: EdgeProgram, number: int) -> frozenset[int]:
    """The nodes that a node's value is made from, by their numbers."""
    made_from: dict[int, set[int]] = {}
    for step in edge.plan.steps:
        if isinstance(step, GetItem):
            sources = [step.source.number]
        else:
            arguments = (step.args, step.kwargs) if isinstance(step, EagerCall) else step.args
            sources = [value.number for value in values_in(arguments)]
        made_from[step.out.number] = set(sources).union(*(made_from.get(source, set()) for source in sources))
    return frozenset(made_from.get(number, ()))


def _infinite(value: np.ndarray, right: torch.Tensor) -> int | None:
    """The place of the first infinite element that should be finite, of values in the same order."""
    if value.dtype.kind != "f" or value.size != right.numel() or not right.is_floating_point():
        return None
    wrong = np.isinf(value).reshape(-1) & torch.isfinite(right).flatten().numpy()
    return int(wrong.argmax()) if wrong.any() else None
