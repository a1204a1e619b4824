"""What a check in a child process costs over the same check in this one.

    python benchmarks/child.py benchmarks.bench_isolation [--cases N] [--rounds N]

The same cases, both default recipes, the reference unit, lowerings from a cache that is warm: what is left is small.
In each round every check is made once on each side, the side that begins alternating; on both sides the handler of
`harness.process.isolation` answers, directly here and through `IsolatedChecker` there. The overhead of a check is what
`IsolatedChecker.check` took less what the handler took in the child for that very request: the request, the phases
told ahead and the record crossing over. Start and memory of a child are measured beside it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import timed
from benchmarks.cases import RECIPES, smoke
from benchmarks.spread import quartiles

UNIT = "reference"


def seconds_of(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def resident_megabytes(pid: int) -> float:
    """Resident set of a process and of what it started."""
    listed = subprocess.run(["ps", "-axo", "pgid=,rss="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return sum(int(rss) for group, rss in rows if int(group) == pid) / 1024


def measure(count: int, rounds: int) -> str:
    """Both sides side by side; a table of milliseconds."""
    from harness.evidence.check import Check
    from harness.process.isolation import IsolatedChecker, Settings

    handle = timed.make_timed_handler()
    checker = IsolatedChecker(Settings("benchmark"), timed.HANDLER)
    warnings.simplefilter("ignore")
    checks = [(case, recipe) for case in smoke(count) for recipe in RECIPES]

    def inside(case: Any, recipe: str) -> tuple[float, float, str]:
        request = {"case": case.id, "recipe": recipe, "unit": UNIT, "file": None, "plan": True}
        record = handle({**request, "environment": "benchmark", "use_cache": True}, lambda _message: None)
        return record["timing"][timed.SECONDS], 0.0, record["outcome"]

    def isolated(case: Any, recipe: str) -> tuple[float, float, str]:
        seconds, record = seconds_of(lambda: checker.check(Check.of(case, recipe, UNIT)))
        return seconds, seconds - record.timing[timed.SECONDS], str(record.outcome)

    start, _ = seconds_of(lambda: isolated(*checks[0]))
    sides = {"in this process": inside, "in a child": isolated}
    times: dict[str, list[list[float]]] = {row: [[] for _ in checks] for row in (*sides, "overhead")}
    for number in range(-1, rounds):  # one more, to warm caches up
        for position, (case, recipe) in enumerate(checks):
            outcomes = set()
            for side in list(sides)[:: 1 if (number + position) % 2 else -1]:
                seconds, overhead, outcome = sides[side](case, recipe)
                outcomes.add(outcome)
                if number >= 0:
                    times[side][position].append(seconds)
                    if sides[side] is isolated:
                        times["overhead"][position].append(overhead)
            if len(outcomes) != 1:
                raise SystemExit(f"{case.id}@{recipe}: {' and '.join(sorted(outcomes))}")
    (pid,) = checker._pool.pids()
    memory = resident_megabytes(pid)
    checker.close()
    lines = [f"{len(checks)} checks, median of {rounds} rounds each; milliseconds"]
    lines.append(f"{'':20}{'lower quartile':>16}{'median':>10}{'upper quartile':>16}")
    for row, measured in times.items():
        spread = quartiles([statistics.median(seconds) for seconds in measured])
        lines.append(f"{row:20}{spread.low * 1e3:16.2f}{spread.middle * 1e3:10.2f}{spread.high * 1e3:16.2f}")
    lines.append(f"first check of a child, its start included: {start:.1f} s")
    lines.append(f"resident set of a child: {memory:.0f} MB")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=40, help="cases, spread evenly over level smoke (default 40)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each check is made on each side (default 7)")
    options = parser.parse_args(arguments)
    if options.cases < 2 or options.rounds < 1:
        parser.error("at least 2 cases and 1 round")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["COREML_HARNESS_CACHE"] = folder
        os.environ["TQDM_DISABLE"] = "1"  # coremltools' progress bars
        print(measure(options.cases, options.rounds))
