"""What a finished run leaves: processes that work in its temporary directory, and files there."""

from __future__ import annotations

import os
from pathlib import Path


def left_behind(temporary: Path) -> list[str]:
    """Names of files of ours in a run's temporary directory, and processes that were started with it (Linux)."""
    files = [path.name for path in temporary.iterdir() if path.name.startswith(("coreml-harness", "simulated-"))]
    return sorted(files) + [f"process {pid}" for pid in _processes(f"TMPDIR={temporary}")]


def _processes(variable: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if variable.encode() in variables and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found
