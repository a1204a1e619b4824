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
    """One subprocess: `python -m <module> <arguments>`, which prints its result as JSON in its last line."""

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
    """The results of one size. Those made with other arguments or of other code are as good as none."""

    def __init__(self, folder: Path, code: str) -> None:
        self.folder, self.code = folder, code

    def _path(self, measurement: Measurement) -> Path:
        return self.folder / measurement.section / f"{measurement.name}.json"

    def get(self, measurement: Measurement) -> Result | None:
        try:
            held = json.loads(self._path(measurement).read_text(encoding="utf-8"))
            if held["arguments"] == list(measurement.arguments) and held["code"] == self.code:
                return Result(held["value"], held["environment"], held["date"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def put(self, measurement: Measurement, result: Result) -> None:
        held = {"arguments": list(measurement.arguments), "code": self.code, **vars(result)}
        write_text_atomically(self._path(measurement), json.dumps(held) + "\n")

    def due(self, measurements: Iterable[Measurement]) -> list[Measurement]:
        """Those without a result. When each has one the run was finished: all are dropped, and due again."""
        measurements = list(measurements)
        without = [one for one in measurements if self.get(one) is None]
        if without:
            return without
        for one in measurements:
            self._path(one).unlink()
        return measurements
