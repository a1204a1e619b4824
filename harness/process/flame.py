"""A flame graph of what a child process does, through pyinstrument where it is installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

#: What `pip install` is told for it.
PROFILER = "pyinstrument"
#: Seconds between two looks at the stack: an hour of them still fits into memory.
INTERVAL = 0.01


def installed() -> bool:
    return importlib.util.find_spec(PROFILER) is not None


class Flame:
    """Samples this process from `begin` on, until `write`. Does nothing where the profiler is not installed."""

    def __init__(self) -> None:
        self._profiler: Any = None
        self._folder = Path()

    def begin(self, folder: Path) -> None:
        """Begin, or go on; `folder` is where the graph will lie."""
        if self._profiler is not None or not installed():
            return
        import pyinstrument

        self._folder = folder
        self._profiler = pyinstrument.Profiler(interval=INTERVAL, async_mode="disabled")
        self._profiler.start()

    def write(self) -> str:
        """The name of the file written, a page that works by itself; empty when nothing was sampled."""
        if self._profiler is None:
            return ""
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        path = self._folder / f"flame-{os.getpid()}.html"
        path.write_text(profiler.output_html(), encoding="utf-8")
        return path.name
