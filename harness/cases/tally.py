"""Calls and blocks of several programs together: equal ones once, with how often and in which programs they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from harness.cases.blocks import Block
from harness.cases.blocks_of import blocks_of
from harness.cases.calls import Call
from harness.cases.case import Built
from harness.cases.exporting import program_of
from harness.cases.extraction import Trace, trace
from harness.evidence.vocabulary import HarnessError

Thing = TypeVar("Thing")


@dataclass
class Tallied(Generic[Thing]):
    """A call or block, how often it is there, and where; of a block the types of the modules that it is, by count."""

    what: Thing
    count: int = 0
    programs: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, program: str, count: int = 1, kind: str = "") -> None:
        self.count += count
        if program not in self.programs:
            self.programs.append(program)
        if kind:
            self.kinds[kind] += count

    @property
    def kind(self) -> str:
        """The type of most of its modules, the first by name of several."""
        return min(self.kinds, key=lambda kind: (-self.kinds[kind], kind))


@dataclass
class Tally:
    """`calls` by their text, `blocks` by their structure, in the order in which they were met: of the blocks of one
    structure the smallest. `left_out` counts calls by reason."""

    calls: dict[str, Tallied[Call]] = field(default_factory=dict)
    blocks: dict[str, Tallied[Block]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, program: str, traced: Trace) -> None:
        """Add the calls and blocks of a program of this name."""
        for call in traced.calls():
            self.calls.setdefault(str(call), Tallied(call)).add(program)
        for found in blocks_of(traced):
            tallied = self.blocks.setdefault(found.block.structure, Tallied(found.block))
            tallied.what = min(tallied.what, found.block, key=lambda block: (block.elements, str(block)))
            tallied.add(program, found.count, found.kind)
        self.left_out += traced.left_out()

    @property
    def total(self) -> int:
        """Of all calls, equal ones too."""
        return sum(tallied.count for tallied in self.calls.values())

    def operators(self) -> Mapping[str, list[Tallied[Call]]]:
        """The calls by operator, in the order in which the operators were met."""
        found: dict[str, list[Tallied[Call]]] = {}
        for tallied in self.calls.values():
            found.setdefault(tallied.what.op, []).append(tallied)
        return found


def traces(built: Built) -> Iterator[Trace]:
    """What the methods of a case call. Raises `HarnessError` where one does not export, or does not run so."""
    for method in built.methods:
        try:
            program = program_of(method)
        except Exception as error:  # of any kind, torch's own among them
            text = " ".join(str(error).split())[:200]
            raise HarnessError(f"does not export: {type(error).__name__}: {text}") from None
        yield trace(program, method.inputs, method.kwargs)
