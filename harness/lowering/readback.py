"""The emitted `.pte` written to a file, read back, and compared with what was lowered."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.lowering.emitted import BACKEND, COMPUTE_UNITS, read
from harness.lowering.program import Delegate, DelegateCall, GetItem, LoweredProgram, Reference, TensorSpec, Value


@contextlib.contextmanager
def written(pte: bytes) -> Iterator[Path]:
    """The program as a file, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="coreml-harness-") as directory:
        path = Path(directory) / "program.pte"
        path.write_bytes(pte)
        yield path


def read_back(path: Path, program: LoweredProgram, compute_unit: str = "") -> str | None:
    """What the file lost or changed, in one line; None when it holds the program.

    Compared are the extended header with the file's length, the method, its user's inputs and outputs (number, dtype,
    shape), and, for each call of a delegate in order, its backend, compile specs and bytes. `compute_unit` is the one
    the file was made for; empty for the one the program was lowered with.
    """
    data = path.read_bytes()
    try:
        file = read(data)
    except ValueError as error:
        return str(error)
    plans = {plan.name: plan for plan in file.program.execution_plan}
    if program.method not in plans:
        return f"the .pte has no method {program.method} (it has {', '.join(sorted(plans)) or 'none'})"
    plan = plans[program.method]
    return (
        _header_problem(data, program)
        or _delegates_problem(file, plan, program, compute_unit)
        or _inputs_problem(plan, program)
        or _outputs_problem(plan, program)
    )


def _header_problem(data: bytes, program: LoweredProgram) -> str | None:
    """The extended header, which says where the segments are; without one there are none."""
    from executorch.exir._serialize._program import _get_extended_header

    header = _get_extended_header(data)
    if header is None:
        return "the .pte has no extended header, so no delegate's data" if program.delegates else None
    if header.program_size > header.segment_base_offset:
        return f"the .pte's segments begin at {header.segment_base_offset}, inside its program of {header.program_size}"
    end = header.segment_base_offset + header.segment_data_size
    return None if end == len(data) else f"the .pte has {len(data)} bytes, its header speaks of {end}"


def _delegates_problem(file: Any, plan: Any, program: LoweredProgram, compute_unit: str) -> str | None:
    instructions = [step.instr_args for chain in plan.chains for step in chain.instructions]
    stored = [plan.delegates[call.delegate_index] for call in instructions if type(call).__name__ == "DelegateCall"]
    called = [step.delegate for step in program.steps if isinstance(step, DelegateCall)]
    if len(stored) != len(called):
        return f"the .pte calls {len(stored)} delegates, the program {len(called)}"
    for number, found in zip(called, stored, strict=True):
        expected = program.delegates[number]
        if found.id != BACKEND:
            return f"the .pte's delegate {number} is of backend {found.id}"
        if problem := _specs_problem(found.compile_specs, expected, compute_unit):
            return f"the .pte's delegate {number} {problem}"
        if bytes(file.program.backend_delegate_data[found.processed.index].data) != expected.processed:
            return f"the .pte does not hold delegate {number} of {len(program.delegates)}"
        if (reference := Reference.parse(expected.processed)) and _named(file, reference.key) != expected.shared:
            return f"the .pte does not hold the data {reference.key} that delegate {number} refers to"
    return None


def _specs_problem(found: list[Any], expected: Delegate, compute_unit: str) -> str | None:
    specs = dict(expected.compile_specs)
    if compute_unit:
        specs[COMPUTE_UNITS] = compute_unit.encode()
    stored = {spec.key: bytes(spec.value) for spec in found}
    differing = sorted(key for key in specs.keys() | stored.keys() if specs.get(key) != stored.get(key))
    return f"has {differing[0]} {stored.get(differing[0])!r}, not {specs.get(differing[0])!r}" if differing else None


def _named(file: Any, key: str) -> bytes:
    entry = file.named_data.pte_data.get(key) if file.named_data is not None else None
    return b"" if entry is None else bytes(file.named_data.buffers[entry.buffer_index])


def _inputs_problem(plan: Any, program: LoweredProgram) -> str | None:
    declared = [placeholder.spec for placeholder in program.inputs if placeholder.kind == "user"]
    if len(plan.inputs) != len(declared):
        return f"the .pte takes {len(plan.inputs)} inputs, the program {len(declared)}"
    return _first_difference("input", [plan.values[index].val for index in plan.inputs], declared)


def _outputs_problem(plan: Any, program: LoweredProgram) -> str | None:
    if len(plan.outputs) != len(program.outputs):
        return f"the .pte returns {len(plan.outputs)} values, the program {len(program.outputs)}"
    known = _result_specs(program)
    declared = [known.get(value.number) if isinstance(value, Value) else None for value in program.outputs]
    return _first_difference("output", [plan.values[index].val for index in plan.outputs], declared)


def _result_specs(program: LoweredProgram) -> dict[int, TensorSpec | None]:
    """What is declared of the inputs and of the delegates' results; a fallback operator declares nothing."""
    known = {placeholder.value.number: placeholder.spec for placeholder in program.inputs}
    calls = {step.out.number: step.delegate for step in program.steps if isinstance(step, DelegateCall)}
    for step in program.steps:
        if isinstance(step, GetItem) and step.source.number in calls:
            known[step.out.number] = program.delegates[calls[step.source.number]].outputs[step.index]
    return known


def _first_difference(what: str, stored: list[Any], declared: list[TensorSpec | None]) -> str | None:
    """A dynamic dimension is stored as its upper bound, and says nothing here."""
    from executorch.exir.tensor import scalar_type_enum

    for position, (value, spec) in enumerate(zip(stored, declared, strict=True)):
        if spec is None:
            continue
        if not hasattr(value, "scalar_type"):
            return f"the .pte's {what} {position} is no tensor"
        if value.scalar_type != scalar_type_enum(spec.torch_dtype):
            return f"the .pte's {what} {position} is of {value.scalar_type.name}, the program's of {spec.dtype}"
        fixed = [None if size is None else found for size, found in zip(spec.shape, value.sizes, strict=False)]
        if len(value.sizes) != len(spec.shape) or fixed != list(spec.shape):
            return f"the .pte's {what} {position} has shape {tuple(value.sizes)}, the program's {spec.shape}"
    return None
