"""The index of what models call: the calls of their exported programs, and the blocks that they are built of.

1. Every model of `models.MODELS` is built, exported and run on its inputs; each call is noted as `extraction` tells.
2. Equal calls are one, with the models that make it and how often; so are blocks of one structure.
3. `standard` takes of the calls of an operator that differ by sizes and ranges alone the smallest, and the blocks that
   are repeated, small, and no part of another one there; `full` takes all.

`coreml-harness index extracted` writes it anew (some minutes); a test compares a part of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from harness.cases.blocks import SIZES, Block, digest
from harness.cases.calls import Call, TensorSpec, leaves, render
from harness.cases.case import CaseFault
from harness.cases.index.generated import overload
from harness.cases.models import MODELS, Model, build
from harness.cases.tally import Tallied, Tally, traces
from harness.evidence.made_with import first_line, installed
from harness.evidence.vocabulary import HarnessError

#: The packages that the models come from.
PACKAGES = ("torchvision", "transformers", "timm", "diffusers", "executorch")
#: Elements of the largest tensor of a call, and of a block, at `standard`.
LARGEST_CALL, LARGEST_BLOCK = 2**17, 2**17
#: Signatures of one operator at `standard`: those that most calls have.
SIGNATURES = 8
#: Calls of a block at `standard`.
LONGEST_BLOCK = 40


def gathered(models: Iterable[Model], show: Callable[[str], None] = lambda text: None) -> tuple[Tally, dict[str, str]]:
    """What the models call, and by name of a model the reason why it has no part in it."""
    tally, left_out = Tally(), {}
    for model in models:
        show(model.name)
        try:
            for traced in traces(build(model)):
                tally.add(model.name, traced)
        except (HarnessError, CaseFault) as error:
            left_out[model.name] = str(error)
    return tally, left_out


def signature(call: Call) -> str:
    """A call but for sizes and ranges: the smallest that has it stands for the others."""
    names = [argument.name for argument in overload(call.op)._schema.arguments]
    given = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    return f"{call.op} {[(name, _kind(name, value)) for name, value in given.items()]}"


def _kind(name: str, value: Any) -> str:
    tensors = [leaf for leaf in leaves(value) if isinstance(leaf, TensorSpec)]
    if tensors:
        return " ".join(f"{t.dtype}{len(t.shape)}{t.values}{'c' if t.constant else ''}" for t in tensors)
    if name in SIZES:
        return str(len(value)) if isinstance(value, list) else ""
    return "number" if isinstance(value, float) and math.isfinite(value) else render(value)


def standard_calls(tally: Tally) -> set[str]:
    """Texts of the calls for `standard`."""
    chosen = set()
    for calls in tally.operators().values():
        groups: dict[str, list[Tallied[Call]]] = {}
        for tallied in calls:
            groups.setdefault(signature(tallied.what), []).append(tallied)
        counted = sorted(groups.items(), key=lambda group: (-sum(t.count for t in group[1]), group[0]))
        for _, alike in counted[:SIGNATURES]:
            smallest = min(alike, key=lambda t: (_elements(t.what), str(t.what)))
            if _elements(smallest.what) <= LARGEST_CALL:
                chosen.add(str(smallest.what))
    return chosen


def _elements(call: Call) -> int:
    return max((math.prod(tensor.shape) for tensor in call.tensors()), default=0)


def standard_blocks(tally: Tally) -> set[str]:
    """Structures of the blocks for `standard`: repeated, neither large nor long, and no part of another one there."""
    small = {
        structure: tallied
        for structure, tallied in tally.blocks.items()
        if tallied.count > 1 and tallied.what.elements <= LARGEST_BLOCK and len(tallied.what.calls) <= LONGEST_BLOCK
    }
    return {one for one in small if not any(_is_part(small[one], small[other]) for other in small if other != one)}


def _is_part(one: Tallied[Block], other: Tallied[Block]) -> bool:
    """Whether the models of a block have its operators in another block too, one after the other."""
    part, whole = (" ".join(["", *(call.op for call in t.what.calls.values()), ""]) for t in (one, other))
    return part in whole and part != whole and set(one.programs) <= set(other.programs)


def to_text(tally: Tally, left_out: dict[str, str], torch_version: str) -> str:
    """A line for each call, by operator and text, then for each block, by the type of its module."""
    standard, whole = standard_calls(tally), standard_blocks(tally)
    rows: list[dict[str, Any]] = [{"packages": installed(PACKAGES), "left_out": {**left_out, **tally.left_out}}]
    for text, call in sorted(tally.calls.items(), key=lambda item: (item[1].what.op, item[0])):
        rows.append(
            {
                "op": call.what.op,
                "dtype": call.what.dtype,
                "digest": digest(text),
                "level": "standard" if text in standard else "full",
                "count": call.count,
                "models": sorted(call.programs),
                "call": text,
            }
        )
    for structure, block in sorted(tally.blocks.items(), key=lambda item: (item[1].kind, item[0])):
        rows.append(
            {
                "module": block.kind,
                "dtype": next(iter(block.what.inputs.values())).dtype,
                "digest": structure,
                "level": "standard" if structure in whole else "full",
                "count": block.count,
                "models": sorted(block.programs),
                "lines": block.what.lines(),
            }
        )
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    return first_line({"torch": torch_version}) + "".join(f"{line}\n" for line in lines)


def index_text(show: Callable[[str], None]) -> str:
    """The index as the installed packages give it."""
    import torch

    return to_text(*gathered(MODELS, show), torch.__version__)
