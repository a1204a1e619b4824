"""Known issues: outcomes other than `pass` that a release is allowed to have, as data, and strict.

The named outcome must still occur; an unexpected pass is an error; a pattern that matches no check is an error.
They lie in `suites/known_issues/*.yaml`, one file an outcome, each a list of causes.
"""

from __future__ import annotations

import fnmatch
import hashlib
import platform
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from harness.evidence.environment import MEASURED, chip, version_of
from harness.evidence.files import write_text_atomically
from harness.evidence.record import Record, natural_key, split_check_id
from harness.evidence.vocabulary import HarnessError, Outcome, Phase

#: Where in the stack a cause lies; `untriaged` until somebody has looked.
STAGES = ("partitioner", "decomposition", "converter", "mil_pass", "runtime", "precision", "limitation", "untriaged")

#: Outcomes that are the same wherever the program would run, so their entries name no unit.
_ANY_UNIT = frozenset(
    {
        Outcome.PARTIAL,
        Outcome.FALLBACK,
        Outcome.UNSUPPORTED,
        Outcome.CONVERT_ERROR,
        Outcome.EMIT_ERROR,
        Outcome.INVALID_CASE,
    }
)


@dataclass(frozen=True)
class KnownIssue:
    """One cause and the checks it explains.

    `checks` are patterns `case@recipe@unit`; the case is literal, recipe and unit may be globs. `when` limits the
    entry: a measured package to a version specifier (`coremltools: "<9.1"`), `os` to a platform (`macos`, `linux`),
    `chip` to processors (`Apple M1*`).
    """

    cause: str
    outcome: Outcome
    title: str
    stage: str = "untriaged"
    phase: Phase | None = None
    url: str = ""
    when: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What the known issues make of a record: `ok`, `expected` (a known issue), `unjudged`, or `red`."""

    verdict: str
    message: str
    issue: KnownIssue | None = None


class KnownIssues:
    """The entries that hold in this environment, indexed by case."""

    def __init__(self, issues: Iterable[KnownIssue], versions: Mapping[str, str | None] | None = None) -> None:
        versions = installed() if versions is None else versions
        self.issues = [issue for issue in issues if _holds(issue, versions)]
        self._by_case: dict[str, list[tuple[str, str, KnownIssue]]] = defaultdict(list)
        for issue in self.issues:
            for pattern in issue.checks:
                case, recipe, unit = split_check_id(pattern)
                self._by_case[case].append((recipe, unit, issue))

    def expected(self, check_id: str) -> KnownIssue | None:
        """The entry for a check; one that names recipe and unit exactly goes before a glob."""
        case, recipe, unit = split_check_id(check_id)
        found = [
            (("*" in recipe_glob) + ("*" in unit_glob), number, issue)
            for number, (recipe_glob, unit_glob, issue) in enumerate(self._by_case.get(case, ()))
            if _matches(recipe, unit, recipe_glob, unit_glob)
        ]
        return min(found)[2] if found else None

    def judge(self, record: Record) -> Judgement:
        """Whether this outcome is allowed."""
        issue = self.expected(record.check_id)
        what = describe(record)
        if record.is_harness_fault:
            return Judgement("red", what)
        if record.outcome is Outcome.NOT_RUN:
            return Judgement("unjudged", record.reason)
        if record.outcome is Outcome.PASS:
            if issue is not None:
                return Judgement("red", f"unexpected pass: known issue {issue.cause} expects {issue.outcome}", issue)
            return Judgement("ok", what)
        if issue is None:
            return Judgement("red", f"new: {what}")
        if issue.outcome is not record.outcome:
            return Judgement("red", f"changed: known issue {issue.cause} expects {issue.outcome}, got {what}", issue)
        if issue.phase is not None and issue.phase is not record.phase:
            return Judgement(
                "red", f"changed: known issue {issue.cause} expects phase {issue.phase}, got {what}", issue
            )
        return Judgement("expected", f"{issue.cause}: {issue.title}", issue)

    def unmatched(self, cases: Iterable[str]) -> list[str]:
        """Cases named by entries that no suite has (any more), each with its cause."""
        known = set(cases)
        return sorted(f"{case} ({entries[0][2].cause})" for case, entries in self._by_case.items() if case not in known)


def describe(record: Record) -> str:
    """One line: outcome, phase and what was raised or measured."""
    text = f"{record.outcome} in {record.phase}"
    if record.is_harness_fault:
        text += f": {record.reason}"
    elif record.error is not None and record.error.type != str(record.outcome):
        first = record.error.message.strip().splitlines()
        text += f": {record.error.type}: {first[0] if first else ''}"
    elif record.reason:
        text += f": {record.reason}"
    elif record.fallback:
        text += f": left to ExecuTorch: {', '.join(record.fallback)}"
    return text[:400]


def installed() -> dict[str, str | None]:
    """Versions of the measured packages here, the platform as `os`, the processor's name as `chip`."""
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    return {**{name: version_of(name) for name in MEASURED}, "os": system, "chip": chip()}


