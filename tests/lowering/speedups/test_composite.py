"""The exchange of tables against torch's own function: the same state inside, the same state after."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch._export.utils as utils
from torch._subclasses.fake_impls import op_implementations_dict as fake_rules
from torch.export import exported_program

from harness.lowering import speedups
from harness.lowering.speedups.composite import exchanging

COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
LINEAR, DROPOUT = torch.ops.aten.linear.default, torch.ops.aten.dropout.default


@pytest.fixture(scope="module", autouse=True)
def _enabled() -> None:
    speedups.enable()


class Counting:
    """torch's function, counting what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        current = exported_program._override_composite_implicit_decomp
        # The installed one keeps torch's in its closure.
        self.torchs = next(
            cell.cell_contents
            for cell in current.__wrapped__.__closure__
            if getattr(cell.cell_contents, "__name__", "") == "_override_composite_implicit_decomp"
        )

    @contextlib.contextmanager
    def __call__(self, decompositions: Any) -> Iterator[None]:
        self.asked += decompositions
        with self.torchs(decompositions):
            yield


def keep(*_args: Any, **_kwargs: Any) -> Any:
    return NotImplemented


def state(op: Any) -> tuple[dict[Any, str], str]:
    """Kernels by key and the fake rule, told by what they are: partials and closures are made anew by torch."""
    return {key: name(kernel) for key, kernel in op.py_kernels.items()}, name(fake_rules.get(op))


def name(function: Any) -> str:
    if isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", repr(function))


def test_inside_an_operator_is_what_torch_makes_of_it_and_after_it_what_it_was() -> None:
    torchs = Counting().torchs
    override = exchanging(torchs)
    decompositions = {LINEAR: keep, DROPOUT: utils._get_decomp_for_cia(DROPOUT)}
    with torchs(decompositions):
        expected = {op: state(op) for op in decompositions}
    before = {op: state(op) for op in decompositions}
    for _ in range(3):
        with override(decompositions):
            assert {op: state(op) for op in decompositions} == expected
            assert LINEAR.py_kernels[COMPOSITE] is keep
        assert {op: state(op) for op in decompositions} == before
        assert not LINEAR._dispatch_cache


def test_a_table_is_made_once_for_a_decomposition() -> None:
    counting = Counting()
    override = exchanging(counting)
    for _ in range(3):
        with override({LINEAR: keep}):
            pass
    assert counting.asked == [LINEAR]
    with override({LINEAR: utils._get_decomp_for_cia(LINEAR)}):
        assert LINEAR.py_kernels[COMPOSITE] is not keep
    assert counting.asked == [LINEAR, LINEAR]


def test_a_kernel_registered_since_is_seen() -> None:
    override = exchanging(Counting())
    with override({LINEAR: keep}):
        pass
    key = torch._C.DispatchKey.Meta
    assert key not in LINEAR.py_kernels
    LINEAR.py_impl(key)(keep)
    try:
        with override({LINEAR: keep}):
            assert LINEAR.py_kernels[key] is keep
    finally:
        del LINEAR.py_kernels[key]
        LINEAR._dispatch_cache.clear()
    with override({LINEAR: keep}):
        assert LINEAR.py_kernels.get(key) is not keep


def test_what_is_registered_inside_does_not_stay() -> None:
    override = exchanging(Counting())
    key = torch._C.DispatchKey.Functionalize
    with override({LINEAR: keep}):
        assert key not in LINEAR.py_kernels
        LINEAR.py_kernels[key] = keep
    assert key not in LINEAR.py_kernels
    with override({LINEAR: keep}):
        assert key not in LINEAR.py_kernels


def test_an_exception_inside_leaves_nothing() -> None:
    override = exchanging(Counting())
    before = state(LINEAR)
    with pytest.raises(ZeroDivisionError), override({LINEAR: keep}):
        1 / 0  # noqa: B018
    assert state(LINEAR) == before


def test_a_decomposition_is_one_object() -> None:
    assert utils._get_decomp_for_cia(DROPOUT) is utils._get_decomp_for_cia(DROPOUT)
    assert utils._get_decomp_for_cia(DROPOUT) is not utils._get_decomp_for_cia(LINEAR)


def test_the_listing_is_made_anew_when_an_operator_is_registered() -> None:
    before = utils._collect_all_valid_cia_ops()
    assert utils._collect_all_valid_cia_ops() is before
    library = torch.library.Library("harness_test", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: x + x, "CompositeImplicitAutograd")
    try:
        assert torch.ops.harness_test.twice.default in utils._collect_all_valid_cia_ops()
    finally:
        library._destroy()
    assert torch.ops.aten.linear.default in before
