from __future__ import annotations

import pytest
import torch

from harness.lowering.speedups import seeding


@pytest.fixture(autouse=True)
def torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.random, "_manual_seed_impl", torch.random._manual_seed_impl)


def drawn(seed: int) -> tuple[torch.Tensor, object]:
    generator = torch.manual_seed(seed)
    return torch.rand(4), generator


def test_the_same_numbers_are_drawn() -> None:
    before = drawn(7)
    seeding.install()
    assert torch.random._manual_seed_impl is seeding._seed_the_cpu
    assert torch.equal(drawn(7)[0], before[0])
    assert drawn(7)[1] is before[1]
    assert not torch.equal(drawn(8)[0], before[0])
    assert torch.equal(drawn(-7)[0], drawn(-7)[0])


@pytest.mark.parametrize("kind", [torch.cuda, torch.backends.mps, torch.xpu, torch.mtia])
def test_an_accelerator_is_still_seeded(kind: object, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.random._manual_seed_impl
    monkeypatch.setattr(kind, "is_available", lambda: True)
    seeding.install()
    assert torch.random._manual_seed_impl is before
