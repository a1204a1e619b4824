"""What makes thousands of lowerings in one process quick without changing what they emit.

Each speedup leaves the packages' own path in place and gives it less to do; one file each, with its reason and its
measure. `tests/lowering/test_speedups.py` compares emitted programs, and the errors of what fails, with and without.
"""

from __future__ import annotations

from harness.lowering.speedups import (
    caller,
    composite,
    heap,
    nonreplaceable,
    patterns,
    quantizer,
    recompile,
    seeding,
    tracing,
    validation,
)

_enabled = False


def enable() -> None:
    """Install the speedups in this process; calling it again does nothing."""
    global _enabled
    if not _enabled:
        _enabled = True
        composite.install()
        recompile.install()
        quantizer.install()
        seeding.install()
        validation.install()
        nonreplaceable.install()
        patterns.install()
        tracing.install()
        caller.install()
        heap.freeze()


def before_lowering() -> None:
    """Keep the heap that `gc.collect` walks small. Does nothing unless `enable` was called."""
    if _enabled:
        heap.freeze_now_and_then()
