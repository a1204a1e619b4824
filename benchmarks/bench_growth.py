"""What becomes of time and memory when there are more checks, workers, shards, and a warm cache.

    python benchmarks/child.py benchmarks.bench_growth age --checks N --repeated M
    python benchmarks/child.py benchmarks.bench_growth workers --workers W --part 1/P
    python benchmarks/child.py benchmarks.bench_growth shards --part 1/P

`age`: N checks by two workers, nothing cached, in an order that is shuffled once and for all. The first M are made
again at the end, by the same processes, and there in turns by processes that have just started: the same checks at
the same time, so that neither their differences nor a machine that grows slower or faster tell for or against an old
process. `workers` and `shards`: `pytest suites/ops` as a user runs it, over one of P parts of level standard.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import timed
from benchmarks.cases import RECIPES, shuffled
from benchmarks.processes import CALM, run
from benchmarks.section import Findings, Goal, Section, Table, shown
from benchmarks.sizes import SIZES, Size
from benchmarks.spread import figures, ratio
from benchmarks.store import Measurement
from harness.evidence.check import Check

MODULE = "benchmarks.bench_growth"
WANTED = 1.1
WORKERS = 2
WARM_UP_CASES = 8

#: When in the run, case, seconds of processor, seconds, peak memory of the process in MB.
Sample = tuple[str, str, float, float, float]


class Worker:
    """A worker of a run: a child process that makes one check after another."""

    def __init__(self, warm_up: Iterable[Any]) -> None:
        from harness.process.isolation import IsolatedChecker, Settings

        self.checker = IsolatedChecker(Settings("benchmark", use_cache=False), timed.HANDLER)
        for case in warm_up:
            self.check(case)

    def check(self, case: Any) -> tuple[float, float, float]:
        """Both recipes: seconds of processor, seconds, peak memory."""
        records = [self.checker.check(Check.of(case, recipe, "reference")) for recipe in RECIPES]
        timings = [record.timing for record in records if timed.CPU in record.timing]  # none of a check that died
        return (
            sum(timing[timed.CPU] for timing in timings),
            sum(timing[timed.SECONDS] for timing in timings),
            max((timing[timed.PEAK] for timing in timings), default=0.0),
        )


def age(checks: int, repeated: int) -> dict[str, Any]:
    """Samples in the order in which they were finished, and how many child processes there were."""
    os.environ.update(CALM)
    needed = max(checks // len(RECIPES), 2 * (repeated // len(RECIPES)))
    again = repeated // len(RECIPES)
    cases = shuffled()
    warm_up, cases = cases[:WARM_UP_CASES], cases[WARM_UP_CASES:]
    kept, others = cases[:again], cases[again:]
    queue = deque(others[number % len(others)] for number in range(needed - 2 * again))
    samples: list[Sample] = []
    started: list[int] = []
    failures: list[BaseException] = []
    # Nobody begins a part of the run before all have finished the one before.
    barrier = threading.Barrier(WORKERS)

    def measured(when: str, worker: Worker, case: Any) -> None:
        samples.append((when, case.id, *worker.check(case)))

    def work(number: int) -> None:
        own = kept[number::WORKERS]
        workers: list[Worker] = []
        try:
            workers.append(old := Worker(warm_up))
            barrier.wait()
            for case in own:
                measured("first", old, case)
            while queue:
                try:
                    case = queue.popleft()
                except IndexError:
                    break
                measured("between", old, case)
            workers.append(new := Worker(warm_up))
            barrier.wait()
            for position, case in enumerate(own):
                turns = [("last", old), ("fresh", new)]
                for when, worker in turns[:: -1 if position % 2 else 1]:
                    measured(when, worker, case)
        except BaseException as error:
            failures.append(error)
            barrier.abort()
        finally:
            for worker in workers:
                started.append(worker.checker._pool.started)
                worker.checker.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise next((error for error in failures if not isinstance(error, threading.BrokenBarrierError)), failures[0])
    return {"samples": samples, "children": sum(started), "workers": WORKERS}


def pytest_run(folder: Path, workers: int, shard: tuple[int, int]) -> dict[str, float]:
    """One run of a part of the suite with the cache in `folder`: what it cost, and the number of records."""
    from harness.evidence.journal import read_run_or_file

    directory = folder / f"run-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "pytest", "suites/ops", "-q", "--measure", "--unit", "reference"]
    command += ["--level", "standard", "--shard", f"{shard[0]}/{shard[1]}", "-n", str(workers)]
    cost = run([*command, "--run-dir", str(directory)], {"COREML_HARNESS_CACHE": str(folder / "cache")})
    if cost.code != 0:
        raise SystemExit(f"pytest ended with exit code {cost.code}: {cost.last_words}")
    checks = len(read_run_or_file(directory).records)
    return {"cpu": cost.cpu, "wall": cost.wall, "checks": checks}


def in_folder(measure: Callable[[Path], Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


def cold_and_warm(folder: Path, workers: int, parts: int) -> dict[str, Any]:
    """The same part twice, the second time with the cache the first has filled."""
    return {when: pytest_run(folder, workers, (1, parts)) for when in ("cold", "warm")}


def halves(folder: Path, parts: int) -> list[dict[str, float]]:
    """The same part in two shards, each with one worker and a cache of its own.

    Shards take every N-th case: those of 1/P are those of 1/2P and (P+1)/2P.
    """
    return [pytest_run(folder / str(index), 1, (index, 2 * parts)) for index in (1, parts + 1)]


def plan(size: Size) -> list[Measurement]:
    part = ("--part", f"1/{size.parts}")
    checks = ("--checks", str(size.marks[-1]), "--repeated", str(size.repeated))
    planned = [
        Measurement("growth", f"age-{size.name}", MODULE, ("age", *checks)),
        Measurement("growth", "workers-1", MODULE, ("workers", "--workers", "1", *part)),
        Measurement("growth", "workers-2", MODULE, ("workers", "--workers", "2", *part)),
    ]
    return [*planned, Measurement("growth", "shards", MODULE, ("shards", *part))] if size.shards else planned


def by_marks(samples: Sequence[Sample], marks: Sequence[int], workers: int) -> Table:
    """Time and memory when so many checks were made, and what a check cost since the mark before."""
    rows = []
    done, cpu, seconds, peak, last_cpu, last_done = 0, 0.0, 0.0, 0.0, 0.0, 0
    counted = [sample for sample in samples if sample[0] != "fresh"]
    for number, (_, _, spent, took, memory) in enumerate(counted):
        done, cpu, seconds, peak = done + len(RECIPES), cpu + spent, seconds + took, max(peak, memory)
        reached = [mark for mark in marks if done - len(RECIPES) < mark <= done]
        if reached or number == len(counted) - 1:
            each = (cpu - last_cpu) / (done - last_done)
            texts = (figures(seconds / workers), figures(cpu), figures(each * 1e3), f"{peak:.0f}")
            rows.append((f"{done:,}", *texts))
            last_cpu, last_done = cpu, done
    head = (
        "checks",
        "seconds",
        "CPU-seconds",
        "CPU time of a check since the row above, ms",
        "peak memory of a child, MB",
    )
    return Table(head, tuple(rows))


def times_of(samples: Sequence[Sample], when: str) -> dict[str, float]:
    return {case: cpu for part, case, cpu, _, _ in samples if part == when and cpu > 0}


def summarise(results: Mapping[str, Any]) -> Findings:
    """What was finished of it: the long run alone can be given."""
    tables, goals, notes = [], [], []
    size, aged = next(((name[4:], value) for name, value in results.items() if name.startswith("age-")), ("", None))
    if aged is not None:
        samples = [tuple(sample) for sample in aged["samples"]]
        tables.append(by_marks(samples, SIZES[size].marks, aged["workers"]))
        of = {when: times_of(samples, when) for when in ("first", "last", "fresh")}
        cases = [case for case in of["last"] if case in of["first"] and case in of["fresh"]]
        if cases:
            beside = ratio([(of["last"][case], of["fresh"][case]) for case in cases])
            since = ratio([(of["last"][case], of["first"][case]) for case in cases])
            count = len(cases) * len(RECIPES)
            goals.append(Goal(f"CPU time of the last {count} checks, of a fresh process's", "at most", WANTED, beside))
            notes.append(
                f"The last {count} checks are the first ones again. CPU time over that of a fresh process beside it: "
                f"{shown(beside)}; over that of the first time: {shown(since)}."
            )
        notes.append(
            f"{aged['children']} child processes: of {aged['workers']} workers, as many fresh ones at the end, and one "
            "more for each that a check ended."
        )
    runs = [
        (f"{name.partition('-')[2]} worker{'s' if name.endswith('2') else ''}, {when} cache", value[when])
        for name, value in sorted(results.items())
        if name.startswith("workers-")
        for when in ("cold", "warm")
    ]
    runs += [
        (f"shard {number} of 2, 1 worker, cold cache", one) for number, one in enumerate(results.get("shards", ()), 1)
    ]
    if runs:
        rows = [
            (
                words,
                f"{one['checks']:.0f}",
                figures(one["wall"]),
                figures(one["cpu"]),
                figures(one["checks"] / one["wall"]),
            )
            for words, one in runs
        ]
        head = ("`pytest suites/ops`", "checks", "seconds", "CPU-seconds", "checks per second")
        tables.append(Table(head, tuple(rows)))
        notes.append("Of these runs everything counts: start, imports, collection, the checks and the end.")
    return Findings(tuple(tables), tuple(goals), tuple(notes))


SECTION = Section(
    name="growth",
    title="More checks, workers and shards",
    wanted=(f"the last checks of the long run: at most {WANTED:g} of the CPU time a fresh process takes for them",),
    plan=plan,
    summarise=summarise,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("age", "workers", "shards"))
    parser.add_argument("--checks", type=int, default=500)
    parser.add_argument("--repeated", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--part", default="1/120", help="1/P: one of P parts of level standard")
    options = parser.parse_args(arguments)
    parts = int(options.part.partition("/")[2])
    if options.what == "age":
        value: Any = age(options.checks, options.repeated)
    elif options.what == "workers":
        value = in_folder(lambda folder: cold_and_warm(folder, options.workers, parts))
    else:
        value = in_folder(lambda folder: halves(folder, parts))
    print(json.dumps(value))
