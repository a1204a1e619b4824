"""Known issues: outcomes other than `pass` that a release is allowed to have, as data, and strict.

The named outcome must still occur; an unexpected pass is an error; a pattern that matches no check is an error.
They lie in `suites/known_issues/*.yaml`, one file an outcome, each a list of causes. What is said of a cause stands
once, in `harness/evidence/causes/`; an entry whose cause is not described there says it itself.
"""

from __future__ import annotations

import fnmatch
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from harness.evidence import causes as described_causes
from harness.evidence.causes import Cause, Causes, read_causes, read_list, require_keys, stages_agree
from harness.evidence.conditions import Versions, holds, installed, require_conditions
from harness.evidence.files import write_text_atomically
from harness.evidence.ids import split_check_id
from harness.evidence.record import Record
from harness.evidence.vocabulary import RUNTIME, WORKING, HarnessError, Outcome, Phase, Trait, Unit, outcomes_with

#: Where in the stack a cause lies; `untriaged` until somebody has looked.
STAGES = (*described_causes.STAGES, "untriaged")

#: Outcomes of a wrong answer: of a wrong program it is the same on every unit, of a right one it is the unit's own.
_WRONG_ANSWER = outcomes_with(Trait.WRONG)

#: Outcomes that are the same wherever the program would run, so their entries name no unit.
ANY_UNIT = outcomes_with(Trait.SETTLED)


def on_any_unit(record: Record) -> bool:
    """Whether what a record found lies in the program, so that it is to be expected on every unit."""
    if record.outcome in ANY_UNIT:
        return True
    at_fault = record.unit == Unit.REFERENCE or record.stage not in ("", RUNTIME)
    return record.outcome in _WRONG_ANSWER and at_fault


@dataclass(frozen=True)
class KnownIssue:
    """One cause and the checks it explains.

    `checks` are patterns `case@recipe@unit`; the case is literal, recipe and unit may be globs. `when` limits the
    entry: a measured package to a version specifier (`coremltools: "<9.1"`), `os` to a platform (`macos`, `linux`),
    `chip` to processors (`Apple M1*`). `described` is the cause's description; title, stage and URL are its own then.
    """

    cause: str
    outcome: Outcome
    title: str
    stage: str = "untriaged"
    phase: Phase | None = None
    url: str = ""
    when: Mapping[str, str] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    described: Cause | None = None

    def described_by(self, cause: Cause | None) -> KnownIssue:
        """The entry with what is said of its cause; without a cause the entry as it is."""
        if cause is None:
            return self
        return replace(self, title=cause.title, stage=cause.stage, url=cause.url, described=cause)


@dataclass(frozen=True)
class Judgement:
    """What the known issues make of a record: `ok`, `expected` (a known issue), `unjudged`, or `red`."""

    verdict: str
    message: str
    issue: KnownIssue | None = None


