"""Cases from PyTorch's OpInfo database: every entry, every sample, tensor arguments as program inputs.

Values are put on the fp16 grid, so that rounding the inputs to fp16 costs nothing and the error that is left is
the operator's own.
"""

from __future__ import annotations

import functools
import warnings
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from harness.cases.case import Built, Case, CaseFault, levels_at
from harness.cases.index.opinfo import Entry, packet_name, read_index
from harness.cases.index.sample_text import call_text, samples_of
from harness.evidence.environment import version_of
from harness.evidence.vocabulary import Kind, Level

if TYPE_CHECKING:
    import torch

SUITE = "ops"
#: Samples whose eager result depends on uninitialised memory, and only sometimes shows it: entry, option, value, why.
UNSTEADY = (
    ("linalg.lstsq", "driver", "gelsy", "eager's lstsq by LAPACK's gelsy gives another result from call to call"),
)


@functools.cache
def _index() -> tuple[Entry, ...]:
    return tuple(read_index(version_of("torch") or "-"))


def cases(level: Level = Level.FULL) -> tuple[Case, ...]:
    """Every sample that runs at `level`, entries in OpInfo's order. Makes no tensors.

    Raises `HarnessError` when there is no index for the installed torch.
    """
    return _at(level)


@functools.cache
def _at(level: Level) -> tuple[Case, ...]:
    levels = levels_at(level)
    return tuple(case for entry in _index() for case in _cases_of(entry, levels))


def _cases_of(entry: Entry, levels: frozenset[Level]) -> Iterator[Case]:
    """The entry's cases of these levels. There are 20,000 in all: what they share is made once."""
    if not entry.overloads:
        yield Case(
            id=f"{SUITE}/torch.{entry.full_name}/{entry.dtype}/opinfo-without-sample",
            kind=Kind.OPERATOR,
            op=f"torch.{entry.name}",
            api=entry.full_name,
            dtype=entry.dtype,
            origin="opinfo",
            level=Level.SMOKE,
            build=functools.partial(_no_sample, entry.note),
        )
    chosen = dict.fromkeys(entry.standard, Level.STANDARD)
    if entry.smoke is not None:
        chosen[entry.smoke] = Level.SMOKE
    if Level.FULL in levels:
        numbers: Iterable[int] = range(len(entry.overloads))
    else:
        numbers = sorted(number for number, level in chosen.items() if level in levels)
    api = entry.full_name
    stems = {overload: _stem(entry, overload) for overload in set(entry.overloads)}
    build_sample = functools.partial(build, entry.name, entry.variant, entry.dtype)
    for number in numbers:
        overload = entry.overloads[number]
        yield Case(
            id=f"{stems[overload]}{entry.labels[number]}",
            kind=Kind.OPERATOR,
            op=overload,
            api=api,
            dtype=entry.dtype,
            origin="opinfo",
            level=chosen.get(number, Level.FULL),
            build=functools.partial(build_sample, number),
        )
    if entry.constants is not None and Level.STANDARD in levels:
        overload = entry.overloads[entry.constants]
        yield Case(
            id=f"{stems[overload]}{entry.labels[entry.constants]}-constants",
            kind=Kind.OPERATOR,
            op=overload,
            api=api,
            dtype=entry.dtype,
            origin="opinfo",
            level=Level.STANDARD,
            build=functools.partial(build_sample, entry.constants, constants=True),
        )


def _stem(entry: Entry, overload: str) -> str:
    """The id of a sample but for its label: `opinfo-` at its end for the entry an overload is named after; the entry's
    name stands behind it where that is another one."""
    packet = overload.split(".")[1]
    own = packet_name(entry.name) == packet and not entry.variant
    return f"{SUITE}/{overload}/{entry.dtype}/opinfo-{'' if own else f'{entry.full_name}-'}"


def _no_sample(note: str) -> Built:
    raise CaseFault(note)


