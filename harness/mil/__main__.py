"""`python -m harness.mil run model.mlpackage inputs.npz`: run a model on arrays and print or keep its outputs;
`show` prints what a model holds.

Exit code 0 when it ran, 2 when it could not, with one line on stderr that says why.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.mil import MODES, WIDE, InputError, MilError, broken_rules, load


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.mil", description="Reader and interpreter of ML Programs.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a function of a model")
    run.add_argument("model", help=".mlpackage or .mlmodel")
    run.add_argument("inputs", help=".npz with an array for each input, by name")
    run.add_argument("--mode", choices=MODES, default=WIDE)
    run.add_argument("--function", help="the default one unless given")
    run.add_argument("--out", help="write the outputs to this .npz")
    show = commands.add_parser("show", help="print the functions of a model: types, operators, missing kernels")
    show.add_argument("model", help=".mlpackage or .mlmodel")
    options = parser.parse_args(arguments)
    try:
        return {"run": _run, "show": _show}[options.command](options)
    except (MilError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    model = load(options.model)
    try:
        with np.load(options.inputs, allow_pickle=False) as archive:
            inputs = {name: archive[name] for name in archive.files}
    except (ValueError, AttributeError, TypeError, EOFError) as error:
        raise InputError(f"{options.inputs}: not an .npz of plain arrays ({error})") from error
    # A state starts from zeros: a command line has nothing to carry it from one run to the next.
    state = model.make_state(options.function)
    result = model.run(inputs, options.function, options.mode, state or None)
    for name, value in result.outputs.items():
        array = np.asarray(value)
        print(f"{name}: {array.dtype}{list(array.shape)}")
        if not options.out:
            print(np.array2string(array, threshold=64))
    for item in result.diagnostics:
        print(f"note: {item.op_type} -> {item.output}: {item.kind}: {item.detail}", file=sys.stderr)
    if options.out:
        arrays: dict[str, Any] = {name: np.asarray(value) for name, value in result.outputs.items()}
        np.savez(options.out, **arrays)
    return 0


def _show(options: argparse.Namespace) -> int:
    model = load(options.model)
    for name, function in model.functions.items():
        print(f"function {name} ({function.opset})")
        flexible = {f.name: f", {f.flexibility}" for f in function.description.inputs if f.flexibility}
        for item in function.inputs:
            print(f"  in   {item.name}: {item.type}{flexible.get(item.name, '')}")
        for feature in function.description.outputs:
            print(f"  out  {feature.name}: {feature.data_type}{list(feature.shape)}")
        for op_type, count in model.op_counts(name).items():
            print(f"  {count:5d} {op_type}")
        missing = model.missing_kernels(name)
        if missing:
            print(f"  no kernel for {', '.join(missing)}")
    for broken in broken_rules(model.program):
        print(f"{'not loaded' if broken.certain else 'note'}: {broken}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
