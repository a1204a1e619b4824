"""A whole check of both precisions against lowering for both in a plain loop.

    python benchmarks/child.py benchmarks.bench_floor SIDE --cases N [--block I/N]

SIDE is `plain` or `harness`. The plain loop is what a user's script would do, without anything of the harness that
makes lowering quick: for each case one `torch.export.export`, then `to_edge_transform_and_lower` for each precision.
The harness makes both whole checks on the reference unit: build, eager, export, lower, emit, execute and judge,
nothing cached. Each side is a process of its own, on one thread, after its imports and one case to warm up.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.cases import RECIPES, WARM_UP, block, get_ready, smoke
from benchmarks.section import Findings, Goal, Section, Table, shown
from benchmarks.sizes import Size
from benchmarks.spread import figures, quartiles, ratio
from benchmarks.store import Measurement

MODULE = "benchmarks.bench_floor"
WANTED = 0.2

#: A case, seconds of processor for both precisions, how each ended.
Timing = tuple[str, float, list[str]]


def plain(cases: Sequence[Any]) -> Iterator[Timing]:
    """Export once, lower for each precision, whether that succeeds or raises; what does not export is left out."""
    import torch
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner
    from executorch.exir import to_edge_transform_and_lower

    from harness.cases.case import CaseFault
    from harness.evidence.recipe import Recipe
    from harness.lowering.compile_specs import compile_specs

    for case in cases:
        try:
            built = case.build()
        except CaseFault:
            continue
        started = time.process_time()
        try:
            exported = torch.export.export(built.module, built.inputs)
        except Exception:
            continue
        outcomes = []
        for recipe in RECIPES:
            partitioner = CoreMLPartitioner(compile_specs=compile_specs(Recipe.parse(recipe)))
            try:
                to_edge_transform_and_lower(exported, partitioner=[partitioner])
                outcomes.append("lowered")
            except Exception as error:
                outcomes.append(type(error).__name__)
        yield case.id, time.process_time() - started, outcomes


def harness(cases: Sequence[Any]) -> Iterator[Timing]:
    """Whole checks; those settled before lowering are left out."""
    from harness.check import Checker
    from harness.evidence.check import Check
    from harness.evidence.vocabulary import UNJUDGED, Phase
    from harness.lowering import speedups

    speedups.enable()
    checker = Checker()
    for case in cases:
        started = time.process_time()
        records = [checker.check(Check.of(case, recipe, "reference")) for recipe in RECIPES]
        seconds = time.process_time() - started
        if all(record.outcome not in UNJUDGED and record.phase is not Phase.EXPORT for record in records):
            yield case.id, seconds, [str(record.outcome) for record in records]


SIDES = {"plain": plain, "harness": harness}


def measure(side: str, count: int, number: int, of: int) -> list[Timing]:
    """One side, in this process."""
    from harness.cases.find import find

    get_ready()
    cases = block(smoke(count), number, of)
    list(SIDES[side]([find(WARM_UP)]))
    return list(SIDES[side](cases))


def plan(size: Size) -> list[Measurement]:
    """Blocks of cases, every block by both sides, the side that begins alternating."""
    return [
        Measurement(
            "floor",
            f"{number}-{side}",
            MODULE,
            (side, "--cases", str(size.floor_cases), "--block", f"{number + 1}/{size.floor_blocks}"),
        )
        for number in range(size.floor_blocks)
        for side in list(SIDES)[:: -1 if number % 2 else 1]
    ]


def summarise(results: Mapping[str, Any]) -> Findings:
    """Over the cases that both sides lowered or tried to."""
    sides: dict[str, dict[str, float]] = {side: {} for side in SIDES}
    failed = 0
    for name, timings in results.items():
        side = name.partition("-")[2]
        sides[side] |= {case: seconds for case, seconds, _ in timings}
        failed += sum(side == "plain" and outcomes != ["lowered"] * len(outcomes) for _, _, outcomes in timings)
    common = [case for case in sides["plain"] if case in sides["harness"]]
    if not common:
        return Findings((), notes=("No case was lowered on both sides.",))
    pairs = [(sides["harness"][case], sides["plain"][case]) for case in common]
    of_each = quartiles([first / second for first, second in pairs])
    rows = []
    for side, words in (("plain", "plain loop: export, lower twice"), ("harness", "both whole checks")):
        seconds = [sides[side][case] for case in common]
        spread = quartiles(seconds)
        per_case = (figures(value * 1e3) for value in (spread.low, spread.middle, spread.high))
        rows.append((words, *per_case, figures(sum(seconds))))
    whole = ratio(pairs)
    head = ("CPU time of a case, both precisions", "lower quartile, ms", "median, ms", "upper quartile, ms", "total, s")
    notes = (
        f"{len(common)} cases. Of {failed} the plain loop lowers not each precision; the time until then counts.",
        f"Total of the checks over total of the loop: {shown(whole)}. Of a single case, quartiles: {shown(of_each)}.",
    )
    goal = Goal("both whole checks, of the plain loop's time", "at most", WANTED, whole)
    return Findings((Table(head, tuple(rows)),), (goal,), notes)


SECTION = Section(
    name="floor",
    title="Lowering alone in a plain loop",
    wanted=(f"both whole checks: at most {WANTED:g} of the plain loop's time",),
    plan=plan,
    summarise=summarise,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--cases", type=int, default=60, help="cases, spread evenly over level smoke (default 60)")
    parser.add_argument("--block", default="1/1", help="I/N: the I-th of N blocks of them")
    options = parser.parse_args(arguments)
    number, of = map(int, options.block.split("/"))
    print(json.dumps(measure(options.side, options.cases, number - 1, of)))
