"""torchvision beside a CPU-only torch: declare the operators its compiled library would have declared.

The wheel's `_C` library does not load there, and importing torchvision then fails on registering fake kernels for
operators nobody declared. The models lowered here call none of them, so their schemas are enough. Call
`import_torchvision` instead of `import torchvision`.
"""

from __future__ import annotations

import functools
from typing import Any

#: Schemas as torchvision's own C++ registration declares them.
SCHEMAS: tuple[str, ...] = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@functools.cache
def import_torchvision() -> Any:
    """The torchvision package, with its models importable. Raises `ImportError` when it is not installed."""
    import importlib.util
    from pathlib import Path

    import torch

    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        raise ImportError("torchvision is not installed: pip install 'coreml-harness[models]'")
    for library in Path(found.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(library)
        except OSError:
            continue
    for schema in SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            _library().define(schema)
    import torchvision

    return torchvision


@functools.cache
def _library() -> Any:
    """Kept for the life of the process: its operators end with it."""
    import torch

    return torch.library.Library("torchvision", "FRAGMENT")
