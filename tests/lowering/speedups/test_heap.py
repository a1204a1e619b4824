from __future__ import annotations

import gc
import weakref

import pytest

from harness.lowering.speedups import heap


@pytest.fixture(autouse=True)
def counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_since_freeze", 0)
    monkeypatch.setattr(heap, "_since_thaw", 0)


class Cycle:
    def __init__(self) -> None:
        self.me = self


def test_the_heap_is_frozen_every_few_lowerings(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = []
    monkeypatch.setattr(heap, "freeze", lambda: frozen.append(monkeypatch.setattr(heap, "_since_freeze", 0)))
    for _ in range(3 * heap.FREEZE_EVERY):
        heap.freeze_now_and_then()
    assert len(frozen) == 3


def test_garbage_is_collected_before_freezing() -> None:
    gone = weakref.ref(Cycle())
    heap.freeze()
    assert gone() is None
    assert gc.get_freeze_count() > 0


def test_what_became_garbage_out_of_sight_is_collected_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "THAW_EVERY", 3 * heap.FREEZE_EVERY)
    kept = Cycle()
    gone = weakref.ref(kept)
    heap.freeze()
    del kept
    for _ in range(3 * heap.FREEZE_EVERY - 1):
        heap.freeze_now_and_then()
    assert gone() is not None
    heap.freeze_now_and_then()
    assert gone() is None
    assert gc.get_freeze_count() > 0
