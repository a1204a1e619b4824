"""Seed calls harvested from OpInfo: what its samples come down to, overload by overload, as calls in text.

Each sample is run three ways: as the graph before dispatch (composite operators still whole), through the
dispatcher (what eager runs), and decomposed to Core ATen. Of all calls seen of an overload the plainest is kept:
tensors of ordinary size and rank, few arguments away from their defaults.

Cases are named after their seed call, so an operator keeps the one it has for as long as eager takes it, whatever
samples come and go: `coreml-harness index harvest` looks for calls of the others.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from harness.cases.calls import Call, Name, TensorSpec, read_calls
from harness.cases.index.generated import HARVEST_PATH, results_of
from harness.cases.index.opinfo import read_index
from harness.cases.opinfo import _entries, _samples
from harness.evidence.made_with import first_line
from harness.evidence.universe import read_universe

#: Integer tensors up to this many elements are kept as they are: indices must fit what they index.
_LITERAL = 24
#: Arguments that say where a tensor is made, which is no part of a case.
_PLACEMENT = ("device", "layout", "pin_memory")
_HEAD = """\
# The plainest call of each operator that OpInfo's samples come down to.
# Written by: coreml-harness index harvest
"""


def harvest(universe: Collection[str], kept: Iterable[Call], show: Callable[[str], None]) -> list[Call]:
    """A call of each overload of `universe`, sorted by name: that of `kept` where eager takes it, otherwise the
    plainest that some OpInfo sample comes down to, where one does."""
    import torch

    kept = [call for call in kept if call.op in universe]
    standing = {call.op: call for call, result in zip(kept, results_of(kept), strict=True) if result}
    missing = set(universe) - set(standing)
    best: dict[str, tuple[tuple[Any, ...], Call]] = {}
    entries = [entry for entry in read_index(torch.__version__) if entry.overloads]
    for number, entry in enumerate(entries, start=1):
        show(f"{number} of {len(entries)} entries")
        for sample_number in entry.standard:
            for call in _calls_of(entry.name, entry.variant, entry.dtype, sample_number):
                if call.op in missing:
                    rank = (*_plainness(call), number, sample_number)
                    if call.op not in best or rank < best[call.op][0]:
                        best[call.op] = rank, call
    found = standing | {op: call for op, (_, call) in best.items()}
    return [found[op] for op in sorted(found)]


def _plainness(call: Call) -> tuple[Any, ...]:
    """Smaller is plainer."""
    tensors = call.tensors()
    sizes = [math.prod(t.shape) for t in tensors]
    options = len(call.args) + len(call.kwargs)
    return (
        not tensors and not call.args,
        any(size == 0 for size in sizes),
        any(size > 2000 for size in sizes),
        bool(tensors) and "float" not in tensors[0].dtype and not _takes_integers(call.op),
        bool(tensors) and not 2 <= len(tensors[0].shape) <= 4,
        any(size < 2 for size in sizes),
        options,
        sum(sizes) < 6,
        len(tensors),
    )


def _takes_integers(op: str) -> bool:
    return "bitwise" in op or "embedding" in op or "one_hot" in op


def _calls_of(name: str, variant: str, dtype: str, number: int) -> Iterator[Call]:
    import torch
    from torch._decomp import core_aten_decompositions
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.utils import _pytree as pytree

    found: list[Call] = []
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            op = _entries()[name, variant]
            sample = _samples(name, variant, dtype)[number]
            leaves, spec = pytree.tree_flatten((sample.input, sample.args, sample.kwargs))
            tensors = [leaf.detach() for leaf in leaves if isinstance(leaf, torch.Tensor)]
        except Exception:
            return

        def function(*values: Any) -> Any:
            supply = iter(values)
            filled = [next(supply) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
            first, args, kwargs = pytree.tree_unflatten(filled, spec)
            return op.op(first, *args, **kwargs)

        class Watch(torch.fx.Interpreter):
            def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
                _note(found, target, args, kwargs)
                return super().call_function(target, args, kwargs)

        for options in ({"pre_dispatch": True}, {}, {"decomposition_table": core_aten_decompositions()}):
            try:
                graph = make_fx(function, **options)(*tensors)  # type: ignore[arg-type]
                Watch(graph).run(*tensors)
            except Exception:  # not traceable: the other ways may be
                continue
    yield from found


def _note(found: list[Call], target: Any, args: Any, kwargs: Any) -> None:
    import torch

    if not isinstance(target, torch._ops.OpOverload):
        return
    parameters = target._schema.arguments
    # Before dispatch a number may stand where the schema has a tensor.
    if any(str(p.type) == "Tensor" and not isinstance(a, torch.Tensor) for p, a in zip(parameters, args, strict=False)):
        return
    defaults = {p.name: p.default_value for p in parameters if p.has_default_value()}
    given = {k: v for k, v in kwargs.items() if k not in _PLACEMENT and not (k in defaults and v == defaults[k])}
    try:
        found.append(Call(str(target), tuple(map(_argument, args)), {k: _argument(v) for k, v in given.items()}))
    except ValueError:
        return


def _argument(value: Any) -> Any:
    """An argument as a call has it; ValueError for what has no text (a device, a generator, a sparse tensor)."""
    import torch

    if isinstance(value, torch.Tensor):
        return _spec(value)
    if isinstance(value, (list, tuple)):
        return [_argument(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str, complex)):
        return value
    if isinstance(value, (torch.dtype, torch.memory_format, torch.layout)):
        return Name(str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return None
    raise ValueError(str(type(value)))


def _spec(tensor: Any) -> TensorSpec:
    """Dtype, shape and domain: small integer tensors as they are, floats by the range they seem to live in."""
    import torch

    if tensor.layout is not torch.strided:
        raise ValueError("sparse")
    dtype, shape = str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)
    if tensor.is_complex() or tensor.dtype == torch.bool or not tensor.numel():
        return TensorSpec(dtype, shape)
    if not tensor.is_floating_point():
        if shape and tensor.numel() <= _LITERAL:
            return TensorSpec(dtype, shape, data=_frozen(tensor.tolist()))
        return TensorSpec(dtype, shape, int(tensor.min()), int(tensor.max()))
    finite = tensor[torch.isfinite(tensor)].double()
    if not finite.numel():
        return TensorSpec(dtype, shape)
    low, high = float(finite.min()), float(finite.max())
    for domain in ((0.0, 1.0), (-1.0, 1.0)):
        if domain[0] <= low and high <= domain[1] and tensor.numel() > 3:
            return TensorSpec(dtype, shape, *domain)
    return TensorSpec(dtype, shape, 0.25, 4.0) if low > 0 and tensor.numel() > 3 else TensorSpec(dtype, shape)


def _frozen(data: Any) -> Any:
    return tuple(_frozen(d) for d in data) if isinstance(data, list) else data


def index_text(show: Callable[[str], None]) -> str:
    """The seed calls as the installed torch gives them, by the indexes of operators and samples."""
    import torch

    kept = read_calls(HARVEST_PATH.read_text(encoding="utf-8")) if HARVEST_PATH.exists() else []
    calls = harvest(read_universe().operators, kept, show)
    return first_line({"torch": torch.__version__}, comment=True) + _HEAD + "".join(f"{call}\n" for call in calls)
