"""What makes hundreds of lowerings in one process quick without changing what they emit.

Half of a small lowering is coremltools' `gc.collect()` walking the heap of torch, and torch.export listing every
composite-implicit operator again. Both are left in place and given less to do. `tests/lowering/test_speedups.py`
compares emitted programs with and without.
"""

from __future__ import annotations

import gc
from typing import Any

#: Each lowering leaves some hundred objects behind; unless they are frozen too, the gain is gone after some dozens.
FREEZE_EVERY = 10

_since_freeze = 0
_enabled = False


def enable() -> None:
    """Install the speedups in this process; calling it again does nothing."""
    global _enabled
    if not _enabled:
        _enabled = True
        _memoise_composite_implicit_listing()
        freeze_heap()


def before_lowering() -> None:
    """Keep the heap that `gc.collect` walks small. Does nothing unless `enable` was called."""
    global _since_freeze
    if not _enabled:
        return
    _since_freeze += 1
    if _since_freeze >= FREEZE_EVERY:
        freeze_heap()


def freeze_heap() -> None:
    """Collect what is garbage, then take the rest out of the collector's sight."""
    global _since_freeze
    _since_freeze = 0
    gc.collect()
    gc.freeze()


def _memoise_composite_implicit_listing() -> None:
    """Answer `_collect_all_valid_cia_ops` from memory as long as no operator was registered since.

    torch does not cache it because libraries may register more; so the key is what the dispatcher holds now.
    """
    import torch
    import torch._export.utils as utils
    import torch.export.decomp_utils
    import torch.export.exported_program

    original = utils._collect_all_valid_cia_ops
    known: dict[Any, Any] = {}

    def listing() -> Any:
        registered = torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd")
        key = (len(registered), len(torch.ops._dir))
        if key not in known:
            known.clear()
            known[key] = original()
            # Listing an operator for the first time materialises its namespace.
            known[(len(registered), len(torch.ops._dir))] = known[key]
        return known[key]

    for module in (utils, torch.export.decomp_utils, torch.export.exported_program):
        module._collect_all_valid_cia_ops = listing  # type: ignore[attr-defined]
