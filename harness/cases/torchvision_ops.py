"""torchvision beside a CPU-only torch: declare the operators its compiled library would have declared.

The wheel's `_C` library does not load there, and importing torchvision then fails on registering fake kernels for
operators nobody declared. Classification models call none of them, so their schemas are enough. Call
`import_torchvision` instead of `import torchvision`, and `declare_on_import` where others import it.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

#: Schemas as torchvision's own C++ registration declares them.
SCHEMAS: tuple[str, ...] = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@functools.cache
def import_torchvision() -> Any:
    """The torchvision package, with its models importable. Raises `ImportError` when it is not installed."""
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        raise ImportError("torchvision is not installed: pip install 'coreml-harness[models]'")
    _declare(Path(found.origin).parent)
    import torchvision

    return torchvision


@functools.cache
def declare_on_import() -> None:
    """From now on, whoever imports torchvision, as transformers does, finds its operators declared."""
    sys.meta_path.insert(0, _Declaring())


class _Declaring(MetaPathFinder):
    """Finds nothing itself: it is told of an import before it happens."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "torchvision":
            sys.meta_path.remove(self)  # once
            found = importlib.util.find_spec("torchvision")
            if found is not None and found.origin is not None:
                _declare(Path(found.origin).parent)


def _declare(folder: Path) -> None:
    """By its own library where that loads, else by schema."""
    import torch

    for library in folder.glob("_C*.so"):
        try:
            torch.ops.load_library(library)
        except OSError:
            continue
    for schema in SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            _library().define(schema)


@functools.cache
def _library() -> Any:
    """Kept for the life of the process: its operators end with it."""
    import torch

    return torch.library.Library("torchvision", "FRAGMENT")
