"""What a record says of a lowered program, as its fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.evidence.times import about
from harness.evidence.vocabulary import OF_OPERATORS, Kind
from harness.lowering.islands import division_of
from harness.lowering.lower import Lowered
from harness.lowering.program import LoweredProgram, packages_size

#: Kinds of which somebody waits for the lowering; of all others it would only make two runs differ.
_TIMED = frozenset({Kind.MODEL, Kind.USER})


def told(kind: Kind, lowered: Lowered, programs: Sequence[LoweredProgram]) -> dict[str, Any]:
    """Of `programs`, the methods that are judged: their operators on either side; of what is no single operator also
    its size and its division; of models and of a user's module the seconds that lowering took."""
    fields: dict[str, Any] = {
        "delegated": summed(program.delegated_ops for program in programs),
        "fallback": summed(program.fallback_ops for program in programs),
    }
    if kind in OF_OPERATORS:
        return fields
    fields |= {"size": packages_size(programs), "division": division_of(programs)}
    if kind in _TIMED and lowered.timing:
        fields["lowering_s"] = about(sum(lowered.timing.values()))
    return fields


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sums by name."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
