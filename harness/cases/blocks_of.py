"""The blocks of a traced program: what each of its modules does, cut out, those of the same structure as one.

A block is a module of the network (a layer, its attention, an inverted residual) that makes more than one call. What
reaches it from outside are its inputs, and its constants where nothing of the program's inputs is in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.cases.blocks import Block, numbered
from harness.cases.calls import Ref
from harness.cases.extraction import ASSERTION, OF_CONSTANTS, Step, Trace

#: Calls of a block, those that only arrange values not counted: fewer are an operator's case, more a whole model.
LEAST, MOST = 2, 120
#: Operators that only arrange values, by the packet of their names.
ARRANGING = frozenset(
    {"view", "reshape", "transpose", "permute", "unsqueeze", "squeeze", "expand", "slice", "select", "contiguous"}
    | {"clone", "to", "dropout", "flatten", "unflatten", "alias", "detach", "chunk", "split", "cat", "arange", "lift"}
)


@dataclass(frozen=True)
class Found:
    """A block, the type of the module it is, and how many modules of the program have its structure."""

    block: Block
    kind: str
    count: int


def blocks_of(traced: Trace) -> list[Found]:
    """One block of each structure, the first, in the order of the program; without the program as a whole.

    A structure is there when several modules have it, or a module of a type of its own makes `LEAST` calls.
    """
    users = _users(traced)
    firsts: dict[str, tuple[Block, str]] = {}
    counts: Counter[str] = Counter()
    everything = sum(not step.left_out for step in traced.steps)
    for (_, kind), steps in _groups(traced.steps).items():
        computing = sum(step.call.op.split(".")[1].rstrip("_") not in ARRANGING for step in steps if not step.left_out)
        if not computing >= LEAST or len(steps) > MOST or len(steps) > 0.7 * everything:
            continue
        block = _cut(traced, steps, users)
        if block is None or len(block.calls) < LEAST or not block.inputs:
            continue
        structure = block.structure
        counts[structure] += 1
        firsts.setdefault(structure, (block, kind))
    return [Found(block, kind, counts[structure]) for structure, (block, kind) in firsts.items()]


def _groups(steps: Iterable[Step]) -> dict[tuple[str, str], list[Step]]:
    """The calls of each module, its parts' among them, by path and type; the whole program's own left out."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        for module in dict.fromkeys(step.modules):
            if module[0]:
                groups.setdefault(module, []).append(step)
    return groups


def _users(traced: Trace) -> dict[str, list[int]]:
    """By name of a value, the places of the calls that take it; past the last where the program returns it."""
    users: dict[str, list[int]] = {}
    for place, step in enumerate(traced.steps):
        for ref in step.call.refs():
            users.setdefault(ref.name, []).append(place)
    for ref in traced.results:
        users.setdefault(ref.name, []).append(len(traced.steps))
    return users


def _cut(traced: Trace, steps: list[Step], users: dict[str, list[int]]) -> Block | None:
    """The calls as a program of their own; None where one of them cannot be told, or nothing is returned."""
    own = {step.name for step in steps}
    if any(step.left_out not in ("", ASSERTION) for step in steps):
        return None
    places = {place for place, step in enumerate(traced.steps) if step.name in own}
    results = list(dict.fromkeys(_results(traced, steps, users, places)))
    if not results:
        return None
    needed = {ref.name for ref in results}
    calls = {}
    for step in reversed(steps):
        if step.name in needed and not step.left_out:
            needed |= {ref.name for ref in step.call.refs()}
            calls[step.name] = step.call
    calls = dict(reversed(calls.items()))
    outside = {ref: traced.values[ref] for call in calls.values() for ref in call.refs() if ref.name not in calls}
    return numbered(outside, calls, tuple(results))


def _results(traced: Trace, steps: list[Step], users: dict[str, list[int]], own: set[int]) -> Iterator[Ref]:
    """The values that are used outside, but for those that no input of the program reaches."""
    for step in steps:
        outside = set(users.get(step.name, ())) - own
        if not outside or traced.reason(step) == OF_CONSTANTS:
            continue
        refs = {ref for place in outside if place < len(traced.steps) for ref in traced.steps[place].call.refs()}
        refs |= traced.results if len(traced.steps) in outside else set()
        yield from sorted((ref for ref in refs if ref.name == step.name), key=lambda ref: ref.index or 0)
