"""Collects the operator instances of the programs that the operator suite emits.

    python tests/mil/differential/harvest.py [--minutes N]

Cases are lowered, through the cache of lowered programs, and their programs run on the reference executor, which shows
every operation with the arguments it is given. Those of level `standard` come first, then those of level `full`, the
first sample of every function before the second of any, as far as the time allows; recipes take turns. Writes
`instances.jsonl.gz` beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mil_instances import Instance, describe, write

from harness.cases import opinfo
from harness.cases.case import Case, CaseFault
from harness.evidence.vocabulary import Level
from harness.lowering import speedups
from harness.lowering.cache import LoweringCache
from harness.lowering.lower import export
from harness.lowering.program import UnpackedDelegate
from harness.lowering.recipe import DEFAULT_RECIPES, Recipe
from harness.mil import Model, Operation, RunResult, TensorType
from harness.mil.program import Literal, ValueRef
from harness.mil.types import NUMPY
from harness.units.reference import OpenReference, ReferenceUnit
from harness.units.whole_program import run_program

PER_OPERATOR = 400  # of one operator type, beyond which another instance adds little


class _Watched:
    """A model that reports its operations with their arguments while it runs."""

    def __init__(self, model: Model, found: dict[str, Instance]) -> None:
        self._model = model
        self._found = found

    def run(self, inputs: Mapping[str, Any], **options: Any) -> RunResult:
        function = self._model.function()
        values: dict[str, Any] = {}
        for item in function.inputs:
            if isinstance(item.type, TensorType):
                values[item.name] = inputs[item.name].astype(NUMPY[item.type.dtype])
        constants = function.block.constants

        def resolve(argument: Any) -> tuple[Any, bool]:
            if isinstance(argument, Literal):
                return argument.value, True
            if isinstance(argument, ValueRef) and argument.name in constants:
                return constants[argument.name].value, True
            return values[argument.name], False

        def observe(operation: Operation, results: tuple[Any, ...]) -> None:
            try:
                arguments: dict[str, Any] = {}
                for name, argument in sorted(operation.inputs.items()):
                    if isinstance(argument, tuple):
                        arguments[name] = [describe(*resolve(a)) for a in argument]
                    else:
                        arguments[name] = describe(*resolve(argument))
                instance = Instance(operation.type, function.opset_version, arguments)
                self._found.setdefault(instance.key, instance)
            except (KeyError, ValueError):
                pass  # a state, a list or a large tensor: nothing that can be drawn again
            for output, result in zip(operation.outputs, results, strict=True):
                values[output.name] = result

        return self._model.run(inputs, observer=observe, **options)


class _Unit(ReferenceUnit):
    def __init__(self, found: dict[str, Instance]) -> None:
        super().__init__()
        self._found = found

    def open(self, delegate: UnpackedDelegate) -> OpenReference:
        opened = super().open(delegate)
        opened._model = _Watched(opened._model, self._found)  # type: ignore[assignment]
        return opened


def ordered_cases() -> list[Case]:
    """Level `standard` before `full`, and the first sample of every function before the second of any."""
    rank: Counter[tuple[bool, str]] = Counter()
    ranked = []
    for number, case in enumerate(opinfo.cases()):
        place = (case.level is Level.FULL, case.api)
        rank[place] += 1
        ranked.append((place[0], rank[place], number, case))
    return [case for *_, case in sorted(ranked, key=lambda row: row[:3])]


def collect(case: Case, recipe: Recipe, cache: LoweringCache, found: dict[str, Instance]) -> None:
    built = case.build()
    lowered = cache.lower(case.id, export(built), recipe)
    if lowered.program is None or not lowered.program.delegates:
        return
    try:
        run_program(lowered.program, _Unit(found), built.inputs)
    except Exception as error:  # what the program did until then is harvested; its fault is the suite's finding
        print(f"{case.id}@{recipe.name} stopped: {type(error).__name__}: {error}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="time after which no further case is begun")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    speedups.enable()
    found: dict[str, Instance] = {}
    cache = LoweringCache()
    ends = time.monotonic() + options.minutes * 60
    turns: Counter[str] = Counter()
    count = 0
    for case in ordered_cases():
        if time.monotonic() > ends:
            break
        count += 1
        recipe = Recipe.parse(DEFAULT_RECIPES[turns[case.api] % len(DEFAULT_RECIPES)])
        turns[case.api] += 1
        with contextlib.suppress(CaseFault):
            collect(case, recipe, cache, found)
    kept = limited(found.values())
    write(kept)
    print(f"{count} cases, {len(found)} instances, {len(kept)} kept of {len({i.op for i in kept})} operators")


def limited(instances: Iterable[Instance]) -> list[Instance]:
    """At most `PER_OPERATOR` of each operator, those seen first."""
    counts: Counter[str] = Counter()
    kept = []
    for instance in instances:
        counts[instance.op] += 1
        if counts[instance.op] <= PER_OPERATOR:
            kept.append(instance)
    return kept


if __name__ == "__main__":
    main()
