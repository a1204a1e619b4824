"""ExecuTorch's Core ML backend, imported once, or why it cannot be.

With other versions than it was made for its import may fail. That is what its user meets, so it is recorded as such.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator

#: What lowering uses of it; the first that cannot be imported tells why.
_MODULES = (
    "executorch.exir",
    "coremltools",
    "executorch.backends.apple.coreml.partition",
    "executorch.backends.apple.coreml.compiler",
)
#: coremltools imports them where they are installed: for converters of scikit-learn's models, and to know that
#: transformers is there, which its tests alone ask. A fifth of a child's time to get ready, and 90 MB of its memory.
#: What asks for them later gets them.
_UNUSED = ("sklearn", "transformers")


@functools.cache
def import_failure() -> Exception | None:
    """What importing the backend raised, None when it is there.

    Tried once a process: converters are registered on import, and a second attempt would stumble over the first's.
    """
    try:
        with _as_if_not_installed(*_UNUSED):
            for name in _MODULES:
                importlib.import_module(name)
    except Exception as error:
        return error
    return None


@contextlib.contextmanager
def _as_if_not_installed(*packages: str) -> Iterator[None]:
    """While it lasts, importing the packages fails, but for those that were imported before."""
    hidden = [package for package in packages if package not in sys.modules]
    # How the import system is told so.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for package in hidden:
            del sys.modules[package]
