"""How a lowered program is divided: its delegates, and between them the islands of nodes left to ExecuTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from harness.evidence.division import Division, alike
from harness.lowering.program import DelegateCall, EagerCall, GetItem, LoweredProgram, Step, Value, values_in


def division_of(programs: Sequence[LoweredProgram]) -> Division:
    """The division of a program's methods together."""
    flops, delegated = _flops(programs)
    return Division(
        delegates=sum(len(program.delegates) for program in programs),
        islands=alike(island for program in programs for island in islands(program)),
        flops=flops,
        delegated_flops=delegated,
    )


def islands(program: LoweredProgram) -> Iterator[dict[str, int]]:
    """The islands in the order of the graph, each as its number of nodes by ATen overload.

    Nodes belong to one island where one takes what another gives, however many others of it lie between; what passes
    through a delegate parts them. Arithmetic with sizes alone is no island.
    """
    members: dict[int, list[str]] = {}
    island_of: dict[int, int] = {}
    for number, step in enumerate(program.steps):
        if isinstance(step, DelegateCall):
            continue
        taken = {island_of[v.number] for v in _taken(step) if v.number in island_of}
        if isinstance(step, GetItem) and not taken:  # one of a delegate's results
            continue
        home = min(taken, default=number)
        joined = [name for other in sorted(taken) for name in members.pop(other)]
        if taken - {home}:
            island_of = {value: home if island in taken else island for value, island in island_of.items()}
        members[home] = joined + ([step.target] if isinstance(step, EagerCall) else [])
        island_of[step.out.number] = home
    for names in members.values():
        counts = Counter(name for name in names if not name.startswith("operator."))
        if counts:
            yield dict(sorted(counts.items()))


def _taken(step: Step) -> Iterable[Value]:
    if isinstance(step, GetItem):
        return [step.source]
    assert isinstance(step, EagerCall)
    return [*values_in(step.args), *values_in(step.kwargs)]


def _flops(programs: Sequence[LoweredProgram]) -> tuple[int | None, int | None]:
    """Those of all nodes, and of those within delegates; None where they are not known of one."""
    within, outside = [], []
    for program in programs:
        for step in program.steps:
            if isinstance(step, DelegateCall):
                within.append(program.delegates[step.delegate].flops)
            elif isinstance(step, EagerCall):
                outside.append(step.flops)
    delegated = _sum(within)
    left = _sum(outside)
    return (None if delegated is None or left is None else delegated + left), delegated


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = list(numbers)
    return None if None in known else sum(n for n in known if n is not None)
