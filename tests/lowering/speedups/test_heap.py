from __future__ import annotations

import gc

import pytest

from harness.lowering.speedups import heap


def test_the_heap_is_frozen_every_few_lowerings(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = []
    monkeypatch.setattr(heap, "freeze", lambda: frozen.append(monkeypatch.setattr(heap, "_since_freeze", 0)))
    monkeypatch.setattr(heap, "_since_freeze", 0)
    for _ in range(3 * heap.FREEZE_EVERY):
        heap.freeze_now_and_then()
    assert len(frozen) == 3


def test_garbage_is_collected_before_freezing() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me = self

    Cycle()
    heap.freeze()
    assert not any(type(o) is Cycle for o in gc.get_objects())
    assert gc.get_freeze_count() > 0
