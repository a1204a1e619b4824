"""How much each section measures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """`peer_tests` of the peer's operator tests in `peer_blocks` alternating pairs of processes; the same of cases for
    the floor. Growth: `marks` are counts of checks, the last of them the length of the run, of which the `repeated`
    first are made again at its end; `parts`: the runs with one and two workers take one of so many parts of level
    standard. Start-up: each command `repeats` times, `records` of synthetic evidence.
    """

    name: str
    peer_tests: int
    peer_blocks: int
    floor_cases: int
    floor_blocks: int
    marks: tuple[int, ...]
    repeated: int
    parts: int
    repeats: int
    records: int


FULL = Size("full", 120, 4, 100, 4, (500, 2000, 8000), 500, 24, 5, 20_000)
#: Minutes: the marks of growth are not reached, everything else is there.
QUICK = Size("quick", 30, 2, 30, 2, (125, 250, 500), 125, 120, 2, 20_000)
#: Only to see that everything works.
TINY = Size("tiny", 4, 1, 4, 1, (8, 12, 16), 4, 900, 1, 10_000)
SIZES = {size.name: size for size in (FULL, QUICK, TINY)}