#: Conditions that are globs; the others are version specifiers.
_BY_GLOB = ("os", "chip")


def _holds(issue: KnownIssue, versions: Mapping[str, str | None]) -> bool:
    for name, condition in issue.when.items():
        actual = versions.get(name)
        if actual is None:
            return False
        if name in _BY_GLOB:
            if not fnmatch.fnmatchcase(actual, condition):
                return False
        elif not SpecifierSet(condition).contains(actual.split("+")[0], prereleases=True):
            return False
    return True


def read_known_issues(directory: Path) -> list[KnownIssue]:
    """Every entry of every file of a directory; `HarnessError` names file and entry when one is malformed."""
    issues: list[KnownIssue] = []
    for path in sorted(directory.glob("*.yaml")):
        try:
            entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader) or []
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise HarnessError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
        if not isinstance(entries, list):
            raise HarnessError(f"{path}: expected a list of causes")
        issues += [_parse(path, number, entry) for number, entry in enumerate(entries, start=1)]
    return issues


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEYS = frozenset(f.name for f in fields(KnownIssue))


def _parse(path: Path, number: int, entry: Any) -> KnownIssue:
    try:
        _require_well_formed(entry)
        issue = KnownIssue(
            cause=entry["cause"],
            outcome=Outcome(entry["outcome"]),
            title=entry["title"],
            stage=entry.get("stage", "untriaged"),
            phase=Phase(entry["phase"]) if "phase" in entry else None,
            url=entry.get("url", ""),
            when=entry.get("when", {}),
            checks=tuple(entry["checks"]),
        )
        for pattern in issue.checks:
            split_check_id(pattern)
    except (ValueError, HarnessError) as error:
        raise HarnessError(f"{path}: entry {number}: {error}") from None
    if issue.stage not in STAGES:
        raise HarnessError(f"{path}: entry {number}: stage {issue.stage!r} is none of {', '.join(STAGES)}")
    if issue.outcome in (Outcome.PASS, Outcome.NOT_RUN):
        raise HarnessError(f"{path}: entry {number}: {issue.outcome} is no outcome to be known for")
    return issue


def _require_well_formed(entry: Any) -> None:
    """Raises `HarnessError`. What is misspelt must not be taken for absent: an entry would hold where it should not."""
    if not isinstance(entry, dict):
        raise HarnessError(f"expected a mapping, got {entry!r}")
    if unknown := sorted(str(key) for key in entry if key not in _KEYS):
        raise HarnessError(f"unknown keys {', '.join(unknown)}")
    if missing := sorted({"cause", "title", "outcome", "checks"} - set(entry)):
        raise HarnessError(f"lacks {', '.join(missing)}")
    for key, value in entry.items():
        if key == "checks":
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise HarnessError("checks: expected a list of patterns case@recipe@unit")
        elif key == "when":
            _require_conditions(value)
        elif not isinstance(value, str):
            raise HarnessError(f"{key}: expected text, got {value!r}")


def _require_conditions(when: Any) -> None:
    if not isinstance(when, dict) or not all(isinstance(v, str) for v in when.values()):
        raise HarnessError("when: expected a mapping of package, os or chip to a condition")
    for name, condition in when.items():
        if name in _BY_GLOB:
            continue
        if name not in MEASURED:
            raise HarnessError(f"when: {name!r} is neither os, chip nor one of {', '.join(MEASURED)}")
        try:
            SpecifierSet(condition)
        except InvalidSpecifier:
            raise HarnessError(f"when: {condition!r} is no version specifier, such as '<9.1'") from None


def grouping_signature(record: Record) -> str:
    """What records of one untriaged cause have in common."""
    if record.outcome in (Outcome.PARTIAL, Outcome.FALLBACK):
        return f"not claimed by the partitioner: {', '.join(sorted(record.fallback)) or 'nothing to delegate'}"
    if record.outcome is Outcome.INVALID_CASE:
        return re.sub(r"\d+", "N", record.reason.partition("\n")[0])[:160]
    if record.phase in (Phase.SHAPE, Phase.DTYPE, Phase.VALUE):
        return f"{record.op}: {record.outcome}"
    return record.error.signature if record.error is not None else record.reason[:160]


