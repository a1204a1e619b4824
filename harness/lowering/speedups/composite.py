"""Composite operators in `ExportedProgram.run_decompositions`: prepared once a process, not twice a lowering.

torch keeps composite operators whole, or decomposes them by Python, by giving each of some thousand operators another
table of kernels for as long as a program is traced, and takes them away again. Making those tables was 37 of 100 parts
of a check of a small operator, the same work for every program. Here torch's own function makes an operator's table
the first time; after that the tables are exchanged, as long as the operator's own table and the decomposition asked
for are what they were.

All three functions are private to torch. Their names are looked up on installation, so a torch without them fails at
once, and says which.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch._export.utils as export_utils
import torch.export.decomp_utils as decomp_utils
import torch.export.exported_program as exported_program
from torch._subclasses.fake_impls import op_implementations_dict as fake_rules

_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd

Override = Callable[[Mapping[Any, Any]], contextlib.AbstractContextManager[None]]


def install() -> None:
    """Put the three in the place of torch's, in every module that holds one by name."""
    listing = _memoised_listing(export_utils._collect_all_valid_cia_ops)
    decomposition = _memoised_decomposition(export_utils._get_decomp_for_cia)
    for module in (export_utils, decomp_utils, exported_program):
        for name, function in (("_collect_all_valid_cia_ops", listing), ("_get_decomp_for_cia", decomposition)):
            getattr(module, name)
            setattr(module, name, function)
    exported_program._override_composite_implicit_decomp = exchanging(  # type: ignore[assignment]
        exported_program._override_composite_implicit_decomp  # type: ignore[arg-type]
    )


def _memoised_listing(original: Callable[[], Any]) -> Callable[[], Any]:
    """The operators, from memory as long as none was registered since.

    torch does not cache it because libraries may register more; so the key is what the dispatcher holds now.
    """
    known: dict[Any, Any] = {}

    @functools.wraps(original)
    def listing() -> Any:
        registered = len(torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd"))
        key = (registered, len(torch.ops._dir))
        if key not in known:
            known.clear()
            known[key] = original()
            # Listing an operator for the first time materialises its namespace.
            known[(registered, len(torch.ops._dir))] = known[key]
        return known[key]

    return listing


def _memoised_decomposition(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An operator's own decomposition: one object, not an equal one each time, so that it can be recognised."""
    known: dict[Any, Any] = {}

    @functools.wraps(original)
    def decomposition(op: Any) -> Any:
        if _COMPOSITE in op.py_kernels:
            return original(op)  # a Python kernel, which is an object of its own
        if op not in known:
            known[op] = original(op)
        return known[op]

    return decomposition


@dataclass(frozen=True)
class _Prepared:
    """What torch makes of an operator with the kernels `before`: `kernels` and fake rule.

    The decomposition is kept, so that its address, by which this is found, is not given to another.
    """

    before: dict[Any, Any]
    decomposition: Any
    kernels: dict[Any, Any]
    size: int
    fake_rule: Any


def exchanging(original: Override) -> Override:
    """torch's `_override_composite_implicit_decomp`, remembering the table it made for each operator.

    On leaving, as torch does, an operator has its own table, nothing cached of its dispatch, and no fake rule.
    """
    known: dict[tuple[Any, int], _Prepared] = {}

    @contextlib.contextmanager
    def override(decompositions: Mapping[Any, Any]) -> Iterator[None]:
        own: list[tuple[Any, dict[Any, Any], _Prepared]] = []
        try:
            for op, decomposition in decompositions.items():
                kernels = op.py_kernels
                key = op, id(decomposition)
                prepared = known.get(key)
                if prepared is None or prepared.before != kernels:
                    prepared = known[key] = _prepare(original, op, decomposition)
                own.append((op, kernels, prepared))
                op.py_kernels = prepared.kernels
                op._dispatch_cache.clear()
                fake_rules.setdefault(op, prepared.fake_rule)
            yield
        finally:
            for op, kernels, prepared in own:
                op.py_kernels = kernels
                op._dispatch_cache.clear()
                fake_rules.pop(op, None)
                if len(prepared.kernels) != prepared.size:  # somebody registered more while it was in place
                    known.pop((op, id(prepared.decomposition)), None)

    return override


def _prepare(original: Override, op: Any, decomposition: Any) -> _Prepared:
    """Let torch make the table of one operator, and leave the operator as it was."""
    before = dict(op.py_kernels)
    rule = fake_rules.pop(op, None)
    with original({op: decomposition}):
        kernels, made = dict(op.py_kernels), fake_rules[op]
    if rule is not None:
        fake_rules[op] = rule
    return _Prepared(before, decomposition, kernels, len(kernels), made)
