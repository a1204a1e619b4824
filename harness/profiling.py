"""`--profile`: where a run's time went, as a table, and a flame graph of each child process."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import psutil
import pytest
from tabulate import tabulate

from harness import flame
from harness.evidence.times import STAGES, Stopwatch, total

TABLE, PARTS = "profile.md", "profile-*.json"


class Profile:
    """The plugin of one process that checks: adds up its stages, and writes them when it ends."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        self._began = psutil.Process().create_time()
        self._starting = time.time() - self._began
        self._watch = Stopwatch()
        self.stage = self._watch.stage

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        with self._watch.stage("collect"):
            return (yield)

    def close(self, spent: Mapping[str, float]) -> None:
        """Write the seconds of this process; `spent` are those of the children it waited for, by stage.

        What is left of the time since it began is idle.
        """
        parts = total([{"import": self._starting}, self._watch.take(), spent])
        lived = time.time() - self._began
        parts["idle"] += max(0.0, lived - sum(parts.values()))
        path = self._directory / f"profile-{self._name}.json"
        path.write_text(json.dumps({"seconds": lived, "stages": parts}) + "\n", encoding="utf-8")


def begin(directory: Path) -> None:
    """Remove what an earlier run left in the directory: a resumed one tells its own time."""
    for path in (*directory.glob(PARTS), *directory.glob("flame-*.html"), directory / TABLE):
        path.unlink(missing_ok=True)


def finish(directory: Path, checks: int) -> str:
    """Write the table of all processes' seconds, and return it with what belongs to it; empty when none left any."""
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob(PARTS))]
    if not parts:
        return ""
    lived = sum(part["seconds"] for part in parts)
    processes, over = _count(len(parts), "process", "processes"), _count(checks, "check", "checks")
    told = f"{lived:.1f} s: the lives of {processes}, each waiting for a child of its own, over {over}."
    text = "\n\n".join((table([part["stages"] for part in parts], checks), told, _flames(directory)))
    (directory / TABLE).write_text(text + "\n", encoding="utf-8")
    return text


def table(parts: Sequence[Mapping[str, float]], checks: int) -> str:
    """Seconds, share and milliseconds a check by stage, in the order a run goes through them."""
    seconds = total(parts)
    whole = sum(seconds.values())
    rows = [
        (stage, f"{spent:.1f}", f"{spent / whole:.1%}" if whole else "", _each(spent, checks), STAGES.get(stage, ""))
        for stage, spent in seconds.items()
    ]
    rows.append(("all", f"{whole:.1f}", "", _each(whole, checks), ""))
    aligned = ("left", "right", "right", "right", "left")
    headers = ("stage", "seconds", "share", "ms a check", "what it holds")
    return tabulate(rows, headers, tablefmt="github", colalign=aligned, disable_numparse=True)


def _each(seconds: float, checks: int) -> str:
    return f"{1000 * seconds / checks:.1f}" if checks else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _flames(directory: Path) -> str:
    graphs = sorted(path.name for path in directory.glob("flame-*.html"))
    if graphs:
        return f"Flame graphs of the child processes: {', '.join(graphs)}."
    if flame.installed():
        return "No flame graph: no child process lived to write one."
    return f"No flame graph: pip install {flame.PROFILER}."
