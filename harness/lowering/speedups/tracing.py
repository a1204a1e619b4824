"""What each trace of a program begins with and is always the same: made once a process.

`run_decompositions` starts from a table of two hundred decompositions, for which torch sorts its whole registry each
time, and resets the state of the random numbers of CUDA before and after: six empty tensors, which within a trace pass
through all of its modes. Of each hundred parts of a small operator's check the tensors were three, the table one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch._decomp as decomp
from torch._decomp.decompositions_for_rng import PhiloxState


def install() -> None:
    """Put both in the place of torch's; calling it again does nothing."""
    if not hasattr(decomp._core_aten_decompositions_post_autograd, "__wrapped__"):
        decomp._core_aten_decompositions_post_autograd = remembered(decomp._core_aten_decompositions_post_autograd)
        PhiloxState.reset = resetting(PhiloxState.reset)  # type: ignore[method-assign]


def remembered(original: Callable[[], dict[Any, Any]]) -> Callable[[], dict[Any, Any]]:
    """The decompositions, a dictionary of the caller's own, as long as torch's registry has the same ones."""
    known: dict[Any, Any] = {}
    size = 0

    @functools.wraps(original)
    def decompositions() -> dict[Any, Any]:
        nonlocal known, size
        registry = decomp.global_decomposition_table["post_autograd"]
        if len(registry) != size or any(registry.get(op) is not own for op, own in known.items()):
            known, size = original(), len(registry)
        return dict(known)

    return decompositions


def resetting(original: Callable[[PhiloxState], None]) -> Callable[[PhiloxState], None]:
    """`PhiloxState.reset`, with one empty tensor for all states: "not set yet", which nothing writes into."""
    unset = torch.tensor(())

    @functools.wraps(original)
    def reset(state: PhiloxState) -> None:
        state.set_state(unset, unset)
        state.offset_advanced_at_least_once = False

    return reset
