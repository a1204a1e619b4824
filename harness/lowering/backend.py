"""ExecuTorch's Core ML backend, imported once, or why it cannot be.

With other versions than it was made for its import may fail. That is what its user meets, so it is recorded as such.
"""

from __future__ import annotations

import functools
import importlib

#: What lowering uses of it; the first that cannot be imported tells why.
_MODULES = (
    "executorch.exir",
    "executorch.backends.apple.coreml.partition",
    "executorch.backends.apple.coreml.compiler",
)


@functools.cache
def import_failure() -> Exception | None:
    """What importing the backend raised, None when it is there.

    Tried once a process: converters are registered on import, and a second attempt would stumble over the first's.
    """
    try:
        for name in _MODULES:
            importlib.import_module(name)
    except Exception as error:
        return error
    return None
