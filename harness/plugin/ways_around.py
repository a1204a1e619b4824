"""`--ways-around`: after the checks, a way around each failing cause and operator is looked for, on one check of them.

The record that comes of it is appended to the run's journal, in place of the one without it. An interrupted run goes
on with those that have none yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from harness.cases.find import find
from harness.evidence.check import Check
from harness.evidence.journal import Journal, read_run
from harness.evidence.record import Record, sort_records
from harness.evidence.vocabulary import Kind
from harness.process.child import Stop
from harness.process.isolation import IsolatedChecker, Settings
from harness.process.workers import Share, Workers, asks_for_help

#: Lowerings for one check, fewer than for a user's own: there are hundreds, most of a single operator.
TRIES = 16
#: And for a whole model, each of which takes ten seconds.
TRIES_OF_A_MODEL = 3
#: Operators tried of one cause below level `full`; what helps one of them helps most of the others.
OF_A_CAUSE = 2
#: A line is written after so many.
_TELL_EVERY = 50


def look(
    directory: Path,
    settings: Settings,
    workers: int,
    say: Callable[[str], None],
    *,
    of_a_cause: int | None = OF_A_CAUSE,
) -> None:
    """Look for the ways around of the run in a directory, and write the records that have one, or none, to its
    journal; of so many operators of a cause, of all where it is None, and of all models."""
    todo = representatives(read_run(directory).records.values(), of_a_cause)
    if not todo:
        return
    say(f"ways around: looking for those of {len(todo)} causes and operators")
    todo.sort(key=lambda r: r.kind is not Kind.MODEL)  # the longest first: none is waited for at the end
    shares = [Share((Check.of(find(r.case), r.recipe, r.unit),), tries=_tries(r), records=(r,)) for r in todo]
    journal = Journal(directory, "ways-around")
    found = done = 0

    def keep(record: Record) -> None:
        nonlocal found, done
        journal.append(record)
        done += 1
        found += record.remedy is not None and record.remedy.is_verified
        if done % _TELL_EVERY == 0 or done == len(todo):
            say(f"ways around: {done} of {len(todo)} tried, {found} found")

    def make(stop: Stop) -> IsolatedChecker:
        return IsolatedChecker(settings, stop=stop)

    team = Workers(make, max(1, min(workers, len(shares))))
    try:
        team.check(shares, keep)
    finally:
        team.close()
        journal.close()


def _tries(record: Record) -> int:
    return TRIES_OF_A_MODEL if record.kind is Kind.MODEL else TRIES


def representatives(records: Iterable[Record], of_a_cause: int | None = None) -> list[Record]:
    """One failing record of each cause and operator which has none with a remedy yet: in float32 where it fails so,
    since a way around that gives up float16 would be none of the others'. Of each cause so many operators, models
    not counted."""
    chosen: dict[tuple[str, str], Record] = {}
    for record in sorted(sort_records(records), key=lambda r: not r.recipe.startswith("fp32")):
        if record.cause and asks_for_help(record):
            key = record.cause, record.op
            if key not in chosen or (record.remedy is not None and chosen[key].remedy is None):
                chosen[key] = record
    tried: Counter[str] = Counter()
    todo = []
    for (cause, _), record in chosen.items():
        if record.kind is not Kind.MODEL:
            tried[cause] += 1
            if of_a_cause is not None and tried[cause] > of_a_cause:
                continue
        if record.remedy is None:
            todo.append(record)
    return todo