def build(name: str, variant: str, dtype: str, number: int, constants: bool = False) -> Built:
    """The sample at place `number` of the index as a module and its inputs.

    Raises `CaseFault` when OpInfo cannot make it. With `constants` all tensors but the first are buffers of the module,
    as the weights of a layer are.
    """
    import torch
    from torch.utils import _pytree as pytree

    op = _entries()[name, variant]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            sample = _samples(name, variant, dtype)[number]
        except Exception as error:
            raise CaseFault(f"OpInfo's sample generator raised {type(error).__name__}: {error}") from None
    for entry, option, value, reason in UNSTEADY:
        if name == entry and sample.kwargs.get(option) == value:
            raise CaseFault(reason)
    call = call_text(name.removeprefix("nn.functional."), sample)
    seed = zlib.crc32(f"{name}.{variant}.{dtype} {call}".encode())
    leaves, spec = pytree.tree_flatten((sample.input, sample.args, sample.kwargs))
    tensors = tuple(leaf.detach() for leaf in leaves if isinstance(leaf, torch.Tensor))
    if any(t.layout is not torch.strided for t in tensors):
        raise CaseFault("a sparse tensor is no input of a Core ML program")
    tensors = tuple(on_fp16_grid(tensor) for tensor in tensors)
    arguments = [_Slot() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
    held = tensors[1:] if constants else ()
    return Built(_module(op.op, arguments, spec, held), tensors[: len(tensors) - len(held)], seed, call=call)


@functools.lru_cache(maxsize=2)
def _samples(name: str, variant: str, dtype: str) -> tuple[Any, ...]:
    """All samples of an entry, which its neighbours in a run need too.

    The generator is run to its end: half-way it holds torch's grad mode, and when it is collected later, in the middle
    of a trace, it switches that.
    """
    import torch

    return tuple(samples_of(_entries()[name, variant], getattr(torch, dtype)))


class _Slot:
    """Where a tensor goes among the arguments."""


@functools.cache
def _entries() -> dict[tuple[str, str], Any]:
    from torch.testing._internal.common_methods_invocations import op_db

    return {(op.name, op.variant_test_name): op for op in op_db}


def _module(
    function: Any, arguments: list[Any], spec: Any, constants: tuple[torch.Tensor, ...] = ()
) -> torch.nn.Module:
    import torch
    from torch.utils import _pytree as pytree

    class Operator(torch.nn.Module):
        """Calls the operator on its inputs, the constants, and the arguments that are not tensors."""

        def __init__(self) -> None:
            super().__init__()
            for number, constant in enumerate(constants):
                self.register_buffer(f"constant{number}", constant)

        def forward(self, *tensors: torch.Tensor) -> Any:
            supply = iter((*tensors, *self.buffers()))
            filled = [next(supply) if isinstance(a, _Slot) else a for a in arguments]
            first, args, kwargs = pytree.tree_unflatten(filled, spec)
            result = function(first, *args, **kwargs)
            # torch's named results (`torch.return_types.min`) are no part of what is asked of the backend here.
            return tuple(result) if type(result).__module__ == "torch.return_types" else result

    return Operator().eval()


def on_fp16_grid(tensor: torch.Tensor) -> torch.Tensor:
    """A copy with every floating value rounded to fp16, saturating, in the tensor's own dtype and layout.

    Strides are kept; a tensor that broadcasts (stride 0) is made whole.
    """
    import torch

    if tensor.is_complex():
        return (
            torch.view_as_complex(on_fp16_grid(torch.view_as_real(tensor.resolve_conj()))) if tensor.numel() else tensor
        )
    if not tensor.is_floating_point() or tensor.dtype is torch.float16 or tensor.dtype.itemsize == 1:
        return tensor.clone()
    # bfloat16 lacks the digits for fp16's largest number: rounded up it would be infinite in fp16.
    largest = 65280.0 if tensor.dtype is torch.bfloat16 else torch.finfo(torch.float16).max
    finite = torch.isfinite(tensor)
    rounded = torch.where(finite, tensor.clamp(-largest, largest), tensor).to(torch.float16).to(tensor.dtype)
    result = tensor.clone()
    result.copy_(rounded)
    return result
