"""Triage: each failing record goes to the described cause that explains it, the rest into groups nobody has looked at.

Rewrites the known issues to agree with records, those of a run or of committed evidence.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from harness.evidence.causes import Cause, Causes
from harness.evidence.conditions import Versions, recorded
from harness.evidence.files import Evidence, is_simulated
from harness.evidence.ids import split_check_id
from harness.evidence.known_issues import KnownIssue, KnownIssues, computes_wider, matches, on_any_unit
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import BY_VALUE, RUNTIME, WORKING, Outcome, Phase, Trait, outcomes_with

#: Of a title that is a signature.
_LONGEST = 160
#: An operator named in a message: the same refusal of a hundred operators is one problem.
_OPERATOR = re.compile(r"(?:torch\._ops\.)?\b(?:aten|prims|dim_order_ops|torchvision)(?:\.|::)\w+(?:\.\w+)?")


def grouping_signature(record: Record) -> str:
    """What equal failures have in common: the error's type and signature, or the operator with the wrong result.

    Of what works, the operators that were left out; of the rest, the reason without its numbers.
    """
    if record.outcome in WORKING:
        return f"not claimed by the partitioner: {', '.join(sorted(record.fallback)) or 'nothing to delegate'}"
    if record.outcome in BY_VALUE:
        return record.subject
    if record.outcome is Outcome.INVALID_CASE:
        return re.sub(r"\d+", "N", record.reason.partition("\n")[0])
    if record.error is not None:
        return _OPERATOR.sub("<operator>", record.error.text)
    return record.reason or str(record.outcome)


def named(evidence: Evidence, causes: Sequence[Cause]) -> list[Record]:
    """The records, each with the slug of the cause that explains it in its environment.

    Where no cause is described, the records keep what they say.
    """
    if not causes:
        return evidence.records
    names = {record.environment for record in evidence.records}
    here = {name: Causes(causes, recorded(evidence.environments.get(name, {}))) for name in names}
    return [here[record.environment].name(record) for record in evidence.records]


def retriage(issues: Iterable[KnownIssue], evidence: Evidence, causes: Sequence[Cause]) -> list[KnownIssue]:
    """`update` from the records of each environment in turn; a simulated host's say nothing.

    Entries say nothing of environments on their own: where two disagree about a check, the last by name counts.
    """
    issues = list(issues)
    for name, block in sorted(evidence.environments.items()):
        if not is_simulated(block):
            records = [record for record in evidence.records if record.environment == name]
            issues = update(issues, records, causes, recorded(block))
    return issues


def update(
    issues: Iterable[KnownIssue],
    records: Iterable[Record],
    causes: Sequence[Cause] = (),
    versions: Versions | None = None,
) -> list[KnownIssue]:
    """Entries that agree with these records.

    A record goes to the described cause that explains it. Of what no cause explains, a record whose entry says the
    truth keeps that entry, with its title, stage and URL; the others are grouped by signature into new, untriaged
    ones. A pattern stays when every record it matches agrees with it, so also when it matches none.
    """
    by_slug = {cause.cause: cause for cause in causes}
    # What lost its description has nothing more to say; only patterns of checks not run here keep its name.
    lost = {issue.cause for issue in issues if not issue.title}
    issues = [
        replace(issue, title=f"no longer described: {issue.cause}") if issue.cause in lost else issue
        for issue in (issue.described_by(by_slug.get(issue.cause)) for issue in issues)
    ]
    here = KnownIssues(issues, versions, causes)
    held = {id(issue) for issue in here.issues}
    # Entries for other versions are not ours to rewrite.
    elsewhere = [issue for issue in issues if id(issue) not in held]

    def agrees(issue: KnownIssue, record: Record) -> bool:
        if issue.described is None and (issue.cause in lost or here.causes.cause_of(record) is not None):
            return False
        return not here.disagreement(issue, record)

    cases: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.outcome is not Outcome.NOT_RUN:
            cases[record.case].append(record)
    kept: dict[int, set[str]] = defaultdict(set)
    explained: set[str] = set()
    for issue in here.issues:
        for pattern in issue.checks:
            case, recipe, unit = split_check_id(pattern)
            covered = [r for r in cases.get(case, ()) if matches(r.recipe, r.unit, recipe, unit)]
            if all(agrees(issue, record) or computes_wider(issue, unit, record) for record in covered):
                kept[id(issue)].add(pattern)
                explained.update(record.check_id for record in covered)
    fresh: dict[_Group, set[str]] = defaultdict(set)
    for group in cases.values():
        placed = [(record, _place(record, here, agrees, explained)) for record in group]
        for pattern, (issue_number, new) in _patterns(placed):
            if new is None:
                kept[issue_number].add(pattern)
            else:
                fresh[new].add(pattern)
    result = [_with_checks(issue, kept[id(issue)]) for issue in here.issues if kept[id(issue)]]
    for (outcome, phase, cause, signature, stage), checks in fresh.items():
        slug = cause or _cause_id(outcome, signature)
        same = next((i for i in result if (i.cause, i.outcome, i.phase) == (slug, outcome, phase)), None)
        if same is not None:
            result.remove(same)
            result.append(_with_checks(same, checks | set(same.checks)))
        else:
            issue = KnownIssue(slug, outcome, signature, stage, phase).described_by(by_slug.get(slug))
            result.append(_with_checks(issue, checks))
    return elsewhere + result


#: What makes records one entry: outcome, phase, the described cause, or else the signature, and its stage.
_Group = tuple[Outcome, Phase, str, str, str]
#: Where a record goes: `(id of an entry, None)` or `(0, group)`; None when it needs no pattern.
_Place = tuple[int, _Group | None]


def _place(
    record: Record, here: KnownIssues, agrees: Callable[[KnownIssue, Record], bool], explained: set[str]
) -> _Place | None:
    if record.outcome is Outcome.PASS or record.check_id in explained:
        return None
    found = here.expected(record.check_id)
    if found is not None and agrees(found, record):
        return id(found), None
    cause = here.causes.cause_of(record)
    if cause is not None:
        return 0, (record.outcome, record.phase, cause.cause, "", cause.stage)
    at_runtime = " at runtime" if record.stage == RUNTIME else ""
    signature = f"{grouping_signature(record)[:_LONGEST]}{at_runtime}"
    return 0, (record.outcome, record.phase, "", signature, _stage(record))


def _patterns(placed: list[tuple[Record, _Place | None]]) -> Iterable[tuple[str, _Place]]:
    """Patterns for the records of one case that have a place. A glob never covers a record that goes elsewhere."""
    places = {place for _, place in placed}
    units = {record.unit for record, _ in placed}
    first, place = placed[0]
    any_unit = all(on_any_unit(record) for record, _ in placed)
    if len(placed) > 1 and len(places) == 1 and place is not None and (any_unit or len(units) == 1):
        yield f"{first.case}@*@{'*' if any_unit else first.unit}", place
        return
    for record, place in placed:
        if place is not None:
            alike = all(other == place for r, other in placed if r.recipe == record.recipe)
            unit = "*" if on_any_unit(record) and alike else record.unit
            yield f"{record.case}@{record.recipe}@{unit}", place


def _with_checks(issue: KnownIssue, checks: Iterable[str]) -> KnownIssue:
    return replace(issue, checks=tuple(sorted(checks, key=natural_key)))


def _cause_id(outcome: Outcome, signature: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", signature.lower()).strip("-")[:40].strip("-")
    return f"{str(outcome).replace('_', '-')}-{words}-{hashlib.sha256(signature.encode()).hexdigest()[:6]}"


def _stage(record: Record) -> str:
    if record.stage == RUNTIME:
        return RUNTIME
    return "limitation" if record.outcome in outcomes_with(Trait.LIMITED) else "untriaged"
