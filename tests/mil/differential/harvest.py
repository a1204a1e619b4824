"""Collects the operator instances of the programs that the operator suite emits.

    python tests/mil/differential/harvest.py                       write `instances.jsonl.gz` anew (about half an hour)
    python tests/mil/differential/harvest.py --check --op 'aten.[a-c]*'    is what these cases emit in that file?

PyTorch's OpInfo samples of levels `smoke` and `standard` are lowered, nothing cached, and their programs run on the
reference executor, which shows every operation with the arguments it is given. The default recipes take turns over the
samples of a function. The same packages and suites give the same file, byte for byte.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mil_instances import FILE, Instance, describe, read, write

from harness.cases import opinfo
from harness.cases.case import Case, CaseFault
from harness.evidence.recipe import DEFAULT_RECIPES, Recipe
from harness.evidence.vocabulary import Level
from harness.lowering import speedups
from harness.lowering.lower import export, lower
from harness.lowering.program import UnpackedDelegate
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


def chosen(op: str) -> Iterator[tuple[Case, Recipe]]:
    """The cases whose operator matches, each with its recipe, which does not depend on what else is chosen.

    The first sample of every function comes before the second of any, so that many functions share `PER_OPERATOR`."""
    turns: Counter[str] = Counter()
    rows = []
    for case in opinfo.cases():
        if case.level is not Level.FULL:
            rows.append((turns[case.api], case, Recipe.parse(DEFAULT_RECIPES[turns[case.api] % len(DEFAULT_RECIPES)])))
            turns[case.api] += 1
    for _, case, recipe in sorted(rows, key=lambda row: row[0]):
        if fnmatch(case.op, op):
            yield case, recipe


def collect(case: Case, recipe: Recipe, found: dict[str, Instance]) -> None:
    """Add what the program of a case has. Raises CaseFault."""
    built = case.build()
    with contextlib.redirect_stderr(io.StringIO()):  # progress bars
        lowered = lower(export(built), recipe)
    if lowered.program is None or not lowered.program.delegates:
        return
    try:
        run_program(lowered.program, _Unit(found), built.inputs)
    except Exception as error:  # what the program did until then is harvested; its fault is the suite's finding
        print(f"{case.id}@{recipe.name} stopped: {type(error).__name__}: {error}", file=sys.stderr)


def harvest(op: str = "*") -> list[Instance]:
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    speedups.enable()
    found: dict[str, Instance] = {}
    for case, recipe in chosen(op):
        # The packages seed nothing; what they draw (random operators) must not depend on the cases before.
        torch.manual_seed(0)
        np.random.seed(0)
        with contextlib.suppress(CaseFault):
            collect(case, recipe, found)
    return limited(found.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--op", metavar="GLOB", default="*", help="cases of these ATen operators alone")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when an instance is not in the file"
    )
    parser.add_argument("--out", type=Path, default=FILE, help="write to another file")
    options = parser.parse_args()
    if options.op != "*" and not options.check and options.out == FILE:
        parser.error("a part of the cases does not make the file: --check or --out")
    found = harvest(options.op)
    print(f"{len(found)} instances of {len({i.op for i in found})} operators")
    if not options.check:
        write(found, options.out)
        return 0
    unknown = unknown_to(found, read(options.out))
    print("\n".join(f"not in {options.out.name}: {instance}" for instance in unknown))
    return 1 if unknown else 0


def unknown_to(found: Iterable[Instance], kept: Iterable[Instance]) -> list[Instance]:
    """Instances that are not in the file; of an operator of which it holds as many as it may, none is missed."""
    lines = {instance.line: instance.op for instance in kept}
    full = {op for op, count in Counter(lines.values()).items() if count >= PER_OPERATOR}
    return [i for i in found if i.line not in lines and i.op not in full]


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
    sys.exit(main())
