"""`harness list`: the cases that the suites run. Makes no tensors, imports no torch."""

from __future__ import annotations

import contextlib

from harness.cases.case import at_level, matches_op, require_match
from harness.cases.find import SUITES
from harness.evidence.vocabulary import Level


def run(op: str | None = None, level: str = "standard") -> int:
    """Print a case a line: id, API name, level. Raises `HarnessError` when `op` names nothing."""
    everything = [case for suite in SUITES.values() for case in suite()]
    if op is not None:
        require_match(everything, [op])
    chosen = [case for case in at_level(everything, Level(level)) if op is None or matches_op(case, op)]
    width = max((len(case.id) for case in chosen), default=0)
    with contextlib.suppress(BrokenPipeError):
        for case in chosen:
            print(f"{case.id:<{width}}  {case.level:<8}  {case.api}")
    return 0
