"""Time of MobileNetV2 at 224 x 224 in eager PyTorch and on the reference unit, on one thread.

    python benchmarks/bench_interpreter.py [--repeat N]

The reference unit is timed from tensor to tensor with the package open, as eager is with the module built; opening
the package, once for each check, is given apart.
"""

from __future__ import annotations

import argparse
import functools
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RECIPES = ("fp32-ios18", "fp16-ios18")
MODES = ("wide", "exact")


def median_ms(function: Callable[[], Any], repeat: int) -> float:
    """Median of `repeat` calls after one to warm up, in milliseconds."""
    function()
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="runs of which the median is given (default 5)")
    options = parser.parse_args()

    import torch

    from harness.cases import models
    from harness.lowering.lower import export, lower
    from harness.lowering.recipe import Recipe
    from harness.units.boundary import from_feature, to_feature
    from harness.units.reference import ReferenceUnit

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    case = next(case for case in models.cases() if case.op == "model.mobilenet_v2")
    built = case.build()
    module, (image,) = built.module, built.inputs
    exported = export(built)
    with torch.no_grad():
        print(f"{'eager, float32':40}{median_ms(lambda: module(image), options.repeat):10.0f} ms")
    for name in RECIPES:
        program = lower(exported, Recipe.parse(name)).program
        if program is None or len(program.delegates) != 1:
            raise SystemExit(f"{name}: MobileNetV2 did not lower to one delegate")
        for mode in MODES:
            with tempfile.TemporaryDirectory() as directory:
                unpacked = program.delegates[0].unpack(Path(directory))
                unit = ReferenceUnit(mode)
                opening = median_ms(functools.partial(unit.open, unpacked), options.repeat)
                opened = unit.open(unpacked)
                spec = program.delegates[0].outputs[0]

                def predict(opened: Any = opened, spec: Any = spec) -> Any:
                    feature, _ = to_feature(image, opened.features[0])
                    return from_feature(opened.predict([feature]).outputs[0], spec, "0")

                label = f"reference unit, {name}, {mode}"
                print(f"{label:40}{median_ms(predict, options.repeat):10.0f} ms, opening {opening:.0f} ms")


if __name__ == "__main__":
    main()
