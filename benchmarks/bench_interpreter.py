"""Time and peak memory of MobileNetV2 at 224 x 224, in eager PyTorch and on the reference unit, on one thread.

    python benchmarks/bench_interpreter.py [--repeat N]

The reference unit is timed from tensor to tensor with the package open, as eager is with the module built, the two
taking turns in one process; opening the package, once for each check, is given apart. Times are of the processor, so
that other work on the machine counts less. Memory is the largest resident set of a process that does one thing only:
imports alone, eager, or the reference unit, all with the same imports.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Nothing large is imported here: a child's largest resident set begins with that of the process it was started from.

RECIPES = ("fp32-ios18", "fp16-ios18")
MODES = ("wide", "exact")
MODEL = "model.mobilenet_v2"
TIME_FACTOR, MEMORY_FACTOR = 3.0, 1.5  # what the reference unit is allowed in mode `wide`, of eager's
RUNS_FOR_MEMORY = 3
MEMORY_REPEAT = 3


def prepare(folder: Path) -> dict[str, Any]:
    """Lower the model by each recipe; leave module, image, packages and output types in `folder`."""
    import torch

    from harness.cases import models
    from harness.evidence.recipe import Recipe
    from harness.lowering.lower import export, lower

    case = next(case for case in models.cases() if case.op == MODEL)
    built = case.build()
    torch.save(built.module, folder / "module.pt")
    torch.save(built.inputs[0], folder / "image.pt")
    exported = export(built)
    for name in RECIPES:
        program = lower(exported, Recipe.parse(name)).program
        if program is None or len(program.delegates) != 1:
            raise SystemExit(f"{name}: the model did not lower to one delegate")
        (folder / name).mkdir()
        torch.save((program.delegates[0].unpack(folder / name), program.delegates[0].outputs[0]), folder / f"{name}.pt")
    return {"weights": sum(p.numel() * p.element_size() for p in built.module.state_dict().values()) / 2**20}


def load_eager(folder: Path) -> Callable[[], Any]:
    import torch

    module, image = torch.load(folder / "module.pt", weights_only=False), torch.load(folder / "image.pt")

    def run() -> Any:
        with torch.no_grad():
            return module(image)

    return run


def load_reference(folder: Path, recipe: str, mode: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """How to open the package, and how to run the opened one."""
    import torch

    from harness.units.boundary import from_feature, to_feature
    from harness.units.reference import ReferenceUnit

    image = torch.load(folder / "image.pt")
    unpacked, spec = torch.load(folder / f"{recipe}.pt", weights_only=False)
    unit = ReferenceUnit(mode)
    opened = unit.open(unpacked)

    def run() -> Any:
        feature, _ = to_feature(image, opened.features[0])
        return from_feature(opened.predict([feature]).outputs[0], spec, "0")

    return functools.partial(unit.open, unpacked), run


def times(folder: Path, repeat: int) -> dict[str, float]:
    """Medians in milliseconds; every round runs each of the contestants once, after one round to warm up."""
    contestants: dict[str, Callable[[], Any]] = {"eager": load_eager(folder)}
    for recipe in RECIPES:
        for mode in MODES:
            opening, running = load_reference(folder, recipe, mode)
            contestants[f"{recipe} {mode}"] = running
            if mode == "wide":
                contestants[f"open {recipe}"] = opening
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeat + 1):
        for name, run in contestants.items():
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
    return {name: statistics.median(taken[1:]) * 1e3 for name, taken in seconds.items()}


def peak(folder: Path, what: str) -> dict[str, float]:
    """Largest resident set of this process in MB, after a few runs of `what`: `imports`, `eager` or a recipe."""
    if what == "eager":
        run = load_eager(folder)
    elif what != "imports":
        _, run = load_reference(folder, what, "wide")
    if what != "imports":
        for _ in range(RUNS_FOR_MEMORY):
            run()
    unit = 1 if sys.platform == "darwin" else 1024  # kilobytes but on macOS
    return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20}


def child(part: str, folder: str, repeat: int) -> Any:
    """What this script prints when run for one part, in a process of its own."""
    arguments = ["--repeat", str(repeat), "--part", part, folder]
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{part} failed")
    return json.loads(done.stdout.splitlines()[-1])


def run_part(what: str, folder: Path, repeat: int) -> Any:
    import logging

    import torch

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    if what == "prepare":
        return prepare(folder)
    from harness.cases.torchvision_ops import import_torchvision
    from harness.units import boundary, reference  # noqa: F401  (every process imports the same)

    import_torchvision()
    import torchvision.models  # noqa: F401

    return times(folder, repeat) if what == "time" else peak(folder, what)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=15, help="runs of which the median is given (default 15)")
    parser.add_argument("--part", nargs=2, metavar=("PART", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(run_part(options.part[0], Path(options.part[1]), options.repeat)))
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = child("prepare", folder, options.repeat)["weights"]
        taken = child("time", folder, options.repeat)
        peaks = {
            what: statistics.median(child(what, folder, 1)["peak"] for _ in range(MEMORY_REPEAT))
            for what in ("imports", "eager", *RECIPES)
        }
    print("\n".join(table(taken, peaks, weights)))


def table(taken: dict[str, float], peaks: dict[str, float], weights: float) -> list[str]:
    """The numbers as Markdown, and what they are held against."""
    eager_time, imports = taken["eager"], peaks["imports"]
    eager = peaks["eager"] - imports
    lines = [
        "| | milliseconds | of eager | opening | peak memory above imports, MB | whole process, MB |",
        "|---|---:|---:|---:|---:|---:|",
        f"| eager, float32 | {eager_time:.0f} | 1.0 | | {eager:.0f} | {peaks['eager']:.0f} |",
    ]
    for recipe in RECIPES:
        for mode in MODES:
            cost = taken[f"{recipe} {mode}"]
            memory = f"{peaks[recipe] - imports:.0f} | {peaks[recipe]:.0f}" if mode == "wide" else " | "
            opening = f"{taken[f'open {recipe}']:.0f}" if mode == "wide" else ""
            lines.append(f"| `{recipe}`, {mode} | {cost:.0f} | {cost / eager_time:.1f} | {opening} | {memory} |")
    slowest = max(taken[f"{recipe} wide"] for recipe in RECIPES) / eager_time
    largest = max(peaks[recipe] for recipe in RECIPES) - imports
    limit = MEMORY_FACTOR * eager + weights
    verdict = (
        f"Mode wide: {slowest:.2f} times eager's time (allowed {TIME_FACTOR:.0f}); {largest:.0f} MB above the imports "
        f"(allowed {MEMORY_FACTOR} x {eager:.0f} MB of eager + {weights:.0f} MB of weights = {limit:.0f} MB)."
    )
    return [*lines, "", verdict]


if __name__ == "__main__":
    main()
