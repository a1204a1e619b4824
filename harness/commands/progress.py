"""One live line on a terminal: how many checks are done, how many of them fail, for how long and how much longer."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Seconds of the past by which the time left is told; rich's default knows nothing of checks longer than half a minute.
_PERIOD = 3600.0


class ProgressLine:
    """The line is on stderr, and nowhere when that is no terminal. What is to stand on stdout is told to `say`."""

    def __init__(self, total: int, done: int = 0, failing: int = 0) -> None:
        self._failing = failing
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if total > done and sys.stderr.isatty():
            self._progress = _progress()
            self._task = self._progress.add_task("", total=total, completed=done, failing=failing)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, *, failing: bool) -> None:
        """One check more is done."""
        self._failing += failing
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=1, failing=self._failing)

    def fewer(self, count: int) -> None:
        """So many checks turned out to be none."""
        if self._progress is not None and self._task is not None:
            total = self._progress.tasks[self._task].total or 0
            self._progress.update(self._task, total=total - count)

    def say(self, text: str) -> None:
        """Print on stdout; where that is the same terminal, above the line."""
        paused = self._progress if sys.stdout.isatty() else None
        if paused is not None:
            paused.stop()
        print(text, flush=True)
        if paused is not None:
            paused.start()


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        MofNCompleteColumn(),
        TextColumn("checks, {task.fields[failing]} failing"),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        TextColumn("so far,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(file=sys.stderr),
        transient=True,
        # rich would send what is printed meanwhile to its own console, which is stderr.
        redirect_stdout=False,
        redirect_stderr=False,
        speed_estimate_period=_PERIOD,
    )
