"""Core ML's generated protobuf classes, without the seconds it takes to import the rest of coremltools.

`coremltools.proto` is a package of generated modules that need nothing but protobuf, but importing it by its name
runs `coremltools/__init__`. Its directory is mounted here under a private package name instead; the descriptors
are the very same, so messages can be exchanged with coremltools when that is imported as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.mil.errors import MilError

_MOUNT = "harness_mil_coreml_proto"


@cache
def module(name: str) -> Any:
    """The generated module `name` (`Model_pb2`, `MIL_pb2`, ...). Raises MilError when coremltools is not installed."""
    if "coremltools.proto" in sys.modules:
        return importlib.import_module(f"coremltools.proto.{name}")
    if _MOUNT not in sys.modules:
        spec = importlib.util.find_spec("coremltools")
        if spec is None or not spec.submodule_search_locations:
            raise MilError("coremltools is not installed: its protobuf definitions are needed to read a model")
        package = ModuleType(_MOUNT)
        package.__path__ = [str(Path(spec.submodule_search_locations[0]) / "proto")]
        sys.modules[_MOUNT] = package
    return importlib.import_module(f"{_MOUNT}.{name}")
