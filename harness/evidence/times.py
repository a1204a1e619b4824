"""Where the time of a run goes: exclusive seconds by stage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from harness.evidence.vocabulary import Phase

#: In the order a run goes through them, and what each holds.
STAGES: dict[str, str] = {
    "import": "Python, pytest and the child's torch, executorch and coremltools, until a check can begin",
    "collect": "pytest's collection",
    "build": "finding cases, making modules and inputs",
    "eager": "the truth in float64, and whether it is one",
    "cache": "looking for lowered programs in the cache",
    "export": "torch.export",
    "edge": "the edge program, and partitioning",
    "convert": "coremltools' conversion, and packaging",
    "emit": "the .pte, and keeping it in the cache",
    "execute": "loading and running the program on the unit",
    "judge": "bounds and comparison",
    "write": "the run directory, causes and known issues; flame graphs",
    "idle": "waiting for the next check, and what pytest and xdist do between checks",
}

#: The stage that each phase of a check belongs to.
STAGE_OF: dict[Phase, str] = {
    Phase.EAGER: "eager",
    Phase.EXPORT: "export",
    Phase.EDGE: "edge",
    Phase.PARTITION: "edge",
    Phase.CONVERT: "convert",
    Phase.PACKAGE: "convert",
    Phase.EMIT: "emit",
    Phase.LOAD: "execute",
    Phase.PLAN: "execute",
    Phase.RUN: "execute",
    Phase.SHAPE: "judge",
    Phase.DTYPE: "judge",
    Phase.VALUE: "judge",
}


class Stopwatch:
    """Adds up seconds by stage; a stage entered within another stops the outer one's clock. Not for several threads.

    `times` counts how often a stage was entered, or added to by another process.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self.times: dict[str, int] = {}
        self._entered: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._add()
        self._entered.append(name)
        self._count(name)
        try:
            yield
        finally:
            self._add()
            self._entered.pop()

    def switch(self, name: str) -> None:
        """From here on, what runs in the stage entered last is `name`."""
        self._add()
        self._entered[-1:] = [name] if self._entered else []

    def add(self, seconds: Mapping[str, float]) -> None:
        """What another process spent while this one waited for it, in no stage."""
        for stage, more in seconds.items():
            self._seconds[stage] = self._seconds.get(stage, 0.0) + more
            self._count(stage)

    def take(self) -> dict[str, float]:
        """The seconds since they were last taken; between stages only."""
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _count(self, stage: str) -> None:
        self.times[stage] = self.times.get(stage, 0) + 1

    def _add(self) -> None:
        now = self._clock()
        if self._entered:
            stage = self._entered[-1]
            self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._since
        self._since = now


def by_phase(entered: Sequence[tuple[Phase, float]], end: float) -> dict[str, float]:
    """Seconds by stage of a check of which only is known when it entered its phases, in order, and when it ended."""
    seconds: dict[str, float] = {}
    ends = [*(at for _, at in entered[1:]), end]
    for (phase, began), ended in zip(entered, ends, strict=False):
        seconds[STAGE_OF[phase]] = seconds.get(STAGE_OF[phase], 0.0) + ended - began
    return seconds


def total(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sum by stage, in the order of `STAGES`; stages of other names come after them."""
    sums: dict[str, float] = dict.fromkeys(STAGES, 0.0)
    for part in parts:
        for stage, seconds in part.items():
            sums[stage] = sums.get(stage, 0.0) + seconds
    return sums


def about(seconds: float) -> float:
    """Seconds to one significant digit: what differs from run to run by chance is seldom told."""
    return float(f"{seconds:.1g}")
