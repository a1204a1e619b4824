"""The simulated Core ML host in this process: `install`; `run.py` starts whole commands on it.

    echo '{"unit": "all"}' | python tests/simulated/host.py FILE.py:FUNCTION

runs one function: the JSON object on stdin becomes its keyword arguments, its result the last line of stdout, as JSON.
The fake native module has to be there before coremltools is first imported and would mislead everything after it: so it
lives and dies in a child process.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

#: What a process on the simulated host reads from its environment; faults have their own, see `faults.py`.
MACOS = "COREML_SIMULATED_MACOS"
DEVICES = "COREML_SIMULATED_DEVICES"

NATIVE_MODULE = "coremltools.libcoremlpython"


def install(macos: Sequence[int] = (15, 5), devices: Sequence[str] = ("cpu", "gpu", "ane")) -> ModuleType:
    """Install the fake native module and let coremltools, once it is imported, believe in a Mac; returns the module.

    Imports nothing of coremltools itself. Raises `RuntimeError` when coremltools is already imported.
    """
    if "coremltools" in sys.modules:
        raise RuntimeError("coremltools is already imported: the native module it looked for is settled")
    import libcoremlpython

    libcoremlpython.simulated_macos = tuple(macos)
    libcoremlpython.simulated_devices = tuple(devices)
    sys.modules[NATIVE_MODULE] = libcoremlpython
    sys.meta_path.insert(0, _Gates())
    return libcoremlpython


def install_from_environment() -> ModuleType:
    """`install` with what `run.py` put into the environment."""
    devices = os.environ.get(DEVICES, "cpu,gpu,ane").split(",")
    return install(parse_version(os.environ.get(MACOS, "15.5")), devices)


def parse_version(text: str) -> tuple[int, ...]:
    """`"15.5"` to `(15, 5)`; raises `ValueError`."""
    return tuple(int(part) for part in text.split("."))


class _Gates:
    """Finds modules of coremltools as ever, and patches some as soon as they are loaded: whoever imports from them by
    name gets what the Mac that is played has."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _PATCHES:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path, target)
        if found is not None and found.loader is not None:
            load = found.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                _PATCHES[name](module)

            found.loader.exec_module = exec_module  # type: ignore[method-assign]
        return found


def _patch_system(module: ModuleType) -> None:
    """The two questions about the system."""
    for question in ("_is_macos", "_macos_version"):
        assert hasattr(module, question), f"{module.__name__} has no {question} any more"
    module._is_macos = lambda: True  # type: ignore[attr-defined]
    module._macos_version = lambda: sys.modules[NATIVE_MODULE].simulated_macos  # type: ignore[attr-defined]


def _patch_runner(module: ModuleType) -> None:
    """The Xcode project of the runner app, which only the macOS wheels have."""
    project = Path(__file__).resolve().parent / "modelrunner"
    assert hasattr(module._ModelRunnerAppBuilder, "_get_project_path")
    module._ModelRunnerAppBuilder._get_project_path = staticmethod(lambda: project)


def _patch_bindings(module: ModuleType) -> None:
    import executorch_runtime

    executorch_runtime.install_into(module)


def _patch_unit(module: ModuleType) -> None:
    import executorch_runtime

    executorch_runtime.install_into_unit(module)


_PATCHES = {
    "coremltools.models.utils": _patch_system,
    "coremltools.models.ml_program.experimental.remote_device": _patch_runner,
    "executorch.extension.pybindings.portable_lib": _patch_bindings,
    "harness.units.executorch": _patch_unit,
}


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
