"""How long a case takes, all its checks together: what the order of a run and the parts of `--shard` rest on.

Three sources, each where the one before is silent: times of the last run on this machine, the committed table of cases
that take long, the number of operators in the graph that the committed evidence records. Shards of two machines fit
together only when both divide alike, so they rest on what is committed alone.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.evidence.files import read_evidence, write_text_atomically
from harness.evidence.journal import latest_run, read_run
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError

TABLE_FILE = "durations.txt"
#: From so many seconds on a case stands in the table, which so stays short.
LONG = 1.0
HEADER = (
    "# Seconds of the cases that take long, to a power of two: both default recipes, reference unit, nothing cached.\n"
    "# Written by python -m harness.commands.durations RUN...; orders runs and divides shards.\n"
)
#: Medians over the cases of one number of operators lie along this line, on x86-64 Linux.
_AT_LEAST, _EACH_OPERATOR = 0.15, 0.04
#: A whole model of which nothing is recorded: more than any operator's case that is not in the table.
_MODEL = 10.0
_LOWERING = ("export", "lower", "emit")


@dataclass(frozen=True)
class Durations:
    """Seconds by case id: `committed` is the same on every machine, `recorded` is of the last run on this one."""

    committed: Mapping[str, float] = field(default_factory=dict)
    recorded: Mapping[str, float] = field(default_factory=dict)

    def everywhere(self, case: str, *, whole_model: bool = False) -> float:
        """Seconds the case is expected to take, by what every machine knows."""
        return self.committed.get(case, _MODEL if whole_model else _AT_LEAST)

    def here(self, case: str, *, whole_model: bool = False) -> float:
        """Seconds the case is expected to take on this machine."""
        known = self.recorded.get(case)
        return self.everywhere(case, whole_model=whole_model) if known is None else known

    @classmethod
    def read(cls, suites: Path, evidence: Path, runs: Path, but: Path | None = None) -> Durations:
        """From the table in `suites`, the evidence files of a folder, and the newest run in `runs` other than `but`.

        Raises `HarnessError` for a damaged table. Evidence and runs that cannot be read are left out: they are what a
        run is to replace.
        """
        committed: dict[str, float] = {}
        for path in sorted(evidence.glob("*.jsonl")):
            with contextlib.suppress(HarnessError):
                committed.update(by_operators(read_evidence(path).records))
        committed.update(read_table(suites / TABLE_FILE))
        recorded: dict[str, float] = {}
        last = latest_run(runs, but)
        if last is not None:
            with contextlib.suppress(HarnessError):
                recorded = case_seconds(read_run(last).records.values())
        return cls(committed, recorded)


def case_seconds(records: Iterable[Record]) -> dict[str, float]:
    """Seconds by case, over its recipes and units, as if nothing had been cached; only of cases with a recorded time.

    A lowering from the cache keeps the times it had when it was made, so a run on a warm cache tells them too.
    """
    totals: dict[str, float] = {}
    running: dict[str, float] = {}
    lowering: dict[str, dict[str, float]] = {}
    for record in records:
        times = record.timing
        if not times:
            continue
        totals[record.case] = totals.get(record.case, 0.0) + times.get("total", 0.0)
        running[record.case] = running.get(record.case, 0.0) + times.get("run", 0.0)
        # One lowering serves all units.
        recipes = lowering.setdefault(record.case, {})
        seconds = sum(times.get(part, 0.0) for part in _LOWERING)
        recipes[record.recipe] = max(recipes.get(record.recipe, 0.0), seconds)
    return {case: max(total, running[case] + sum(lowering[case].values())) for case, total in totals.items()}


def by_operators(records: Iterable[Record]) -> dict[str, float]:
    """Seconds by case, estimated from the number of operators in its graph, whichever recipe saw most of them."""
    counts: dict[str, int] = {}
    for record in records:
        count = sum(record.delegated.values()) + sum(record.fallback.values())
        counts[record.case] = max(counts.get(record.case, 0), count)
    return {case: _AT_LEAST + _EACH_OPERATOR * count for case, count in counts.items()}


def read_table(path: Path) -> dict[str, float]:
    """The committed table, empty where there is none; raises `HarnessError` for what is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        raise HarnessError(f"{path}: unreadable") from None
    table: dict[str, float] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        seconds, _, case = line.partition(" ")
        if not (seconds.isdecimal() and int(seconds) and case):
            raise HarnessError(f"{path}: line {number}: expected seconds and a case id")
        table[case] = float(seconds)
    return table


def write_table(path: Path, table: Mapping[str, float]) -> None:
    """Sorted by case, so that a changed time is one changed line."""
    lines = "".join(f"{seconds:.0f} {case}\n" for case, seconds in sorted(table.items()))
    write_text_atomically(path, HEADER + lines)


def updated(table: Mapping[str, float], measured: Mapping[str, float], cases: Container[str]) -> dict[str, float]:
    """The table after a run: `cases` are those there are; what the run did not measure stays.

    An entry changes when it is wrong by more than a factor of two, goes when it is below half of what brings one in:
    runs differ, and a table that followed each would say nothing by its changes.
    """
    after = {case: seconds for case, seconds in table.items() if case in cases}
    for case, seconds in measured.items():
        before = after.get(case)
        if before is not None and seconds < LONG / 2:
            del after[case]
        elif case not in cases or (before is None and seconds < LONG):
            continue
        elif before is None or not before / 2 <= seconds <= before * 2:
            after[case] = 2.0 ** round(math.log2(max(seconds, LONG)))
    return after


def deal(seconds: Sequence[float], loads: list[float]) -> list[int]:
    """The part of each, counted from 0: longest first, each to the part that has least to do.

    `loads` are the seconds each part has already, and are added to. Of equal ones each N-th goes to a part.
    """
    parts = [0] * len(seconds)
    for index in sorted(range(len(seconds)), key=lambda index: -seconds[index]):
        part = min(range(len(loads)), key=loads.__getitem__)
        loads[part] += seconds[index]
        parts[index] = part
    return parts
