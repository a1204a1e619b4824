"""A run of the suites shared by the tests that look at it, in whatever worker of xdist they are."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from left_behind import left_behind
from run import run_suites


@dataclass(frozen=True)
class Finished:
    """The folder with `run`, pytest's exit code and the end of what it said, and what was left behind."""

    folder: Path
    returncode: int
    said: str
    left: list[str]


def suites_once(
    factory: pytest.TempPathFactory, name: str, options: Sequence[str], faults: dict[str, Any] | None = None
) -> Finished:
    """`run_suites` for the first who asks; the others wait for it and read what it left."""
    root = factory.getbasetemp()
    folder = (root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root) / name
    folder.mkdir(exist_ok=True)
    answer = folder / "finished.json"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not answer.exists():
            done = run_suites(folder / "run", options, faults)
            said = done.stdout[-4000:] + done.stderr[-2000:]
            answer.write_text(json.dumps([done.returncode, said, left_behind(folder / "tmp")]))
    return Finished(folder, *json.loads(answer.read_text()))
