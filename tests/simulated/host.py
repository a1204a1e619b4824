"""Run a function on the simulated Core ML host, in this process, which must be a fresh one.

    echo '{"unit": "all"}' | python tests/simulated/host.py FILE.py:FUNCTION

The JSON object on stdin becomes the function's keyword arguments, its result is the last line of stdout, as JSON. The
fake native module has to be there before coremltools is first imported and would mislead everything after it: so it
lives and dies in a child process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def install(macos: tuple[int, ...] = (15, 5)) -> ModuleType:
    """Install the fake native module and let coremltools believe in a Mac; returns the module.

    Only `_is_macos` and `_macos_version` are patched, and their copies in the modules that imported them by name.
    Raises `RuntimeError` when coremltools is already imported.
    """
    if "coremltools" in sys.modules:
        raise RuntimeError("coremltools is already imported: the native module it looked for is settled")
    import libcoremlpython

    libcoremlpython.simulated_macos = tuple(macos)
    sys.modules["coremltools.libcoremlpython"] = libcoremlpython
    import coremltools
    from coremltools.models import utils

    coremltools.libcoremlpython = libcoremlpython
    originals = {"_is_macos": utils._is_macos, "_macos_version": utils._macos_version}
    patched = {"_is_macos": lambda: True, "_macos_version": lambda: libcoremlpython.simulated_macos}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "coremltools":
            continue
        for attribute, original in originals.items():
            if getattr(module, attribute, None) is original:
                setattr(module, attribute, patched[attribute])
    return libcoremlpython


def main(reference: str) -> None:
    file, _, function = reference.partition(":")
    arguments = json.loads(sys.stdin.read() or "{}")
    # The measured packages print; the result keeps stdout for itself.
    result_stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    install(tuple(arguments.pop("macos", (15, 5))))
    specification = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    result: Any = getattr(module, function)(**arguments)
    result_stream.write(json.dumps(result) + "\n")
    result_stream.close()


if __name__ == "__main__":
    main(sys.argv[1])
