"""Collects the operator instances of the programs that the operator suite emits.

    python tests/mil/differential/harvest.py [--minutes N] [--cached] [--anew]

Cases are lowered, through the cache of lowered programs, and their programs run on the reference executor, which shows
every operation with the arguments it is given. Those of level `standard` come first, then those of level `full`, the
first sample of every function before the second of any, as far as the time allows; recipes take turns. `--cached`
adds the programs that earlier runs of the suites left in the cache; what is fed to those is drawn. Found instances are
added to `instances.jsonl.gz` beside this file, or replace it with `--anew`.
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
from mil_instances import FILE, Instance, describe, read, write

from harness.cases import opinfo
from harness.cases.case import Case, CaseFault
from harness.evidence.vocabulary import Level
from harness.lowering import speedups
from harness.lowering.cache import LoweringCache
from harness.lowering.lower import export
from harness.lowering.program import TensorSpec, UnpackedDelegate
from harness.lowering.recipe import DEFAULT_RECIPES, Recipe
from harness.mil import Model, Operation, RunResult, TensorType
from harness.mil.program import Literal, ValueRef
from harness.mil.types import NUMPY
from harness.units.reference import OpenReference, ReferenceUnit
from harness.units.whole_program import run_program

KEEP_EVERY = 200  # cases after which the file is written: one of them may take the process with it
LARGEST_ENTRY = 1 << 20  # bytes of a cached program: whole models are left out
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


def collect_cached(cache: LoweringCache, found: dict[str, Instance]) -> int:
    """Run every program in the cache; returns how many there were."""
    count = 0
    for path in sorted(cache.directory.glob("??/*")):
        lowered = cache._read(path)
        program = lowered.program if lowered is not None else None
        if program is None or not program.delegates or len(path.read_bytes()) > LARGEST_ENTRY:
            continue
        count += 1
        with contextlib.suppress(Exception):  # drawn integers need not be indices the program can take
            specs = [i.spec for i in program.inputs if i.kind == "user" and i.spec is not None]
            run_program(program, _Unit(found), [drawn_input(spec) for spec in specs])
    return count


def drawn_input(spec: TensorSpec) -> torch.Tensor:
    shape = [2 if d is None else d for d in spec.shape]
    if spec.torch_dtype.is_floating_point:
        return torch.randn(shape).to(spec.torch_dtype)
    return torch.randint(0, 2, shape).to(spec.torch_dtype)


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
    parser.add_argument("--cached", action="store_true", help="also the programs already in the cache")
    parser.add_argument("--anew", action="store_true", help="forget the instances found before")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    speedups.enable()
    found: dict[str, Instance] = {} if options.anew or not FILE.exists() else {i.key: i for i in read()}
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
        if count % KEEP_EVERY == 0:
            write(limited(found.values()))
    cached = collect_cached(cache, found) if options.cached else 0
    kept = limited(found.values())
    write(kept)
    print(f"{count} cases, {cached} cached programs: {len(found)} instances, {len(kept)} kept")


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
