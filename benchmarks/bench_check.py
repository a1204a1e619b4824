"""Time of one check (inputs, eager in float64, export, lower, execute, compare) against lowering alone in a plain loop.

    python benchmarks/bench_check.py [--cases N]

Each side runs in a fresh process, on one thread, after its imports and one lowering to warm up, over the same cases
and both default recipes. The plain side times `to_edge_transform_and_lower` alone, called in a loop as a script would.
The harness' side times `Checker.check` on the reference unit, with the speedups and without the cache: what a run of
the suite does for a case it has not seen.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

RECIPES = ("fp32-ios18", "fp16-ios18")
WARM_UP = "ops/aten.sin.default/float32/opinfo-0"

Timing = tuple[str, float, str]  # check, seconds, outcome


def chosen(count: int) -> list[Any]:
    """`count` cases spread evenly over level smoke."""
    from harness.cases import opinfo
    from harness.cases.case import at_level
    from harness.evidence.vocabulary import Level

    smoke = at_level(opinfo.cases(), Level.SMOKE)
    count = min(count, len(smoke))
    return [smoke[len(smoke) * i // count] for i in range(count)]


def plain(cases: Sequence[Any]) -> Iterator[Timing]:
    """`to_edge_transform_and_lower` alone, whether it succeeds or raises; cases that do not export are left out."""
    import torch
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner
    from executorch.exir import to_edge_transform_and_lower

    from harness.lowering.recipe import Recipe

    for case in cases:
        for recipe in RECIPES:
            try:
                built = case.build()
                exported = torch.export.export(built.module, built.inputs)
            except Exception:
                continue
            partitioner = CoreMLPartitioner(compile_specs=Recipe.parse(recipe).compile_specs())
            started = time.perf_counter()
            try:
                to_edge_transform_and_lower(exported, partitioner=[partitioner])
                outcome = "lowered"
            except Exception as error:
                outcome = type(error).__name__
            yield f"{case.id}@{recipe}", time.perf_counter() - started, outcome


def harness(cases: Sequence[Any]) -> Iterator[Timing]:
    """Whole checks; those settled before lowering are left out."""
    from harness.check import Checker
    from harness.evidence.vocabulary import UNJUDGED, Phase
    from harness.lowering import speedups
    from harness.lowering.recipe import Recipe

    speedups.enable()
    checker = Checker()
    for case in cases:
        for recipe in RECIPES:
            started = time.perf_counter()
            record = checker.check(case, Recipe.parse(recipe), "reference")
            seconds = time.perf_counter() - started
            if record.outcome not in UNJUDGED and record.phase is not Phase.EXPORT:
                yield f"{case.id}@{recipe}", seconds, str(record.outcome)


SIDES = {"plain": plain, "harness": harness}


def measure(side: str, count: int) -> list[Timing]:
    """One side, in this process."""
    import torch

    torch.set_num_threads(1)
    import executorch.backends.apple.coreml.partition
    import executorch.exir  # noqa: F401
    from torch.testing._internal.common_methods_invocations import op_db  # noqa: F401

    from harness.cases.find import find

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    cases = chosen(count)
    list(SIDES[side]([find(WARM_UP)]))
    return list(SIDES[side](cases))


def in_child(side: str, count: int) -> dict[str, tuple[float, str]]:
    command = [sys.executable, __file__, "--side", side, "--cases", str(count)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise SystemExit(f"{side}: exit code {result.returncode}\n{result.stderr[-2000:]}")
    return {check: (seconds, outcome) for check, seconds, outcome in json.loads(result.stdout.splitlines()[-1])}


def quartiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(seconds, n=4)
    return low, middle, high


def report(sides: dict[str, dict[str, tuple[float, str]]]) -> str:
    """Quartiles in milliseconds over the checks that both sides lowered or tried to."""
    common = [check for check in sides["plain"] if check in sides["harness"]]
    lines = [f"{len(common)} checks; milliseconds each, in one process, after imports"]
    lines.append(f"{'':44}{'lower quartile':>16}{'median':>10}{'upper quartile':>16}{'total':>10}")
    groups = [("", common)] + [(f", {recipe}", [c for c in common if c.endswith(recipe)]) for recipe in RECIPES]
    for suffix, checks in groups:
        medians = []
        for side, what in (("plain", "to_edge_transform_and_lower"), ("harness", "whole check")):
            seconds = [sides[side][check][0] for check in checks]
            low, middle, high = quartiles(seconds)
            medians.append(middle)
            row = f"{low * 1e3:16.0f}{middle * 1e3:10.0f}{high * 1e3:16.0f}{sum(seconds) * 1e3:10.0f}"
            lines.append(f"{what + suffix:44}{row}")
        lines.append(f"{'ratio of medians, check / lowering alone':44}{medians[1] / medians[0]:26.2f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=60, help="cases, spread evenly over level smoke (default 60)")
    parser.add_argument("--side", choices=SIDES, help="measure one side in this process and print its timings as JSON")
    options = parser.parse_args(arguments)
    if options.cases < 2:
        parser.error("--cases: at least 2")
    if options.side:
        print(json.dumps(measure(options.side, options.cases)))
    else:
        print(report({side: in_child(side, options.cases) for side in SIDES}))


if __name__ == "__main__":
    main()
