"""The order of a run: the longest case first, so that workers end together; no big model holds the last minute alone.

Expected times are read once, by the process that starts the others: xdist wants the same collection of each worker.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from harness.cases.case import Case
from harness.evidence.check import Check
from harness.evidence.durations import LONG, Durations

_INPUT = "durations"


class Scheduling:
    """The plugin of a session's order. `suites` is the folder whose cases are run, None where it holds none of them;
    `run_dir` is where this run goes, which is not the last one."""

    def __init__(self, config: pytest.Config, suites: Path | None, run_dir: Path) -> None:
        self._inherited = getattr(config, "workerinput", {}).get(_INPUT)
        self._suites = suites
        self._run_dir = run_dir

    @functools.cached_property
    def durations(self) -> Durations:
        """What cases are expected to take; raises `HarnessError` for a damaged table."""
        if self._inherited is not None:
            return Durations(*self._inherited)
        if self._suites is None:
            return Durations()
        root = self._suites.parent
        return Durations.read(self._suites, root / "reports" / "evidence", root / "runs", but=self._run_dir)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_INPUT] = (dict(self.durations.committed), dict(self.durations.recorded))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put what takes long first, the longest before the others. What is no check may take long.

        The others keep their order, in which neighbours share OpInfo's samples, and the checks of a case stay together.
        """
        if any(checks_of(item) for item in items):
            items.sort(key=self._rank)

    def _rank(self, item: pytest.Item) -> float:
        for check in checks_of(item):
            seconds = self.durations.here(check.case.id, whole_model=check.case.whole_model)
            return -seconds if seconds >= LONG else 0.0
        return float("-inf")

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        if config.getoption("dist", "no") not in ("load", "worksteal"):
            return None
        from harness.plugin.case_scheduler import CaseScheduling

        return CaseScheduling(config, log, self.durations)


def checks_of(item: pytest.Item) -> list[Check[Case]]:
    """The check that an item is, if it is one."""
    call = getattr(item, "callspec", None)
    found = call.params.get("check") if call is not None else None
    # For a suite of which nothing was chosen pytest makes one item that says so.
    return [found] if isinstance(found, Check) else []