class KnownIssues:
    """The entries that hold in this environment, indexed by case, and the causes that explain records."""

    def __init__(
        self,
        issues: Iterable[KnownIssue],
        versions: Versions | None = None,
        causes: Iterable[Cause] = (),
    ) -> None:
        versions = installed() if versions is None else versions
        self.causes = Causes(causes, versions)
        self.issues = [issue for issue in issues if _holds(issue, versions)]
        self._by_case: dict[str, list[tuple[str, str, KnownIssue]]] = defaultdict(list)
        for issue in self.issues:
            for pattern in issue.checks:
                case, recipe, unit = split_check_id(pattern)
                self._by_case[case].append((recipe, unit, issue))

    @classmethod
    def read(cls, directory: Path, versions: Versions | None = None) -> KnownIssues:
        """Those of a directory and the causes beside them; raises `HarnessError`."""
        causes = read_causes(directory)
        return cls(read_known_issues(directory, causes), versions, causes)

    def expected(self, check_id: str) -> KnownIssue | None:
        """The entry for a check; one that names recipe and unit exactly goes before a glob."""
        found = self._found(check_id)
        return found[0] if found else None

    def _found(self, check_id: str) -> tuple[KnownIssue, str] | None:
        """The entry, and the unit its pattern names."""
        case, recipe, unit = split_check_id(check_id)
        found = [
            (("*" in recipe_glob) + ("*" in unit_glob), number, issue, unit_glob)
            for number, (recipe_glob, unit_glob, issue) in enumerate(self._by_case.get(case, ()))
            if matches(recipe, unit, recipe_glob, unit_glob)
        ]
        return min(found)[2:] if found else None

    def judge(self, record: Record) -> Judgement:
        """Whether this outcome is allowed."""
        issue, unit = self._found(record.check_id) or (None, "")
        what = describe(record)
        if record.is_harness_fault:
            return Judgement("red", what)
        if record.outcome is Outcome.NOT_RUN:
            return Judgement("unjudged", record.reason)
        if issue is not None and computes_wider(issue, unit, record):
            return Judgement(
                "ok", f"{what}; {issue.cause} is known of units that compute no wider than they must", issue
            )
        if record.outcome is Outcome.PASS:
            if issue is not None:
                return Judgement("red", _unexpected_pass(issue, unit, record), issue)
            return Judgement("ok", what)
        if issue is None:
            return Judgement("red", f"new: {what}")
        if changed := self.disagreement(issue, record):
            return Judgement("red", f"changed: known issue {issue.cause} {changed}", issue)
        return Judgement("expected", f"{issue.cause}: {issue.title}", issue)

    def disagreement(self, issue: KnownIssue, record: Record) -> str:
        """What the entry says otherwise of the record: outcome, phase or, where it is described, its cause."""
        if issue.outcome is not record.outcome:
            return f"expects {issue.outcome}, got {describe(record)}"
        if issue.phase not in (None, record.phase):
            return f"expects phase {issue.phase}, got {describe(record)}"
        if not stages_agree(issue.stage, record):
            return f"is one of {issue.stage}, got {describe(record)}"
        cause = self.causes.cause_of(record)
        if issue.described is not None and (cause is None or cause.cause != issue.cause):
            other = "no described cause" if cause is None else cause.cause
            return f"does not explain {describe(record)}; {other} does"
        return ""

    def unit_lines(self, records: Iterable[Record]) -> list[str]:
        """What units of Core ML do otherwise than the entries for all units say, a line for each unit and kind."""
        found: Counter[tuple[str, str]] = Counter()
        for record in records:
            if not record.unit_spec.runs_core_ml:
                continue
            judgement = self.judge(record)
            if judgement.verdict == "red" and record.stage == RUNTIME:
                found[record.unit, "failed at runtime, with a program the reference gets right or finishes"] += 1
            elif judgement.issue is not None and record.outcome is Outcome.PASS and judgement.verdict == "red":
                found[record.unit, "passed where an entry for all units expects otherwise: see 'unexpected pass'"] += 1
            elif judgement.issue is not None and judgement.verdict == "ok":
                found[record.unit, "passed where the recipe's precision does not suffice on the reference"] += 1
        counted = {key: f"{count} check{'' if count == 1 else 's'}" for key, count in sorted(found.items())}
        return [f"{unit}: {checks} {what}" for (unit, what), checks in counted.items()]

    def unmatched(self, cases: Iterable[str]) -> list[str]:
        """Cases named by entries that no suite has (any more), each with its cause."""
        known = set(cases)
        return sorted(f"{case} ({entries[0][2].cause})" for case, entries in self._by_case.items() if case not in known)


def computes_wider(issue: KnownIssue, unit: str, record: Record) -> bool:
    """Whether Core ML works where the recipe's precision did not suffice on the reference, and may.

    An ML Program's types say how precise a unit must be at least, so an entry for any unit (`unit`, the pattern's, is
    a glob) claims no more of Core ML's. On the reference, and where the entry names the unit, it is strict.
    """
    of_any = issue.stage == "precision" and "*" in unit
    return of_any and record.outcome in WORKING and record.unit_spec.runs_core_ml


def _unexpected_pass(issue: KnownIssue, unit: str, record: Record) -> str:
    text = f"unexpected pass: known issue {issue.cause} expects {issue.outcome}"
    if "*" not in unit or not record.unit_spec.runs_core_ml:
        return text
    reference = record.against_reference.get("outcome")
    beside = f"; the reference executor: {reference}" if reference else ""
    return (
        f"{text} on any unit, {record.unit} is right{beside}. If it stays so, let the entry name the units that fail: "
        "coreml-harness triage --evidence RUN, or pytest --update-known-issues"
    )


