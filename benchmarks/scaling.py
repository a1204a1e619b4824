"""What many checks cost on hosted and own Macs, simulated with recorded durations: the tables of docs/scaling.md.

    python benchmarks/scaling.py                 # write the tables of docs/scaling.md anew
    python benchmarks/scaling.py --check         # exit code 1 when they are out of date
    python benchmarks/scaling.py --record RUN    # take the durations from a run made with --no-cache

Durations of the reference unit are recorded. What Core ML's units cost is assumed, below and in the page.
"""

from __future__ import annotations

import argparse
import functools
import heapq
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tabulate import tabulate

from harness.evidence.durations import Durations, deal
from harness.evidence.files import write_text_atomically
from harness.evidence.journal import read_run
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "scaling.md"
RECORDED = HERE / "scaling-durations.txt"
HEADER = (
    "# Seconds by case of the standard level, both default recipes, reference unit, nothing cached: expected by what\n"
    "# is committed, before the program runs, running it. Written by benchmarks/scaling.py --record RUN.\n"
)
RECIPES = 2

# Measured on x86-64 Linux with two cores (docs/scaling.md, "What is measured").
#: Of the time before running, what is left when the lowering is in the cache.
WARM = 0.18
#: Seconds from the start of pytest to the first check: collecting, and the imports of workers and children.
START = 20.0
#: `coreml-harness merge`: seconds, bytes of memory and of the file, for a record.
MERGE, MERGE_MEMORY, MERGE_FILE = 1.2e-4, 5_100, 670

# Assumed: no record comes from a Mac yet.
#: Seconds to compile a program for Core ML, once for all units.
COMPILE = 0.1
#: Seconds of a check on a unit beyond lowering and compiling: loading, the compute plan, two predictions. The reference
#: unit's are recorded.
UNITS = {"reference": 0.0, "executorch": 0.2, "cpu_only": 0.2, "cpu_and_gpu": 0.2, "cpu_and_ne": 0.4, "all": 0.4}
#: Those that hosted Macs, being virtual, can judge.
HOSTED_UNITS = ("reference", "executorch", "cpu_only", "cpu_and_gpu")


@dataclass(frozen=True)
class Case:
    """Seconds of one case with both recipes: what is expected of it, and what it takes before and while running."""

    expected: float
    lowering: float
    running: float


@dataclass(frozen=True)
class Machines:
    """A kind of machine: `at_once` of them, `cores` that do a full core's work, recorded seconds times `pace`.

    `setup` are seconds of a job before pytest starts, `price` is US dollars a minute, of begun minutes where `rounded`.
    """

    name: str
    at_once: int
    cores: float
    workers: int
    pace: float
    setup: float
    price: float
    rounded: bool = True


@dataclass(frozen=True)
class Work:
    """`checks` (cases times recipes) on each of `units`, on each of `systems`, in `shards` parts a system."""

    checks: int
    units: tuple[str, ...] = ("reference",)
    systems: int = 1
    shards: int = 1
    warm: bool = False
    longest_first: bool = True
    even: bool = True
    #: Multiplies what is assumed of Core ML's units.
    core_ml: float = 1.0


@dataclass(frozen=True)
class Cost:
    """Seconds from start to merged evidence, of the longest job, longest shard by mean shard, minutes and dollars."""

    makespan: float
    longest_job: float
    balance: float
    minutes: float
    dollars: float


def hosted(at_once: int, workers: int = 3) -> Machines:
    """GitHub's standard macOS runner: 3 cores, 7 GB."""
    return Machines("hosted", at_once, cores=3, workers=workers, pace=1.0, setup=180, price=0.062)


def larger(at_once: int, workers: int = 5) -> Machines:
    """GitHub's larger macOS runner, M2 Pro: 5 cores, 14 GB."""
    return Machines("larger", at_once, cores=5, workers=workers, pace=0.8, setup=180, price=0.102)


#: Dollars, years of use, share of the time in use.
MAC_PRICE, MAC_YEARS, MAC_USE = 599.0, 3, 0.25


def own(at_once: int, workers: int = 8) -> Machines:
    """Mac mini M4, 16 GB: 4 fast cores, 6 that count half."""
    price = MAC_PRICE / (MAC_YEARS * 365 * 24 * 60 * MAC_USE)
    return Machines("own", at_once, cores=7, workers=workers, pace=0.6, setup=10, price=price, rounded=False)


