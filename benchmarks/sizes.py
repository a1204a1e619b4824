"""How much each section measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """`peer_tests` of the peer's operator tests in `peer_blocks`, each measured by all sides; so `floor_cases`.

    Growth: `marks` are counts of checks, the last of them the length of the run, of which the `repeated` first are made
    again at its end; runs with one and two workers take one of `parts` of level standard, and with `shards` its halves.
    Start-up: each command `repeats` times, with so many `records` of synthetic evidence.
    """

    name: str
    peer_tests: int
    peer_blocks: int
    floor_cases: int
    floor_blocks: int
    marks: tuple[int, ...]
    repeated: int
    parts: int
    shards: bool
    repeats: int
    records: int


FULL = Size("full", 120, 4, 100, 4, (500, 2000, 8000), 500, 24, True, 5, 20_000)
#: Minutes: too short a run to see growth.
QUICK = Size("quick", 24, 1, 24, 1, (100, 200, 400), 100, 120, False, 1, 20_000)
#: Only to see that everything works.
TINY = Size("tiny", 4, 1, 4, 1, (8, 12, 16), 4, 900, True, 1, 10_000)
SIZES = {size.name: size for size in (FULL, QUICK, TINY)}
