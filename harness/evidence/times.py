"""Where the time of a run goes: exclusive seconds by stage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

#: In the order a run goes through them, and what each holds.
STAGES: dict[str, str] = {
    "import": "Python, pytest and the child's torch, executorch and coremltools, until a check can begin",
    "collect": "pytest's collection",
    "build": "modules and inputs",
    "eager": "the truth in float64, and whether it is one",
    "cache": "looking for lowered programs in the cache",
    "export": "torch.export",
    "edge": "the edge program, and partitioning",
    "convert": "coremltools' conversion, and packaging",
    "emit": "the .pte, and keeping it in the cache",
    "execute": "loading and running the program on the unit",
    "judge": "bounds and comparison",
    "write": "causes and the journal",
    "idle": "waiting for the next check, and what pytest and xdist do between checks",
}


class Stopwatch:
    """Adds up seconds by stage; a stage entered within another stops the outer one's clock. Not for several threads."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._entered: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._add()
        self._entered.append(name)
        try:
            yield
        finally:
            self._add()
            self._entered.pop()

    def switch(self, name: str) -> None:
        """From here on, what runs in the stage entered last is `name`."""
        self._add()
        self._entered[-1:] = [name] if self._entered else []

    def take(self) -> dict[str, float]:
        """The seconds since they were last taken; between stages only."""
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _add(self) -> None:
        now = self._clock()
        if self._entered:
            stage = self._entered[-1]
            self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._since
        self._since = now


def total(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sum by stage, in the order of `STAGES`; stages of other names come after them."""
    sums: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    for part in parts:
        for stage, seconds in part.items():
            sums[stage] = sums.get(stage, 0.0) + seconds
    return sums
