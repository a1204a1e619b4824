"""A case by its id, and the cases of a suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.cases import models, opinfo
from harness.cases.case import Case
from harness.evidence.vocabulary import HarnessError

#: Suites by the first part of their cases' ids, as functions, because listing reads files.
SUITES: dict[str, Callable[[], Sequence[Case]]] = {
    opinfo.SUITE: opinfo.cases,
    models.SUITE: models.cases,
}


def suite(name: str) -> Sequence[Case]:
    return SUITES[name]()


def find(case_id: str) -> Case:
    """Raises `HarnessError` when there is no such case."""
    prefix = case_id.split("/", 1)[0]
    for case in SUITES[prefix]() if prefix in SUITES else ():
        if case.id == case_id:
            return case
    raise HarnessError(f"no case {case_id!r}")
