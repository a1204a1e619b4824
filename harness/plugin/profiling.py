"""`--profile`: where a run's time went, as a table, and a flame graph of each child process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from tabulate import tabulate

from harness.evidence.files import write_text_atomically
from harness.evidence.times import STAGES, Stopwatch, total
from harness.evidence.vocabulary import HarnessError
from harness.process import flame

TABLE, SUMS, PARTS, FLAMES = "profile.md", "profile.json", "profile-*.json", "flame-*.html"


def add_options(group: pytest.OptionGroup) -> None:
    group.addoption("--profile", action="store_true", help="write where the time went, and flame graphs, to the run")
    group.addoption("--no-flame", action="store_true", help="with --profile: nothing sampled, so undisturbed seconds")


def asked_for(config: pytest.Config, directory: Path, worker: str) -> Profile | None:
    """The plugin of this process; None where nobody asked for it."""
    if not config.getoption("--profile"):
        return None
    return Profile(directory, worker, shows=worker == "main", flames=not config.getoption("--no-flame"))


class Profile:
    """The plugin of one process of a run: adds up its stages, and writes them when it ends; `shows` the sum of all.

    What `watch` is told is exclusive, so that with what is left of the process's life, idle, it adds up to that life.
    """

    def __init__(self, directory: Path, name: str, *, shows: bool, flames: bool = True) -> None:
        self.watch = Stopwatch()
        self.stage = self.watch.stage
        self.flames = directory if flames else None
        self._directory, self._name, self._shows = directory, name, shows
        self._starting, self._since = age(), time.perf_counter()

    def pytest_configure(self) -> None:
        """Called when it is registered."""
        if self._shows:
            begin(self._directory)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Generator[None, object, object]:
        with self.stage("collect"):
            return (yield)

    def close(self, checks: int) -> None:
        """Write the seconds of this process, which asked for so many checks."""
        lived = self._starting + time.perf_counter() - self._since
        self.watch.add({"import": self._starting})
        stages = total([self.watch.take()])
        stages["idle"] += max(0.0, lived - sum(stages.values()))
        part = {"seconds": lived, "checks": checks, "stages": stages, "times": self.watch.times}
        try:
            _write(self._directory / f"profile-{self._name}.json", part)
        except HarnessError as error:  # the records are what the run is for
            print(error, file=sys.stderr)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._shows and (told := finish(self._directory, flames=self.flames is not None)):
            terminalreporter.section("where the time went")
            terminalreporter.write_line(told)


def age() -> float:
    """Seconds since this process began."""
    began = psutil.Process().create_time()
    if sys.platform == "linux":
        # Counted there from a boot time in whole seconds, which is up to one too early.
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - (began - psutil.boot_time()))
    return max(0.0, time.time() - began)


def begin(directory: Path) -> None:
    """Remove what an earlier run left in the directory: a resumed one tells its own time. Raises `HarnessError`."""
    for path in (*directory.glob(PARTS), *directory.glob(FLAMES), directory / TABLE, directory / SUMS):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise HarnessError(f"{path}: cannot remove it: {error.strerror}") from None


def finish(directory: Path, *, flames: bool = True) -> str:
    """Write the table of all processes' seconds, and return it with what belongs to it; empty when none left any.

    `flames` says whether graphs were asked for.
    """
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob(PARTS))]
    if not parts:
        return ""
    lived, checks = sum(part["seconds"] for part in parts), sum(part["checks"] for part in parts)
    stages, times = total(part["stages"] for part in parts), total(part["times"] for part in parts)
    processes, over = _count(len(parts), "process", "processes"), _count(checks, "check", "checks")
    told = (
        f"{lived:.1f} s: {processes} from start to end, each waiting for a child of its own, over {over}. A check that "
        "ended its child is put to the phases it entered."
    )
    text = "\n\n".join((table(stages, times, checks), told, *([_flames(directory)] if flames else [])))
    rows = {stage: {"seconds": spent, "times": int(times.get(stage, 0))} for stage, spent in stages.items()}
    try:
        write_text_atomically(directory / TABLE, text + "\n")
        _write(directory / SUMS, {"seconds": lived, "processes": len(parts), "checks": checks, "stages": rows})
    except HarnessError as error:
        return f"{text}\n\n{error}"
    return text


def table(seconds: Mapping[str, float], times: Mapping[str, float], checks: int) -> str:
    """Seconds, share, milliseconds a check and number of times by stage, in the order a run goes through them."""
    whole = sum(seconds.values())
    rows: list[Sequence[str]] = [
        (
            stage,
            f"{spent:.1f}",
            f"{spent / whole:.1%}" if whole else "",
            _each(spent, checks),
            f"{times.get(stage, 0):.0f}" if stage != "idle" else "",
            STAGES.get(stage, ""),
        )
        for stage, spent in seconds.items()
    ]
    rows.append(("all", f"{whole:.1f}", "", _each(whole, checks), "", ""))
    aligned = ("left", "right", "right", "right", "right", "left")
    headers = ("stage", "seconds", "share", "ms a check", "times", "what it holds")
    return tabulate(rows, headers, tablefmt="github", colalign=aligned, disable_numparse=True)


def _write(path: Path, value: Mapping[str, Any]) -> None:
    write_text_atomically(path, json.dumps(value) + "\n")


def _each(seconds: float, checks: int) -> str:
    return f"{1000 * seconds / checks:.1f}" if checks else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _flames(directory: Path) -> str:
    graphs = sorted(path.name for path in directory.glob(FLAMES))
    if graphs:
        return (
            f"Flame graphs of the child processes: {', '.join(graphs)}. {flame.PROFILER} looks at every call: lowering "
            "takes about 1.7 times as long as without. --no-flame tells the undisturbed seconds."
        )
    if flame.installed():
        return "No flame graph: no child process lived to write one."
    return f"No flame graph: pip install {flame.PROFILER}."