def update(issues: Iterable[KnownIssue], records: Iterable[Record]) -> list[KnownIssue]:
    """Entries that agree with these records.

    A pattern stays when every record it matches agrees with it, so also when it matches none. A record whose entry
    says the truth, but under a pattern that no longer does, keeps the entry with its title, stage and URL under a
    new pattern. What no entry explains is grouped by signature into new, untriaged ones.
    """
    issues = list(issues)
    here = KnownIssues(issues)
    # Entries for other versions are not ours to rewrite.
    elsewhere = [issue for issue in issues if not any(issue is held for held in here.issues)]
    cases: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.outcome is not Outcome.NOT_RUN:
            cases[record.case].append(record)
    kept: dict[int, set[str]] = defaultdict(set)
    explained: set[str] = set()
    for issue in here.issues:
        for pattern in issue.checks:
            case, recipe, unit = split_check_id(pattern)
            covered = [r for r in cases.get(case, ()) if _matches(r.recipe, r.unit, recipe, unit)]
            if all(_agrees(issue, record) for record in covered):
                kept[id(issue)].add(pattern)
                explained.update(record.check_id for record in covered)
    fresh: dict[_Group, set[str]] = defaultdict(set)
    for group in cases.values():
        placed = [(record, _place(record, here, explained)) for record in group]
        for pattern, (issue_number, new) in _patterns(placed):
            if new is None:
                kept[issue_number].add(pattern)
            else:
                fresh[new].add(pattern)
    result = [_with_checks(issue, kept[id(issue)]) for issue in here.issues if kept[id(issue)]]
    for (outcome, phase, signature), checks in fresh.items():
        cause = _cause_id(outcome, signature)
        same = next((i for i in result if (i.cause, i.outcome, i.phase) == (cause, outcome, phase)), None)
        if same is not None:
            result.remove(same)
            result.append(_with_checks(same, checks | set(same.checks)))
        else:
            result.append(_with_checks(KnownIssue(cause, outcome, signature, _stage(outcome), phase), checks))
    return elsewhere + result


#: What makes records one untriaged cause: outcome, phase, signature.
_Group = tuple[Outcome, Phase, str]
#: Where a record goes: `(id of an entry, None)` or `(0, group)`; None when it needs no pattern.
_Place = tuple[int, _Group | None]


def _matches(recipe: str, unit: str, recipe_glob: str, unit_glob: str) -> bool:
    return fnmatch.fnmatchcase(recipe, recipe_glob) and fnmatch.fnmatchcase(unit, unit_glob)


def _agrees(issue: KnownIssue, record: Record) -> bool:
    return issue.outcome is record.outcome and issue.phase in (None, record.phase)


def _place(record: Record, here: KnownIssues, explained: set[str]) -> _Place | None:
    if record.outcome is Outcome.PASS or record.check_id in explained:
        return None
    found = here.expected(record.check_id)
    if found is not None and _agrees(found, record):
        return id(found), None
    return 0, (record.outcome, record.phase, grouping_signature(record))


def _patterns(placed: list[tuple[Record, _Place | None]]) -> Iterable[tuple[str, _Place]]:
    """Patterns for the records of one case that have a place. A glob never covers a record that goes elsewhere."""
    places = {place for _, place in placed}
    units = {record.unit for record, _ in placed}
    first, place = placed[0]
    any_unit = first.outcome in _ANY_UNIT
    if len(placed) > 1 and len(places) == 1 and place is not None and (any_unit or len(units) == 1):
        yield f"{first.case}@*@{'*' if any_unit else first.unit}", place
        return
    for record, place in placed:
        if place is not None:
            alike = all(other == place for r, other in placed if r.recipe == record.recipe)
            unit = "*" if record.outcome in _ANY_UNIT and alike else record.unit
            yield f"{record.case}@{record.recipe}@{unit}", place


def _with_checks(issue: KnownIssue, checks: Iterable[str]) -> KnownIssue:
    return replace(issue, checks=tuple(sorted(checks, key=natural_key)))


def _cause_id(outcome: Outcome, signature: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", signature.lower()).strip("-")[:40].strip("-")
    return f"{str(outcome).replace('_', '-')}-{words}-{hashlib.sha256(signature.encode()).hexdigest()[:6]}"


def _stage(outcome: Outcome) -> str:
    return "limitation" if outcome in (Outcome.PARTIAL, Outcome.FALLBACK, Outcome.UNSUPPORTED) else "untriaged"


def write_known_issues(directory: Path, issues: Iterable[KnownIssue]) -> None:
    """One file an outcome; a file without entries is removed."""
    by_outcome: dict[Outcome, list[KnownIssue]] = defaultdict(list)
    for issue in issues:
        by_outcome[issue.outcome].append(issue)
    for outcome in Outcome:
        path = directory / f"{outcome}.yaml"
        entries = sorted(by_outcome.get(outcome, ()), key=lambda issue: (issue.cause, str(issue.phase)))
        if not entries:
            path.unlink(missing_ok=True)
            continue
        head = f"# Checks whose outcome is {outcome}, by cause. Rewritten by: pytest suites --update-known-issues\n"
        body = yaml.safe_dump([_to_data(i) for i in entries], sort_keys=False, allow_unicode=True, width=200)
        write_text_atomically(path, head + body)


def _to_data(issue: KnownIssue) -> dict[str, Any]:
    data: dict[str, Any] = {
        "cause": issue.cause,
        "title": issue.title,
        "stage": issue.stage,
        "outcome": str(issue.outcome),
    }
    if issue.phase is not None:
        data["phase"] = str(issue.phase)
    if issue.url:
        data["url"] = issue.url
    if issue.when:
        data["when"] = dict(issue.when)
    data["checks"] = list(issue.checks)
    return data
