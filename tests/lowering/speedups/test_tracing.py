from __future__ import annotations

from typing import Any

import pytest
import torch
import torch._decomp as decomp
from torch._decomp.decompositions_for_rng import PhiloxState
from torch._subclasses.fake_tensor import FakeTensorMode

from harness.lowering.speedups import tracing

TABLE = decomp._core_aten_decompositions_post_autograd
TABLE = getattr(TABLE, "__wrapped__", TABLE)
RESET = getattr(PhiloxState.reset, "__wrapped__", PhiloxState.reset)


@pytest.fixture(autouse=True)
def originals(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own, whatever an earlier test has installed."""
    monkeypatch.setattr(decomp, "_core_aten_decompositions_post_autograd", TABLE)
    monkeypatch.setattr(PhiloxState, "reset", RESET)


def test_the_table_is_torchs_and_the_callers_own() -> None:
    table = tracing.remembered(TABLE)
    first = table()
    assert first == TABLE()
    first.pop(torch.ops.aten.addr.default)
    assert table() == TABLE()


def test_a_decomposition_registered_later_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that the table asks for, and that torch had none for until then."""
    registry = decomp.global_decomposition_table["post_autograd"]
    own = registry[torch.ops.aten.addr.default]
    table = tracing.remembered(TABLE)
    monkeypatch.delitem(registry, torch.ops.aten.addr.default)
    assert torch.ops.aten.addr.default not in table()
    monkeypatch.setitem(registry, torch.ops.aten.addr.default, own)
    assert table()[torch.ops.aten.addr.default] is own


def test_a_decomposition_replaced_later_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    table = tracing.remembered(TABLE)
    assert table() == TABLE()
    monkeypatch.setitem(decomp.global_decomposition_table["post_autograd"], torch.ops.aten.addr.default, print)
    assert table()[torch.ops.aten.addr.default] is print


def states() -> list[tuple[Any, ...]]:
    """A state as it is begun, set, advanced and reset."""
    found = []
    state = PhiloxState()

    def look() -> None:
        fields = state.seed, state.base_offset, state.relative_offset
        found.append((*(str(value) for value in fields), state.offset_advanced_at_least_once))

    look()
    state.set_state(torch.tensor(3), torch.tensor(4))
    state.advance_offset(5)
    look()
    assert [int(value) for value in state.get_state_as_tuple()] == [3, 9]
    state.reset()
    look()
    with pytest.raises(AssertionError):
        state.validate_state()
    return found


def test_a_state_is_reset_to_the_same() -> None:
    plain = states()
    tracing.install()
    assert states() == plain
    assert plain[0] == plain[2] != plain[1]


def test_no_tensor_is_made_in_the_modes_of_a_trace() -> None:
    with FakeTensorMode():
        assert type(PhiloxState().seed) is not torch.Tensor
    tracing.install()
    with FakeTensorMode():
        assert type(PhiloxState().seed) is torch.Tensor


def test_installed_once() -> None:
    tracing.install()
    first = PhiloxState.reset, decomp._core_aten_decompositions_post_autograd
    tracing.install()
    assert first == (PhiloxState.reset, decomp._core_aten_decompositions_post_autograd)
    assert first != (RESET, TABLE)
