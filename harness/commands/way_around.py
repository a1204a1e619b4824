"""A way around a failing check, in the process that measures: each change lowered and judged by the corridor itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

from harness.cases.case import Built, Case, CaseFault
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

    def attempt(change: Change) -> Record | None:
        try:
            if change.rewrite:
                after = _changed(case, change)
                # Judged by its own eager results, which have to be those of the case.
                if after is None or not keeps_results(case.build(), after):
                    return None
        except Exception:  # what the exported graph does not take, or eager does not compare
            return None
        changed = replace(case, build=functools.partial(_build, case, change), named=case.named and not change.rewrite)
        own = Checker(checker.environment, checker.cache)
        record = own.check(Check(changed, change.recipe, check.unit), on_phase, plan=False)
        return _named(causes.name(record), changed, change)

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


def _build(case: Case, change: Change) -> Built:
    built = _changed(case, change)
    assert built is not None  # it was made once before
    return built


def _changed(case: Case, change: Change) -> Built | None:
    built: Built | None = case.build()
    assert built is not None
    if change.rewrite:
        built = rewritten(change.rewrite, built, change.operator)
        if built is None:
            return None
    given = built.partitioning
    return replace(
        built,
        partitioning=replace(
            given,
            admit=tuple(dict.fromkeys([*given.admit, *sorted(change.preserve)])),
            options=tuple(partitioner_options(sorted(change.skip), dict(given.options)).items()),
            unchecked=given.unchecked or change.unchecked,
        ),
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
