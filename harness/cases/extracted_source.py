"""A Python file of cases from calls and blocks: each a function that `harness check` takes, and a reader can run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.cases.blocks import Block, numbered
from harness.cases.calls import Call, Name, Ref, TensorSpec, render, shown
from harness.cases.drawing import DEFAULT_RANGE
from harness.cases.tally import Tallied, Tally
from harness.evidence.names import OpName

#: What registers the operators of a namespace.
_IMPORTS = {
    "quantized_decomposed": "import torch.ao.quantization.fx._decomposed",
    "torchao": "import torchao",
    "quant": "import torchao",
}

_HEAD = '''
import torch
{imports}

def _tensor(dtype, *shape, low={low}, high={high}):
    """Values between low and high; floating-point ones are numbers of fp16 too."""
    values = torch.rand(shape, dtype=torch.float64) * (high - low) + low
    if dtype == torch.bool:
        return values > 0
    if dtype.is_floating_point:
        return values.to(torch.float16).to(dtype)
    if dtype.is_complex:
        return torch.complex(values, values.flip(-1) if shape else values).to(dtype)
    return values.round().to(dtype)


def _mask(dtype, *shape):
    """An attention mask: 0, or the lowest number of fp16."""
    return torch.where(torch.rand(shape) < 0.4, -65504.0, 0.0).to(dtype)
'''

_CASE = '''

def {name}():
    """{doc}"""
    torch.manual_seed({seed})

    class Module(torch.nn.Module):
{held}        def forward(self{inputs}):
{body}
            return {returned}

    return Module(), ({drawn})
'''

_HELD = """        def __init__(self):
            super().__init__()
{buffers}

"""


def source_of(tally: Tally, what: str) -> str:
    """The text of the file; `what` names where it was extracted from."""
    functions: list[str] = []
    counts: Counter[str] = Counter()
    operators = tally.operators()
    for op, calls in operators.items():
        for call in calls:
            name = _unique(OpName.parse(op).packet, counts)
            doc = f"{_line(shown(call.what))}\n\n    {_times(call)}."
            functions.append(_function(name, doc, alone(call.what), len(functions)))
    for block in tally.blocks.values():
        short = block.kind.rpartition(".")[2]
        name = _unique(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", short).lower(), counts)
        doc = f"A block: {_line(block.kind)}\n\n    {_times(block)}."
        functions.append(_function(name, doc, block.what, len(functions)))
    namespaces = {op.partition(".")[0] for op in (*operators, *_operators_in(tally.blocks.values()))}
    imports = "".join(f"{_IMPORTS[name]}\n" for name in sorted(namespaces & _IMPORTS.keys()))
    low, high = DEFAULT_RANGE
    told = f"{len(tally.calls)} distinct calls of {tally.total}, of {len(operators)} operators, and"
    head = f'"""Cases extracted from {what}: {told} {len(tally.blocks)} blocks."""\n'
    return "".join([head, _HEAD.format(imports=imports, low=low, high=high), *functions])


def _operators_in(blocks: Any) -> set[str]:
    return {call.op for tallied in blocks for call in tallied.what.calls.values()}


def alone(call: Call) -> Block:
    """A call as a block of one, its tensors by name."""
    tensors: dict[Ref, TensorSpec] = {}

    def named(leaf: Any) -> Any:
        if not isinstance(leaf, TensorSpec):
            return leaf
        ref = Ref(f"t{len(tensors)}")
        tensors[ref] = leaf
        return ref

    return numbered(tensors, {"result": call.map_leaves(named)}, (Ref("result"),))


def _unique(name: str, counts: Counter[str]) -> str:
    name = re.sub(r"\W", "_", name).strip("_") or "case"
    counts[name] += 1
    return f"{name}_{counts[name]}"


def _line(text: str, limit: int = 100) -> str:
    """In one line of a docstring."""
    text = text.replace("\\", "/").replace('"', "'")
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _times(tallied: Tallied[Any]) -> str:
    times = "Once" if tallied.count == 1 else f"{tallied.count} times"
    return f"{times} in {', '.join(tallied.programs)}"


def _function(name: str, doc: str, block: Block, seed: int) -> str:
    values = {value: f"self.{value}" for value in block.constants}
    body = "\n".join(f"            {result} = {_called(call, values)}" for result, call in block.calls.items())
    buffers = "\n".join(
        f'            self.register_buffer("{value}", {_drawn(tensor)})' for value, tensor in block.constants.items()
    )
    drawn = [_drawn(tensor) for tensor in block.inputs.values()]
    return _CASE.format(
        name=name,
        doc=doc,
        seed=seed,
        held=_HELD.format(buffers=buffers) if buffers else "",
        inputs="".join(f", {value}" for value in block.inputs),
        body=body,
        returned=", ".join(_value(ref, values) for ref in block.results),
        drawn=f"{drawn[0]}," if len(drawn) == 1 else ", ".join(drawn),
    )


def _called(call: Call, values: Mapping[str, str]) -> str:
    given = [_value(value, values) for value in call.args]
    given += [f"{name}={_value(value, values)}" for name, value in call.kwargs.items()]
    return f"torch.ops.{call.op}({', '.join(given)})"


def _value(value: Any, values: Mapping[str, str]) -> str:
    if isinstance(value, Ref):
        name = values.get(value.name, value.name)
        return name if value.index is None else f"{name}[{value.index}]"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item, values) for item in value)}]"
    if isinstance(value, Name):
        return f"torch.{value}"
    text = render(value)
    return f'float("{text}")' if text in ("inf", "-inf", "nan") else text


def _drawn(tensor: TensorSpec) -> str:
    dtype = f"torch.{tensor.dtype}"
    if tensor.data is not None:
        return f"torch.tensor({_value(tensor.data, {})}, dtype={dtype})"
    given: Sequence[str] = [dtype, *map(str, tensor.shape)]
    if tensor.values == "mask":
        return f"_mask({', '.join(given)})"
    if tensor.low is not None:
        given = [*given, f"low={tensor.low!r}", f"high={tensor.high!r}"]
    return f"_tensor({', '.join(given)})"
