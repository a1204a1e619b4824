"""The index of calls that stand between a convolution and a linear layer, and of operators that have none, and why.

1. A call of `ane-seeds.txt`, written by hand, is taken as it stands.
2. Otherwise the operator's seed call, its first float32 tensor and those of the same shape given the shape of an image
   (`SHAPES`): of rank 4, else of the seed's rank, else as they are.
3. What eager PyTorch makes of it decides: a finite result that is no complex number and depends on that tensor.

`coreml-harness index ane` writes the table anew (half a minute); a test compares a part of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.cases import ane, generated
from harness.cases.ane import Row, fed
from harness.cases.calls import Call, TensorSpec, read_calls
from harness.cases.index.generated import UNINITIALISED, is_random, overload, results_of, seed_calls
from harness.evidence.names import OpName

#: Calls written by hand.
SEEDS = Path(__file__).parents[1].joinpath("ane-seeds.txt")
#: What stands for a tensor of each rank: 1024 values in 16 channels; their indices are exact in fp16.
SHAPES: dict[int, tuple[int, ...]] = {1: (64,), 2: (16, 64), 3: (1, 16, 64), 4: (1, 16, 8, 8), 5: (1, 4, 4, 8, 8)}
#: Value sets that no convolution gives: an infinity or a NaN times a weight of 0 is a NaN.
NOT_FINITE = ("special", "infinite")
OK = "ok"

#: Reasons, by what is true of the operator's schema or its seed call.
RANDOM = "draws random values"
MUTABLE = "writes to its arguments, which export replaces by its functional overload"
DATA_DEPENDENT = "the shape of its result depends on values"
NOT_INITIALISED = "its result is what memory holds"
NO_FLOAT = "takes no floating-point tensor that a convolution could give"
REFUSED = "its seed call takes no values from a convolution"
#: Reasons, by what eager makes of the call.
COMPLEX = "its result is complex"
EMPTY = "its result is empty"
NOT_NUMBERS = "its result is not finite"
CONSTANT = "its result does not depend on the values it is given"


def row_of(seed: Call, by_hand: Call | None = None) -> Row:
    """The operator's line of the index."""
    reason = reason_of_schema(seed) if by_hand is None else ""
    if reason:
        return Row(seed.op, left_out=reason)
    candidates = [by_hand] if by_hand is not None else list(candidates_of(seed))
    answers = results_of(candidates, asked=outcome_of)
    for call, answer in zip(candidates, answers, strict=True):
        if answer == OK:
            return Row(seed.op, call=str(call))
    return Row(seed.op, left_out=answers[-1] or REFUSED)


def reason_of_schema(seed: Call) -> str:
    """Why an operator cannot stand between the layers, as far as its schema and its arguments tell; or nothing."""
    import torch

    operator = overload(seed.op)
    if is_random(seed.op):
        return RANDOM
    if operator._schema.is_mutable:
        return MUTABLE
    if OpName.parse(seed.op).packet.startswith(UNINITIALISED):
        return NOT_INITIALISED
    if {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output} & set(operator.tags):
        return DATA_DEPENDENT
    return NO_FLOAT if fed(seed) is None else ""


def candidates_of(seed: Call) -> Iterator[Call]:
    """The seed call at the shapes of images, and as it is.

    >>> [str(call) for call in candidates_of(Call("aten.t.default", (TensorSpec("float32", (4, 3)),)))]
    ['aten.t.default(float32(1, 16, 8, 8))', 'aten.t.default(float32(16, 64))', 'aten.t.default(float32(4, 3))']
    """
    number = fed(seed)
    tensors = seed.tensors()
    assert number is not None
    before = tensors[number]
    plain = before.with_(layout="", values="" if before.values in NOT_FINITE else before.values)
    for shape in dict.fromkeys((SHAPES[4], SHAPES.get(len(before.shape), before.shape), before.shape)):

        def change(n: int, tensor: TensorSpec, shape: tuple[int, ...] = shape) -> TensorSpec:
            if n == number:
                tensor = plain
            alike = tensor.shape == before.shape and tensor.data is None
            return tensor.with_(shape=shape) if alike else tensor

        yield seed.map_tensors(change)


def outcome_of(call: Call) -> str:
    """`OK`, or why the call cannot stand between the layers; empty when eager refuses it."""
    import torch

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            operator, inputs = generated.module_and_inputs(call, seed=0)
            place = ane.place_of(call)

            def result(change: Callable[[torch.Tensor], torch.Tensor] = torch.clone) -> torch.Tensor:
                return ane.first(operator(*inputs[:place], change(inputs[place]), *inputs[place + 1 :]))

            plain = result()
            if plain.is_complex():
                return COMPLEX
            if not plain.numel():
                return EMPTY
            # Not every operator takes a NaN, but to some it alone makes a difference.
            changes = (torch.neg, lambda t: torch.full_like(t, torch.nan))
            if all(torch.equal(plain, result(change)) for change in changes):
                return CONSTANT
            built = ane.build(str(call))
            within = built.module(*built.inputs)
    except Exception:
        return ""
    return OK if bool(torch.isfinite(within).all()) else NOT_NUMBERS


def index_text(show: Callable[[str], None]) -> str:
    """The table as the installed torch gives it."""
    import torch

    seeds = seed_calls(torch.__version__)
    by_hand = {call.op: call for call in read_calls(SEEDS.read_text(encoding="utf-8"))}
    rows = []
    for number, op in enumerate(sorted(seeds), start=1):
        rows.append(row_of(seeds[op], by_hand.get(op)))
        show(f"{number} of {len(seeds)} operators")
    return ane.to_text(rows, torch.__version__)
