"""A way around a failing check, in the process that measures: each change lowered and judged by the corridor itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

from harness.cases.case import Built, Case, CaseFault, Partitioning, partitioned
from harness.check import Checker
from harness.diagnosis.blame import LOCALISED, blamed
from harness.diagnosis.rewrites import keeps_results, rewritten
from harness.diagnosis.ways_around import Change, operator_of, search
from harness.evidence.causes import Causes
from harness.evidence.check import Check
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import Record
from harness.evidence.remedy import SKIP, Remedy, partitioner_options
from harness.evidence.vocabulary import OF_MODULES, Kind, Phase
from harness.lowering.edge import is_taken_apart, operators_of
from harness.lowering.lower import export


def find(
    checker: Checker,
    check: Check[Case],
    failing: Record,
    tries: int,
    causes: Causes,
    on_phase: Callable[[Phase], None] = lambda _phase: None,
) -> Remedy:
    """The least change that makes the failing check work, of those that so many lowerings can try."""
    case = check.case
    #: By rewrite and the operator it is about: the case, and what its attempts share.
    rewrites: dict[tuple[str, str], tuple[Case, Checker] | None] = {("", ""): (case, checker)}

    def attempt(change: Change) -> Record | None:
        key = change.rewrite, change.operator
        if key not in rewrites:
            after = _rewritten(case, change)
            rewrites[key] = None if after is None else (after, Checker(checker.environment, checker.cache))
        if (shared := rewrites[key]) is None:
            return None
        before, own = shared
        partitioning = functools.partial(_partitioning, change=change)
        one = Check(before, change.recipe, check.unit)
        record = own.check(one, on_phase, plan=False, change=partitioning)
        return _named(causes.name(record), partitioned(before, partitioning), change)

    def operators() -> list[str]:
        try:
            return operators_of(export(case.build()))
        except CaseFault:
            return []

    first = _named(causes.name(failing), case, Change(check.recipe))
    return _with_options(search(first, check.recipe, attempt, operators, tries, is_taken_apart), case)


def _with_options(remedy: Remedy, case: Case) -> Remedy:
    """With what the case gives the partitioner anyway, which its author has to give still."""
    if remedy.outcome is None or not (given := dict(case.build().partitioning.options)):
        return remedy
    options = partitioner_options(remedy.skip, given)
    skip = tuple(options.pop(SKIP, ()))
    return replace(remedy, skip=skip, options={name: repr(value) for name, value in options.items()})


def _rewritten(case: Case, change: Change) -> Case | None:
    """The case with the rewrite; None where it has nothing to rewrite, or would not do the same."""

    def build() -> Built:
        built = rewritten(change.rewrite, case.build(), change.operator)
        assert built is not None  # it was made once before
        return built

    try:
        after = rewritten(change.rewrite, case.build(), change.operator)
        # Judged by its own eager results, which have to be those of the case.
        if after is None or not keeps_results(case.build(), after):
            return None
    except Exception:  # what the exported graph does not take, or eager does not compare
        return None
    return replace(case, build=build, named=False)


def _partitioning(given: Partitioning, change: Change) -> Partitioning:
    return replace(
        given,
        admit=tuple(dict.fromkeys([*given.admit, *sorted(change.preserve)])),
        options=tuple(partitioner_options(sorted(change.skip), dict(given.options)).items()),
        unchecked=given.unchecked or change.unchecked,
    )


def _named(record: Record, case: Case, change: Change) -> Record:
    """With the operator that its outcome is put down to: where nothing tells, that of an operator's own case."""
    if operator_of(record):
        return record
    operator = ""
    if record.outcome in LOCALISED and case.kind not in OF_MODULES:  # of a module it was looked for
        operator = next((place.operator for place in blamed(case, change.recipe)[0]), "")
    if not operator and case.kind is Kind.OPERATOR:
        operator = case.op
    return record.with_(notes=[*record.notes, Note(NoteCode.OPERATOR, operator)]) if operator else record
