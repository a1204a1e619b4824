"""xdist's scheduler, held to cases: which worker is handed which case, and when."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from harness.evidence.durations import LONG, Durations
from harness.evidence.ids import case_of_item


class CaseScheduling(LoadScopeScheduling):
    """The checks of one case go to one worker, which shares eager, export and lowering among them; cases in the order
    they were collected, which is longest first.

    A worker begins an item only when it knows the one after it, so xdist hands it a case ahead. Behind a long case that
    one would wait while other workers have nothing left. There the one ahead is handed out as late as can be, before
    the long case's last check, and is the shortest of all.
    """

    def __init__(self, config: pytest.Config, log: Any, durations: Durations) -> None:
        # xdist's own order is by the number of items.
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._durations = durations
        self._ahead: set[str] = set()

    def _split_scope(self, nodeid: str) -> str:
        return case_of_item(nodeid)

    def _reschedule(self, node: Any) -> None:
        if self.workqueue and not node.shutting_down and self._holds_long(node):
            if self._pending_of(self.assigned_work[node]) > 1:
                return
            shortest = next(reversed(self.workqueue))
            self._ahead.add(shortest)
            self.workqueue.move_to_end(shortest, last=False)
        super()._reschedule(node)

    def _holds_long(self, node: Any) -> bool:
        """Whether a long case is among the last the worker was given, and not finished; one handed out ahead is none:
        the next is to be long again."""
        given: dict[str, dict[str, bool]] = self.assigned_work[node]
        unfinished = itertools.takewhile(lambda scope: not all(given[scope].values()), reversed(given))
        return any(
            scope not in self._ahead and self._durations.here(scope.partition("[")[2]) >= LONG for scope in unfinished
        )
