"""A stand-alone script of one recorded call: for a limitation, which needs no script of its own to be believed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.evidence.names import OpName
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError
from harness.publish.calls import DTYPES, ShownTensor, Unread, read_call
from harness.publish.rendering import render

TEMPLATE = "call.py.j2"
#: Memory formats and layouts of torch, as a call shows them.
_FORMATS = "contiguous_format|preserve_format|channels_last(_3d)?|strided"
#: How a layout is made, of a tensor `x`.
_LAYOUTS: Mapping[str, Callable[[str], str]] = {
    "transposed": lambda x: f"{x}.transpose(-1, -2).contiguous().transpose(-1, -2)",
    "sliced": lambda x: f"{x}.repeat_interleave(2, dim=-1)[..., ::2]",
    "expanded": lambda x: f"{x}[:1].expand({x}.shape)",
    "channels_last": lambda x: f"{x}.contiguous(memory_format=torch.channels_last)",
    "channels_last_3d": lambda x: f"{x}.contiguous(memory_format=torch.channels_last_3d)",
}


def call_script(record: Record) -> str:
    """Python that lowers the operator of a record with the arguments it was called with, and prints what comes of it;
    values are drawn anew. Empty where the record's call cannot be read, or is no call of its operator."""
    call = read_call(record.call) if record.call else None
    name = OpName.parse(record.op)
    if call is None or not name.is_operator or call.function.rpartition(".")[2] != name.packet:
        return ""
    inputs: list[str] = []
    constants: list[str] = []

    def argument(value: Any) -> str:
        if isinstance(value, ShownTensor):
            if value.constant:
                constants.append(_drawn(value))
                return f"self.constant{len(constants) - 1}"
            inputs.append(_drawn(value))
            return f"x{len(inputs) - 1}"
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(map(argument, value)) + "]"
        if isinstance(value, Unread):
            return _unread(value)
        return repr(value)

    try:
        arguments = [argument(value) for value in call.args]
        arguments += [f"{key}={argument(value)}" for key, value in call.kwargs.items()]
    except HarnessError:
        return ""
    operator = f"torch.ops.{name}" if record.api == record.op else f"torch.ops.{name.packet_name}"
    try:
        specs = Recipe.parse(record.recipe).compile_specs
    except HarnessError:
        return ""
    return render(
        TEMPLATE,
        {
            "call": f"{operator}({', '.join(arguments)})",
            "inputs": inputs,
            "constants": constants,
            "specs": ", ".join(f"{key}={value}" for key, value in specs.items()),
        },
    )


def _unread(value: Unread) -> str:
    """Raises `HarnessError` for what is no value of its own: an attribute, a name, an object."""
    if value.text in ("inf", "-inf", "nan"):
        return f"float({value.text!r})"
    if re.fullmatch(rf"(torch\.)?({DTYPES}|{_FORMATS})", value.text):
        return f"torch.{value.text.removeprefix('torch.')}"
    raise HarnessError(f"{value.text}: not known outside its case")


def _drawn(tensor: ShownTensor) -> str:
    shape = ", ".join(map(str, tensor.shape))
    if "float" in tensor.dtype or "complex" in tensor.dtype:
        drawn = f"torch.randn({shape or '()'})"
        low, high = tensor.options.get("low"), tensor.options.get("high")
        if low is not None and high is not None:
            drawn = f"torch.rand({shape or '()'}) * {high - low!r} + {low!r}"
    elif tensor.dtype == "bool":
        drawn = f"torch.rand({shape or '()'}) > 0.5"
    else:
        low, high = tensor.options.get("low", 0), tensor.options.get("high", 1)
        drawn = f"torch.randint({int(low)}, {int(high) + 1}, ({shape}{',' if len(tensor.shape) == 1 else ''}))"
    if tensor.dtype not in ("float32", "bool"):
        drawn = f"({drawn}).to(torch.{tensor.dtype})"
    layout = _LAYOUTS.get(str(tensor.options.get("layout", "")))
    return f"(lambda x: {layout('x')})({drawn})" if layout else drawn
