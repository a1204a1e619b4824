"""A `.pte` read back as what can be run: its delegates, and the kernel calls between them.

ExecuTorch's kernels write into tensors that it plans ahead (`aten::add.out`); here such a tensor is made before the
call, and the operator of that name is called with it in eager PyTorch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from harness.cases.case import Built, CaseFault
from harness.lowering.emitted import BACKEND, read
from harness.lowering.graph import UnplannableGraph
from harness.lowering.lower import Exported, Lowered, missing_kernels
from harness.lowering.program import (
    Delegate,
    DelegateCall,
    EagerCall,
    GetItem,
    Input,
    LoweredProgram,
    Reference,
    Step,
    TensorSpec,
    Value,
)


@dataclass(frozen=True)
class StoredDelegate:
    """A delegate of a `.pte`: the id of its backend, and what the runtime hands to that."""

    backend: str
    delegate: Delegate


@dataclass(frozen=True)
class StoredMethod:
    """A method of a `.pte`: its delegates, and in order what it calls, a delegate by number or an operator of
    ExecuTorch by name (`aten::add.out`). `inputs` are tensors, of which dtype and shape are told, and the numbers and
    None that it was made with. `missing_kernels` are operators that ExecuTorch's own registry lacks."""

    name: str
    inputs: tuple[TensorSpec | int | float | bool | str | None, ...]
    outputs: int
    delegates: tuple[StoredDelegate, ...]
    calls: tuple[int | str, ...]
    missing_kernels: tuple[str, ...]

    @property
    def islands(self) -> list[list[str]]:
        """The operators that are called between delegates, one run of them after the other."""
        found: list[list[str]] = []
        outside = True
        for call in self.calls:
            if isinstance(call, int):
                outside = True
                continue
            if outside:
                found.append([])
            found[-1].append(call)
            outside = False
        return found


class StoredProgram:
    """A `.pte` as it is stored: its methods by name. Raises `ValueError` in one line for bytes that are no program."""

    def __init__(self, pte: bytes) -> None:
        self.pte = pte
        self._file = read(pte)
        self._plans = {plan.name: plan for plan in self._file.program.execution_plan}
        self.methods = {name: self._method(plan) for name, plan in self._plans.items()}

    def program(self, method: str, inputs: Mapping[int, int]) -> LoweredProgram:
        """What there is to run of a method. `inputs` says how many inputs each delegate has by number: a call holds
        them and the results in one list.

        Raises `UnplannableGraph` for control flow, and for an operator that PyTorch here does not know.
        """
        return _Reader(self._file, self._plans[method], self.methods[method], inputs).program()

    def _method(self, plan: Any) -> StoredMethod:
        return StoredMethod(
            name=plan.name,
            inputs=tuple(_spec(value := plan.values[index].val) or _number(value) for index in plan.inputs),
            outputs=len(plan.outputs),
            delegates=tuple(map(self._delegate, plan.delegates)),
            calls=tuple(call for one in _instructions(plan) if (call := _called(plan, one)) is not None),
            missing_kernels=missing_kernels(SimpleNamespace(execution_plan=[plan])),
        )

    def _delegate(self, stored: Any) -> StoredDelegate:
        processed = bytes(self._file.program.backend_delegate_data[stored.processed.index].data)
        specs = tuple((spec.key, bytes(spec.value)) for spec in stored.compile_specs)
        shared, named = b"", self._file.named_data
        if stored.id == BACKEND and named is not None and (reference := Reference.parse(processed)):
            entry = named.pte_data.get(reference.key)
            shared = bytes(named.buffers[entry.buffer_index]) if entry is not None else b""
        return StoredDelegate(stored.id, Delegate(processed, (), (), {}, compile_specs=specs, shared=shared))


def stored_as_lowered(built: Built, exported: Exported) -> Lowered:
    """The `.pte` of a case as if it had been lowered here; `exported` is its module, which tells the operators.

    Raises `CaseFault` for a file that holds no such program.
    """
    try:
        stored = StoredProgram(built.stored)
        found = stored.methods[built.method]
        programs = stored.program(built.method, delegate_inputs(found))
    except (ValueError, KeyError, UnplannableGraph) as error:
        raise CaseFault(f"the .pte is not that of the case: {type(error).__name__}: {error}") from error
    return Lowered(programs, None, exported.ops, found.missing_kernels, built.stored)


def delegate_inputs(method: StoredMethod) -> dict[int, int]:
    """How many inputs each delegate has, as its package's metadata says."""
    counts = {}
    for number, stored in enumerate(method.delegates):
        with tempfile.TemporaryDirectory(prefix="coreml-harness-") as directory:
            counts[number] = len(stored.delegate.unpack(Path(directory)).input_names)
    return counts


