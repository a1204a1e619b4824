"""A method of a `.pte`, interpreted: its values in planned memory, its operators by PyTorch's out variants.

Reads what ExecuTorch's own deserialiser gives. Memory is laid out as the file plans it, and starts as zeros, as in the
Python bindings of the runtime: a buffer whose first value the file does not hold begins with them.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

#: Numbers of ExecuTorch's errors (runtime/core/error.h).
NOT_SUPPORTED, INVALID_ARGUMENT, OPERATOR_MISSING, NOT_FOUND, INVALID_PROGRAM, DELEGATE_INVALID = (
    *(0x10, 0x12, 0x14, 0x20, 0x23, 0x30),
)
INTERNAL = 0x01

_STATIC, _BOUNDED = 0, 1
#: Operators of the runtime's own which are no operators of PyTorch, as far as they are played: the result is stored in
#: the value their last argument names.
_PRIMS: dict[str, Callable[..., Any]] = {
    "executorch_prim::add.Scalar": operator.add,
    "executorch_prim::sub.Scalar": operator.sub,
    "executorch_prim::mul.Scalar": operator.mul,
    "executorch_prim::floordiv.Scalar": operator.floordiv,
    "executorch_prim::mod.Scalar": operator.mod,
    "aten::sym_size.int": lambda tensor, dimension: tensor.shape[dimension],
}
_FIELDS = {"Int": "int_val", "Bool": "bool_val", "String": "string_val"}
_VIEW = "executorch_prim::et_view.default"


class RuntimeFailure(Exception):
    """An error number, and the lines the runtime logs before it gives up."""

    def __init__(self, number: int, *lines: str) -> None:
        super().__init__(number)
        self.number, self.lines = number, lines


def kernel_name(entry: Any) -> str:
    return f"{entry.name}.{entry.overload}" if entry.overload else entry.name


class Values:
    """The values of a plan, by index: tensors in planned memory, constants, numbers, lists of other values."""

    def __init__(self, file: Any, plan: Any) -> None:
        self._plan = plan
        arenas = [torch.zeros(size, dtype=torch.uint8) for size in plan.non_const_buffer_sizes]
        self._declared = [entry.val for entry in plan.values]
        self._held: dict[int, Any] = {}
        for index, value in enumerate(self._declared):
            if hasattr(value, "scalar_type"):
                self._held[index] = _tensor(value, arenas, file)

    def __getitem__(self, index: int) -> Any:
        if index in self._held:
            return self._held[index]
        value = self._declared[index]
        kind = type(value).__name__
        if kind in ("IntList", "TensorList"):
            return [self[item] for item in value.items]
        if kind == "OptionalTensorList":
            return [None if item < 0 else self[item] for item in value.items]
        if kind in ("BoolList", "DoubleList"):
            return list(value.items)
        if kind == "Double":
            return float(value.double_val)  # infinities are text in the file
        return getattr(value, _FIELDS[kind]) if kind in _FIELDS else None

    def __setitem__(self, index: int, value: Any) -> None:
        self._held[index] = value

    def declared(self, index: int) -> Any:
        return self._declared[index]

    def resize(self, index: int, shape: Sequence[int]) -> torch.Tensor:
        """Give a tensor the shape it has in this call; raises `RuntimeFailure` as the runtime does."""
        declared, shape = self._declared[index], tuple(shape)
        expected = tuple(declared.sizes)
        if len(expected) != len(shape):
            text = f"Attempted to change the tensor rank which is immutable: old={len(expected)}, new={len(shape)}"
            raise RuntimeFailure(NOT_SUPPORTED, text)
        if declared.shape_dynamism == _STATIC and shape != expected:
            text = f"Attempted to resize a static tensor. Expected shape {expected}, but received {shape}."
            raise RuntimeFailure(NOT_SUPPORTED, text)
        if declared.shape_dynamism == _BOUNDED and math.prod(shape) > math.prod(expected):
            capacity, wanted = math.prod(expected), math.prod(shape)
            text = f"Attempted to resize a bounded tensor with a maximum capacity of {capacity} elements to {wanted}"
            raise RuntimeFailure(NOT_SUPPORTED, f"{text} elements.")
        if self._held[index].shape != shape:
            # Within the memory planned for the largest: it was checked to suffice.
            self._held[index].as_strided_(shape, _strides(shape, declared.dim_order))
        return self._held[index]


def _tensor(declared: Any, arenas: Sequence[torch.Tensor], file: Any) -> torch.Tensor:
    dtype, sizes = torch_dtype(declared.scalar_type), tuple(declared.sizes)
    count = math.prod(sizes) * dtype.itemsize
    if declared.allocation_info is None:
        memory = _bytes(file.program.constant_buffer[declared.data_buffer_idx].storage, count)
    else:
        where = declared.allocation_info
        start = where.memory_offset_low | where.memory_offset_high << 32
        memory = arenas[where.memory_id][start : start + count]
        if memory.numel() != count:
            raise RuntimeFailure(INVALID_PROGRAM, f"{count} bytes at {start} are more than were planned")
        if declared.data_buffer_idx:
            memory.copy_(_bytes(file.mutable_data[declared.data_buffer_idx].storage, count))
    if not count:
        return torch.empty(sizes, dtype=dtype)
    return memory.view(dtype).as_strided(sizes, _strides(sizes, declared.dim_order))


def _bytes(data: bytes, count: int) -> torch.Tensor:
    return torch.frombuffer(bytearray(data[:count]), dtype=torch.uint8) if count else torch.empty(0, dtype=torch.uint8)


def _strides(sizes: Sequence[int], dim_order: Sequence[int]) -> tuple[int, ...]:
    strides, step = [0] * len(sizes), 1
    for dimension in reversed(dim_order):
        strides[dimension] = step
        step *= max(1, sizes[dimension])
    return tuple(strides)


@functools.cache
def torch_dtype(scalar_type: Any) -> torch.dtype:
    from executorch.exir.tensor import scalar_type_enum

    known = {getattr(torch, name) for name in dir(torch) if isinstance(getattr(torch, name), torch.dtype)}
    for dtype in known:
        try:
            if scalar_type_enum(dtype) == scalar_type:
                return dtype
        except (KeyError, RuntimeError, TypeError):
            continue
    raise RuntimeFailure(INVALID_PROGRAM, f"scalar type {scalar_type} is unknown")


def find_kernel(name: str) -> Callable[[Values, Sequence[int]], None]:
    """What a kernel call of this name does with the values its arguments name.

    Raises `NotImplementedError` for an operator that is not played.
    """
    if name == _VIEW:
        return lambda values, arguments: values.__setitem__(
            arguments[2], values[arguments[0]].reshape(values[arguments[1]])
        )
    if name in _PRIMS:
        function = _PRIMS[name]
        return lambda values, arguments: values.__setitem__(
            arguments[-1], function(*(values[index] for index in arguments[:-1]))
        )
    import executorch.exir  # noqa: F401  (registers dim_order_ops)

    namespace, _, rest = name.partition("::")
    packet, _, overload = rest.partition(".")
    try:
        found = getattr(getattr(getattr(torch.ops, namespace), packet), overload or "default")
    except AttributeError as error:
        raise NotImplementedError(f"the simulated runtime does not play {name}") from error
    return functools.partial(_call, found)


def _call(overload: Any, values: Values, arguments: Sequence[int]) -> None:
    """Arguments follow the schema; what is left of them names the results once more."""
    schema = overload._schema.arguments
    given = {argument.name: index for argument, index in zip(schema, arguments, strict=False)}
    written = [argument.name for argument in schema if argument.is_out]
    positional = [values[given[argument.name]] for argument in schema if not argument.kwarg_only]
    keywords = {argument.name: values[given[argument.name]] for argument in schema if argument.kwarg_only}
    fresh = {name: _like(keywords[name]) for name in written}
    with torch.no_grad():
        overload(*positional, **keywords | fresh)
    for name in written:
        for index, result in _pairs(values, given[name], fresh[name]):
            values.resize(index, result.shape).copy_(result)


def _like(value: Any) -> Any:
    """Memory of its own for a result: its shape is the operator's to say, the runtime's to accept."""
    if isinstance(value, list):
        return [_like(item) for item in value]
    return torch.empty(0, dtype=value.dtype)


def _pairs(values: Values, index: int, result: Any) -> list[tuple[int, torch.Tensor]]:
    if isinstance(result, list):
        return list(zip(values.declared(index).items, result, strict=True))
    return [(index, result)]
