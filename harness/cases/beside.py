"""Operators that make a program only beside others, because no check can compare what they give by themselves.

A number, an assertion, uninitialised memory, a tensor of a quantized dtype: each stands in a smallest program with it.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from harness.cases.case import Built, Case
from harness.evidence.vocabulary import Kind, Level

if TYPE_CHECKING:
    import torch

SUITE = "ops"


def _number_times_tensor(aten: Any, number: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    return tensor * aten._local_scalar_dense.default(number)


def _item_times_tensor(aten: Any, number: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    return tensor * aten.item.default(number)


def _checked(aten: Any, number: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    aten._assert_async.msg(number > 0, "the number is positive")
    return tensor + number


def _checked_number(aten: Any, number: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    aten._assert_scalar.default(number.item() > 0, "the number is positive")
    return tensor + number


def _of_known_dtype(aten: Any, number: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    aten._assert_tensor_metadata.default(tensor, dtype=tensor.dtype)
    return tensor + number


def _in_range(aten: Any, number: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    value = number.item()
    aten.sym_constrain_range.default(value, min=0, max=5)
    return tensor * value


def _in_range_of_sizes(aten: Any, number: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    value = number.item()
    aten.sym_constrain_range_for_size.default(value, min=0, max=5)
    return tensor * value


def _times_its_rows(aten: Any, tensor: torch.Tensor) -> torch.Tensor:
    return tensor * aten.sym_size.int(tensor, 0)


def _copied_to_new_memory(aten: Any, tensor: torch.Tensor) -> torch.Tensor:
    return aten.copy.default(aten.empty.memory_format([2, 3]), tensor) + 1


def _quantized_and_back(aten: Any, tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return aten.dequantize.self(aten.quantize_per_tensor.default(tensor, 0.125, 3, torch.quint8))


def _quantized_by_channel_and_back(aten: Any, tensor: torch.Tensor) -> torch.Tensor:
    import torch

    scales, zeros = torch.tensor([0.125, 0.25]), torch.tensor([0, 1])
    return aten.dequantize.self(aten.quantize_per_channel.default(tensor, scales, zeros, 0, torch.qint8))


#: Operator, and the program it stands in: a function of ATen's namespace and the program's inputs, which are a tensor,
#: or a whole number and a tensor.
PROGRAMS: dict[str, Callable[..., torch.Tensor]] = {
    "aten._assert_async.msg": _checked,
    "aten._assert_scalar.default": _checked_number,
    "aten._assert_tensor_metadata.default": _of_known_dtype,
    "aten._local_scalar_dense.default": _number_times_tensor,
    "aten.item.default": _item_times_tensor,
    "aten.quantize_per_channel.default": _quantized_by_channel_and_back,
    "aten.quantize_per_tensor.default": _quantized_and_back,
    "aten.sym_constrain_range.default": _in_range,
    "aten.sym_constrain_range_for_size.default": _in_range_of_sizes,
    "aten.sym_size.int": _times_its_rows,
    "dim_order_ops._empty_dim_order.default": _copied_to_new_memory,
}
#: Operators whose program has a dynamic first dimension.
DYNAMIC = ("aten.sym_size.int",)


@functools.cache
def cases() -> tuple[Case, ...]:
    """A case an operator. Makes no tensors."""
    return tuple(
        Case(
            id=f"{SUITE}/{op}/float32/beside-{function.__name__.strip('_').replace('_', '-')}",
            kind=Kind.OPERATOR,
            op=op,
            api=op,
            dtype="float32",
            origin="beside",
            level=Level.STANDARD,
            build=functools.partial(build, op),
        )
        for op, function in PROGRAMS.items()
    )


def build(op: str) -> Built:
    """The program of an operator and its inputs."""
    import torch

    function = PROGRAMS[op]
    seed = zlib.crc32(op.encode())
    generator = torch.Generator().manual_seed(seed)

    class Program(torch.nn.Module):
        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return function(torch.ops.aten, *inputs)

    tensor = torch.randn(2, 3, generator=generator).half().float()
    inputs = (torch.tensor(3), tensor) if function.__code__.co_argcount > 2 else (tensor,)
    rows = ({0: torch.export.Dim("rows", min=1, max=8)},)
    return Built(Program().eval(), inputs, seed, dynamic_shapes=(rows,) if op in DYNAMIC else None)