class _Reader:
    def __init__(self, file: Any, plan: Any, method: StoredMethod, inputs: Mapping[int, int]) -> None:
        self._plan, self._method, self._counts = plan, method, inputs
        self._constants = [bytes(buffer.storage) for buffer in file.program.constant_buffer]
        self._delegates = [one.delegate for one in method.delegates]
        self._steps: list[Step] = []
        self._next = len(plan.values)

    def program(self) -> LoweredProgram:
        for call in _instructions(self._plan):
            kind = type(call).__name__
            if kind == "DelegateCall":
                self._delegate(call)
            elif kind == "KernelCall":
                self._kernel(call)
            elif kind == "MoveCall":
                self._steps.append(GetItem(Value(call.move_from), 0, Value(call.move_to)))
            elif kind != "FreeCall":
                raise UnplannableGraph(f"an instruction {kind}: control flow")
        users = list(self._plan.inputs)
        placeholders = [self._input(index, "user") for index in users]
        held = [i for i, value in enumerate(self._plan.values) if hasattr(value.val, "scalar_type") and i not in users]
        placeholders += [self._input(index, "constant", self._tensor(self._plan.values[index].val)) for index in held]
        outputs = tuple(self._argument(index) for index in self._plan.outputs)
        return LoweredProgram(
            tuple(placeholders), tuple(self._steps), outputs, tuple(self._delegates), method=self._method.name
        )

    def _input(self, index: int, kind: str, tensor: torch.Tensor | None = None) -> Input:
        return Input(f"value_{index}", Value(index), _spec(self._plan.values[index].val), kind, tensor)

    def _tensor(self, value: Any) -> torch.Tensor:
        """What a value begins as: a constant, or memory that the runtime planned."""
        dtype, sizes = _dtype(value.scalar_type), list(value.sizes)
        data = self._constants[value.data_buffer_idx] if 0 < value.data_buffer_idx < len(self._constants) else b""
        if data and 0 not in sizes:
            count = torch.Size(sizes).numel()
            found = torch.frombuffer(bytearray(data), dtype=dtype, count=count)
        else:
            found = torch.zeros(torch.Size(sizes).numel(), dtype=dtype)
        stored = [sizes[d] for d in value.dim_order]
        return found.reshape(stored).permute([list(value.dim_order).index(d) for d in range(len(sizes))])

    def _fresh(self) -> Value:
        self._next += 1
        return Value(self._next - 1)

    def _delegate(self, call: Any) -> None:
        number, count = call.delegate_index, self._counts[call.delegate_index]
        given, made = call.args[:count], call.args[count:]
        out = self._fresh()
        self._delegates[number] = replace(
            self._delegates[number],
            inputs=tuple(_spec(self._plan.values[index].val) for index in given),
            outputs=tuple(_spec(self._plan.values[index].val) for index in made),
        )
        self._steps.append(DelegateCall(number, tuple(map(self._argument, given)), out))
        self._steps += [GetItem(out, position, Value(index)) for position, index in enumerate(made)]

    def _kernel(self, call: Any) -> None:
        stored = self._plan.operators[call.op_index]
        namespace, _, name = stored.name.partition("::")
        target = f"{namespace}.{name}.{stored.overload or 'default'}"
        try:
            schema = getattr(getattr(getattr(torch.ops, namespace), name), stored.overload or "default")._schema
        except (AttributeError, RuntimeError) as error:
            raise UnplannableGraph(f"an operator {stored.name} that PyTorch here does not know") from error
        args, kwargs = [], {}
        for argument, index in zip(schema.arguments, call.args, strict=False):
            value = self._argument(index)
            if isinstance(value, int) and "ScalarType" in str(argument.type):
                value = _dtype(value)
            if argument.kwarg_only:
                kwargs[argument.name] = value
            else:
                args.append(value)
        # What it writes to is the value itself; what it returns are the same tensors.
        self._steps.append(EagerCall(target, tuple(args), kwargs, self._fresh()))

    def _argument(self, index: int) -> Any:
        """A tensor by reference, anything else as it is stored."""
        if index < 0:
            return None
        value = self._plan.values[index].val
        kind = type(value).__name__
        if hasattr(value, "scalar_type") or index in self._plan.inputs:
            return Value(index)
        if kind in ("Null", "Int", "Double", "Bool", "String"):
            return _number(value)
        if kind in ("IntList", "TensorList", "OptionalTensorList"):
            return [self._argument(item) for item in value.items]
        if kind in ("DoubleList", "BoolList"):
            return list(value.items)
        raise UnplannableGraph(f"a value of kind {kind}")


def _instructions(plan: Any) -> list[Any]:
    return [one.instr_args for chain in plan.chains for one in chain.instructions]


def _called(plan: Any, call: Any) -> int | str | None:
    kind = type(call).__name__
    if kind == "DelegateCall":
        return int(call.delegate_index)
    if kind == "KernelCall":
        operator = plan.operators[call.op_index]
        return f"{operator.name}.{operator.overload}" if operator.overload else str(operator.name)
    return None


def _spec(value: Any) -> TensorSpec | None:
    if not hasattr(value, "scalar_type"):
        return None
    return TensorSpec(str(_dtype(value.scalar_type)).removeprefix("torch."), tuple(value.sizes))


def _number(value: Any) -> Any:
    """The number or text of an `Int` and its like; None of a `Null`."""
    return next(iter(vars(value).values()), None)


def _dtype(number: int) -> torch.dtype:
    from executorch.exir.scalar_type import ScalarType
    from executorch.exir.tensor import get_scalar_type

    return get_scalar_type(ScalarType(number))
