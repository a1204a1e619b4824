"""Whether the partitioner is called by the deprecated way, of which it warns: told by the frames' names alone.

`CoreMLPartitioner.partition` asks `inspect.stack()` at each lowering, which for every frame up to the top reads the
lines of source around it, and searches all modules for the one it belongs to: two milliseconds, of forty that a further
recipe of a small operator takes, and more the deeper the caller is.
"""

from __future__ import annotations

import inspect
from types import FrameType, ModuleType
from typing import Any, NamedTuple


class Caller(NamedTuple):
    """What the partitioner reads of `inspect.FrameInfo`."""

    filename: str
    function: str


def install() -> None:
    """Give the partitioner the names alone; calling it again does nothing."""
    from executorch.backends.apple.coreml.partition import coreml_partitioner

    if isinstance(getattr(coreml_partitioner, "inspect", None), ModuleType):
        coreml_partitioner.inspect = _Inspect()


class _Inspect:
    """The module `inspect`, with another `stack`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(inspect, name)

    @staticmethod
    def stack() -> list[Caller]:
        """Of each frame, innermost first, the file and the function."""
        frames = []
        frame: FrameType | None = inspect.currentframe()
        frame = frame.f_back if frame is not None else None
        while frame is not None:
            frames.append(Caller(frame.f_code.co_filename, frame.f_code.co_name))
            frame = frame.f_back
        return frames