def scaled(recorded: Sequence[Case], checks: int) -> list[Case]:
    """As many cases as there are checks for, in the recorded proportions."""
    count = checks // RECIPES
    return [recorded[index * len(recorded) // count] for index in range(count)]


def seconds_of(case: Case, work: Work) -> float:
    """Of all checks of a case on one core of pace 1."""
    lowering = case.lowering * (WARM if work.warm else 1.0)
    return lowering + (case.running if "reference" in work.units else 0.0) + _core_ml(work)


@functools.cache
def _core_ml(work: Work) -> float:
    """What Core ML's units add to every case."""
    units = [UNITS[unit] for unit in work.units if unit != "reference"]
    return RECIPES * work.core_ml * (math.fsum(units) + COMPILE) if units else 0.0


def finish(seconds: Iterable[float], workers: int) -> float:
    """When the last worker ends, each taking the next when it is free."""
    ends = [0.0] * workers
    for took in seconds:
        heapq.heapreplace(ends, ends[0] + took)
    return max(ends)


@functools.cache
def parts_of(recorded: tuple[Case, ...], checks: int, shards: int, even: bool, seed: int) -> list[list[Case]]:
    """The shards of cases in an order drawn from `seed`: evenly by expected seconds, or each N-th."""
    cases = scaled(recorded, checks)
    random.Random(seed).shuffle(cases)
    if not even:
        return [cases[index::shards] for index in range(shards)]
    parts: list[list[Case]] = [[] for _ in range(shards)]
    # As the harness does: by what the reference unit is expected to take.
    for case, part in zip(cases, deal([case.expected for case in cases], [0.0] * shards), strict=True):
        parts[part].append(case)
    return parts


def simulate(recorded: Sequence[Case], work: Work, machines: Machines, seed: int = 0) -> Cost:
    """What the work costs. Cases come in an order drawn from `seed` where they are not sorted."""
    slowed = machines.pace * max(1.0, machines.workers / machines.cores)
    totals, jobs = [], []
    for part in parts_of(tuple(recorded), work.checks, work.shards, work.even, seed):
        if work.longest_first:
            part = sorted(part, key=lambda case: -case.expected)
        seconds = [slowed * seconds_of(case, work) for case in part]
        totals.append(math.fsum(seconds))
        jobs.append(machines.setup + START + finish(seconds, machines.workers))
    jobs = jobs * work.systems
    records = work.checks * len(work.units) * work.systems
    minutes = [math.ceil(job / 60) if machines.rounded else job / 60 for job in jobs]
    return Cost(
        makespan=finish(sorted(jobs, reverse=True), machines.at_once) + MERGE * records,
        longest_job=max(jobs),
        balance=max(totals) / statistics.mean(totals),
        minutes=sum(minutes),
        dollars=sum(minutes) * machines.price,
    )


# The recorded durations.


def record(run: Path) -> list[Case]:
    """Cases of a run directory, the longest first; those it did not time are left out."""
    durations = Durations.read(ROOT / "suites", ROOT / "reports" / "evidence", ROOT / "no-runs")
    by_case: dict[str, list[Record]] = {}
    for one in read_run(run).records.values():
        if "total" in one.timing:
            by_case.setdefault(one.case, []).append(one)
    cases = []
    for name, records in by_case.items():
        running = math.fsum(one.timing.get("run", 0.0) for one in records)
        total = math.fsum(one.timing["total"] for one in records)
        cases.append(Case(durations.everywhere(name), total - running, running))
    return sorted(cases, key=lambda case: (-case.lowering - case.running, -case.expected))


def write_recorded(path: Path, cases: Iterable[Case]) -> None:
    lines = (f"{case.expected:.2f} {case.lowering:.3f} {case.running:.3f}\n" for case in cases)
    write_text_atomically(path, HEADER + "".join(lines))


def read_recorded(path: Path = RECORDED) -> list[Case]:
    """Raises `HarnessError` for a file that holds something else."""
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        return [Case(*map(float, row)) for row in rows]
    except (OSError, ValueError, TypeError):
        raise HarnessError(f"{path}: not recorded durations") from None


# The tables.

#: What is asked for: checks on each unit, units, systems.
CHECKS, SYSTEMS = 100_000, 4
ALL = tuple(UNITS)
#: The standard level, rounded.
LEVEL = 10_000
DRAWN = 10


def clock(seconds: float) -> str:
    """`3 h 05`, `12 min`, `40 s`."""
    if seconds < 180:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 180 else f"{minutes // 60} h {minutes % 60:02d}"


def dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount < 100 else f"${amount:,.0f}"


def order_table(recorded: Sequence[Case]) -> str:
    """Plain order and longest first, on one machine that has a core for each worker."""
    rows = []
    for checks in (1_000, LEVEL):
        for workers in (2, 4, 8, 16):
            machine = Machines("any", 1, cores=workers, workers=workers, pace=1.0, setup=-START, price=0)
            plain = [
                simulate(recorded, Work(checks, longest_first=False), machine, seed).longest_job
                for seed in range(DRAWN)
            ]
            sorted_ = simulate(recorded, Work(checks), machine).longest_job
            ideal = math.fsum(seconds_of(case, Work(checks)) for case in scaled(recorded, checks)) / workers
            rows.append(
                [f"{checks:,}", workers, f"{ideal:.0f}"]
                + [
                    f"{seconds:.0f} (+{100 * (seconds / ideal - 1):.0f} %)"
                    for seconds in (statistics.mean(plain), max(plain), sorted_)
                ]
            )
    return table(
        ["checks", "workers", "all busy to the end, s", "plain order, mean", f"worst of {DRAWN}", "longest first"],
        rows,
    )


def shards_table(recorded: Sequence[Case]) -> str:
    """Longest shard by mean shard: each N-th case, and dealt by committed durations."""
    rows = []
    for checks, units in ((LEVEL, ("reference",)), (CHECKS, ("reference",)), (CHECKS, ALL)):
        for shards in (4, 16, 64):
            work = Work(checks, units, shards=shards)
            seconds = [seconds_of(case, work) for case in scaled(recorded, checks)]
            each = []
            for seed in range(DRAWN):
                random.Random(seed).shuffle(seconds)
                totals = [math.fsum(seconds[index::shards]) for index in range(shards)]
                each.append(max(totals) / statistics.mean(totals))
            even = simulate(recorded, work, hosted(5)).balance
            measured = [statistics.mean(each), max(each), even]
            rows.append([f"{checks:,}", len(units), shards, *(f"{balance:.3f}" for balance in measured)])
    return table(["checks", "units", "shards", "every N-th, mean", f"worst of {DRAWN}", "by durations"], rows)


def today_table(recorded: Sequence[Case]) -> str:
    """The standard level, as `.github/workflows/matrix.yml` runs it."""
    rows = []
    three = ("reference", "cpu_only", "cpu_and_gpu")
    five = (*three, "cpu_and_ne", "all")
    for name, machines, shards, units in (
        ("hosted, 5 at once, `-n 3`", hosted(5), 4, three),
        ("own Mac, `-n 4`", own(1, 4), 1, five),
        ("own Mac, `-n 8`", own(1), 1, five),
    ):
        cost = simulate(recorded, Work(LEVEL, units, shards=shards), machines)
        rows.append([name, len(units), shards, clock(cost.makespan), f"{cost.minutes:,.0f}", dollars(cost.dollars)])
    return table(["machines", "units", "shards", "makespan", "machine minutes", "cost"], rows)


def cost_table(recorded: Sequence[Case]) -> str:
    """The whole: hosted Macs judge four of the units, own ones all six."""
    rows = []
    for name, machines, shards, units in (
        ("hosted, Free to Team: 5 at once", hosted(5), 5, HOSTED_UNITS),
        ("hosted, Enterprise: 50 at once", hosted(50), 12, HOSTED_UNITS),
        ("larger hosted, Enterprise: 50 at once", larger(50), 12, HOSTED_UNITS),
        ("own: one Mac mini a system", own(4), 1, ALL),
        ("own: four a system", own(16), 4, ALL),
    ):
        cost = simulate(recorded, Work(CHECKS, units, SYSTEMS, shards), machines)
        rows.append(
            [
                name,
                len(units),
                shards,
                clock(cost.longest_job),
                clock(cost.makespan),
                f"{cost.minutes:,.0f}",
                dollars(cost.dollars),
            ]
        )
    return table(["machines", "units", "shards a system", "longest job", "makespan", "machine minutes", "cost"], rows)


def counts_table(recorded: Sequence[Case]) -> str:
    """How many shards: hosted Macs, 50 at once."""
    rows = []
    for shards in (4, 12, 25, 50, 64):
        cost = simulate(recorded, Work(CHECKS, HOSTED_UNITS, SYSTEMS, shards), hosted(50))
        setup = SYSTEMS * shards * (hosted(50).setup + START) / 60
        rows.append(
            [
                shards,
                SYSTEMS * shards,
                clock(cost.longest_job),
                clock(cost.makespan),
                f"{100 * setup / cost.minutes:.0f} %",
                dollars(cost.dollars),
            ]
        )
    return table(["shards a system", "jobs", "longest job", "makespan", "spent on setting up", "cost"], rows)


def cache_table(recorded: Sequence[Case]) -> str:
    """Cold and warm."""
    rows = []
    for name, work, machines in (
        ("standard level, reference unit, two cores", Work(LEVEL), Machines("linux", 1, 2, 2, 1.0, 0, 0)),
        ("100,000 checks, reference unit, own Mac", Work(CHECKS), own(1)),
        ("100,000 checks, 6 units, own Mac", Work(CHECKS, ALL), own(1)),
    ):
        cold, warm = (simulate(recorded, replace(work, warm=warm), machines).makespan for warm in (False, True))
        rows.append([name, clock(cold), clock(warm), f"{100 * (1 - warm / cold):.0f} %"])
    return table(["run", "cold", "warm", "saved"], rows)


def workers_table(recorded: Sequence[Case]) -> str:
    """Workers a machine: beyond the cores they share them."""
    rows = []
    for workers in (1, 2, 3, 4, 6, 8, 10):
        row: list[object] = [workers]
        for machines, units, shards in ((hosted(1, workers), HOSTED_UNITS, 12), (own(1, workers), ALL, 1)):
            cost = simulate(recorded, Work(CHECKS, units, shards=shards), machines)
            row += [clock(cost.longest_job)]
        rows.append([*row, f"{1.2 * workers:.1f}"])
    return table(
        ["workers", "one of 12 shards, hosted (3 cores)", "own Mac (4 fast, 6 slow cores)", "memory, GB"], rows
    )


def assumption_table(recorded: Sequence[Case]) -> str:
    """How much rests on what is assumed of Core ML's units."""
    rows = []
    for factor in (0.25, 0.5, 1.0, 2.0, 4.0):
        a = simulate(recorded, Work(CHECKS, HOSTED_UNITS, SYSTEMS, 12, core_ml=factor), hosted(50))
        b = simulate(recorded, Work(CHECKS, ALL, SYSTEMS, 1, core_ml=factor), own(4))
        rows.append([f"x {factor:g}", clock(a.makespan), dollars(a.dollars), clock(b.makespan), dollars(b.dollars)])
    return table(["Core ML units take", "hosted, 50 at once", "cost", "own, one a system", "cost"], rows)


def merge_table(recorded: Sequence[Case]) -> str:
    """Merging, in proportion to records."""
    rows = []
    for name, records in (
        ("standard level, reference unit", LEVEL),
        ("one system, one unit", CHECKS),
        ("one system, six units", CHECKS * len(ALL)),
        ("four systems, six units", CHECKS * len(ALL) * SYSTEMS),
    ):
        memory, file = MERGE_MEMORY * records / 1e9, MERGE_FILE * records / 1e6
        rows.append([name, f"{records:,}", clock(MERGE * records), f"{memory:.1f} GB", f"{file:,.0f} MB"])
    return table(["merged", "records", "time", "memory", "file"], rows)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return tabulate(
        rows, headers, tablefmt="pipe", disable_numparse=True, colalign=["left"] + ["right"] * (len(headers) - 1)
    )


TABLES: dict[str, Callable[[Sequence[Case]], str]] = {
    "order": order_table,
    "shards": shards_table,
    "today": today_table,
    "cost": cost_table,
    "counts": counts_table,
    "cache": cache_table,
    "workers": workers_table,
    "merge": merge_table,
    "assumptions": assumption_table,
}


def page(text: str, recorded: Sequence[Case]) -> str:
    """The page with its tables anew, each between `<!-- name -->` and `<!-- end -->`; raises `HarnessError` when one
    has no place."""
    for name in TABLES:
        if f"<!-- {name} -->\n" not in text:
            raise HarnessError(f"docs/scaling.md: no place for table {name}")
    for name, make in TABLES.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->\n")
        text = f"{before}{begin}{make(recorded)}\n{end}{after}"
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Tables of docs/scaling.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the tables are out of date")
    parser.add_argument("--record", type=Path, metavar="RUN", help="take the durations from this run directory first")
    options = parser.parse_args(arguments)
    try:
        if options.record:
            cases = record(options.record)
            if not cases:
                raise HarnessError(f"{options.record}: no recorded times")
            write_recorded(RECORDED, cases)
        before = PAGE.read_text(encoding="utf-8")
        after = page(before, read_recorded())
    except HarnessError as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 2
    if options.check:
        print("docs/scaling.md is " + ("up to date" if before == after else "out of date: run benchmarks/scaling.py"))
        return int(before != after)
    write_text_atomically(PAGE, after)
    print(f"wrote {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