def describe(record: Record) -> str:
    """One line: outcome, phase, stage where it is known, and what was raised or measured."""
    text = f"{record.outcome} in {record.phase}" + (f" (stage {record.stage})" if record.stage else "")
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


def _holds(issue: KnownIssue, versions: Versions) -> bool:
    return holds(issue.when, versions) and (issue.described is None or holds(issue.described.when, versions))


def matches(recipe: str, unit: str, recipe_glob: str, unit_glob: str) -> bool:
    """Whether a pattern that names the record's case means its recipe and unit too."""
    return fnmatch.fnmatchcase(recipe, recipe_glob) and fnmatch.fnmatchcase(unit, unit_glob)


def read_known_issues(directory: Path, causes: Sequence[Cause] = (), *, triage: bool = False) -> list[KnownIssue]:
    """Every entry of every file of a directory; `HarnessError` names file and entry when one is malformed.

    With `triage`, an entry may say too much or too little of its cause, which got or lost a description meanwhile.
    """
    by_slug = {cause.cause: cause for cause in causes}
    issues: list[KnownIssue] = []
    for path in sorted(directory.glob("*.yaml")):
        for number, entry in enumerate(read_list(path), start=1):
            try:
                issues.append(_parse(entry, by_slug, triage))
            except (ValueError, HarnessError) as error:
                raise HarnessError(f"{path}: entry {number}: {error}") from None
    return issues


_KEYS = frozenset(f.name for f in fields(KnownIssue)) - {"described"}
#: What an entry says of its cause, unless the cause's description does.
_OF_CAUSE = ("title", "stage", "url")


def _parse(entry: Any, by_slug: Mapping[str, Cause], triage: bool) -> KnownIssue:
    slug = entry.get("cause") if isinstance(entry, dict) else None
    cause = by_slug.get(slug) if isinstance(slug, str) else None
    require_keys(entry, _KEYS, {"cause", "outcome", "checks"})
    if cause is None and not triage and "title" not in entry:
        raise HarnessError(f"{slug} has no title, and no description among the causes: run `coreml-harness triage`")
    if cause is not None and not triage and (twice := [key for key in _OF_CAUSE if key in entry]):
        raise HarnessError(f"{', '.join(twice)}: said already in the description of {slug}")
    _require_types(entry)
    issue = KnownIssue(
        cause=entry["cause"],
        outcome=Outcome(entry["outcome"]),
        title=entry.get("title", ""),
        stage=entry.get("stage", "untriaged"),
        phase=Phase(entry["phase"]) if "phase" in entry else None,
        url=entry.get("url", ""),
        when=entry.get("when", {}),
        checks=tuple(entry["checks"]),
    )
    for pattern in issue.checks:
        split_check_id(pattern)
    if issue.stage not in STAGES:
        raise HarnessError(f"stage {issue.stage!r} is none of {', '.join(STAGES)}")
    if issue.outcome in described_causes.CAUSELESS:
        raise HarnessError(f"{issue.outcome} is no outcome to be known for")
    return issue.described_by(cause)


def _require_types(entry: Mapping[str, Any]) -> None:
    for key, value in entry.items():
        if key == "checks":
            if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
                raise HarnessError("checks: expected a list of patterns case@recipe@unit")
        elif key == "when":
            require_conditions(value)
        elif not isinstance(value, str):
            raise HarnessError(f"{key}: expected text, got {value!r}")


_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


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
        head = f"# Checks whose outcome is {outcome}, by cause. Rewritten by: coreml-harness triage\n"
        body = yaml.dump([_to_data(i) for i in entries], Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=200)
        write_text_atomically(path, head + body)


def _to_data(issue: KnownIssue) -> dict[str, Any]:
    data: dict[str, Any] = {"cause": issue.cause, "outcome": str(issue.outcome)}
    if issue.described is None:
        data = {"cause": issue.cause, "title": issue.title, "stage": issue.stage, "outcome": str(issue.outcome)}
    if issue.phase is not None:
        data["phase"] = str(issue.phase)
    if issue.url and issue.described is None:
        data["url"] = issue.url
    if issue.when:
        data["when"] = dict(issue.when)
    data["checks"] = list(issue.checks)
    return data
