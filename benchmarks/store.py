"""Results on disk, a file for each measurement, so that an interrupted run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.evidence.files import write_text_atomically


@dataclass(frozen=True)
class Measurement:
    """One subprocess: `main(arguments)` of the module, which prints its result as JSON in its last line."""

    section: str
    name: str
    module: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What a measurement printed, and where and when it was made."""

    value: Any
    environment: str
    date: str


class Store:
    """The results of one size. Those made with other arguments are as good as none."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder, self.code = folder, code

    def _path(self, measurement: Measurement) -> Path:
        return self.folder / measurement.section / f"{measurement.name}.json"

    def get(self, measurement: Measurement, *, current: bool = False) -> Result | None:
        """The result, if there is one; if it is to be `current`, only one of the present code."""
        try:
            held = json.loads(self._path(measurement).read_text(encoding="utf-8"))
            if held["arguments"] == list(measurement.arguments) and (held["code"] == self.code or not current):
                return Result(held["value"], held["environment"], held["date"])
        except (OSError, ValueError, KeyError, TypeError):  # absent, half of one, or of another form
            pass
        return None

    def put(self, measurement: Measurement, result: Result) -> None:
        held = {"arguments": list(measurement.arguments), "code": self.code, **vars(result)}
        write_text_atomically(self._path(measurement), json.dumps(held) + "\n")

    def due(self, measurements: Iterable[Measurement]) -> list[Measurement]:
        """Those without a result of the present code, in their order."""
        return [one for one in measurements if self.get(one, current=True) is None]

    def drop(self, measurements: Iterable[Measurement]) -> None:
        """Forget their results."""
        for one in measurements:
            self._path(one).unlink(missing_ok=True)
