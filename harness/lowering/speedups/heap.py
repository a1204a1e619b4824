"""A small heap for the collector: half of a small lowering is coremltools' `gc.collect()` walking all of torch's.

Taking what exists out of the collector's sight leaves that call in place and gives it little to walk.
"""

from __future__ import annotations

import gc

#: Each lowering leaves some hundred objects behind; unless they are frozen too, the gain is gone after some dozens.
FREEZE_EVERY = 10

_since_freeze = 0


def freeze() -> None:
    """Collect what is garbage, then take the rest out of the collector's sight."""
    global _since_freeze
    _since_freeze = 0
    gc.collect()
    gc.freeze()


def freeze_now_and_then() -> None:
    """`freeze` in every `FREEZE_EVERY`th call."""
    global _since_freeze
    _since_freeze += 1
    if _since_freeze >= FREEZE_EVERY:
        freeze()
