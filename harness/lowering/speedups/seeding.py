"""`torch.manual_seed` where there is nothing but a CPU to seed.

For each kind of accelerator that a process has not used yet, torch keeps a note of the seed with the stack of the
caller as text, three of them each time: half a millisecond, while OpInfo seeds for every sample it makes.
"""

from __future__ import annotations

import torch

_ACCELERATORS = (torch.cuda, torch.backends.mps, torch.xpu, torch.mtia)


def install() -> None:
    """Seed the CPU's generator alone, unless this machine has an accelerator that torch can use."""
    if not any(kind.is_available() for kind in _ACCELERATORS):  # type: ignore[attr-defined]
        torch.random._manual_seed_impl = _seed_the_cpu


def _seed_the_cpu(seed: int) -> torch.Generator:
    return torch.default_generator.manual_seed(int(seed))
