"""A small heap for the collector: half of a small lowering is coremltools' `gc.collect()` walking all of torch's.

Taking what exists out of the collector's sight leaves that call in place and gives it little to walk. What is out of
sight and then no longer needed is looked for now and then: graph modules have classes of their own, and the more of
them there are the longer torch takes to change the class of all modules, which it does in each trace.
"""

from __future__ import annotations

import gc

from torch._subclasses.fake_tensor import FakeTensorMode

#: Each lowering leaves some hundred objects behind; unless they are frozen too, the gain is gone after some dozens.
FREEZE_EVERY = 10
#: Every so many lowerings all is walked, which takes half a second.
THAW_EVERY = 500

_since_freeze = 0
_since_thaw = 0


def freeze() -> None:
    """Collect what is garbage, then take the rest out of the collector's sight."""
    global _since_freeze
    _since_freeze = 0
    gc.collect()
    gc.freeze()


def thaw() -> None:
    """Collect also what became garbage out of sight. torch's memory of operators on fake tensors holds programs."""
    global _since_thaw
    _since_thaw = 0
    FakeTensorMode.cache_clear()
    gc.unfreeze()
    freeze()


def freeze_now_and_then() -> None:
    """`freeze` in every `FREEZE_EVERY`th call, and `thaw` in every `THAW_EVERY`th."""
    global _since_freeze, _since_thaw
    _since_freeze += 1
    _since_thaw += 1
    if _since_thaw >= THAW_EVERY:
        thaw()
    elif _since_freeze >= FREEZE_EVERY:
        freeze()
