"""The findings page: what is wrong upstream, cause by cause, with the checks that show it. Equal input, equal bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.evidence.causes import Cause
from harness.evidence.partitioner_rules import is_switched_off
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import RANK, UNJUDGED, WORKING, Effect, Outcome, outcomes_of
from harness.publish.environments import describe_environment
from harness.publish.markdown import anchor, code, codes, counted, plain, table
from harness.publish.model import Matrix
from harness.publish.priority import NOWHERE, Priority, priorities
from harness.publish.problems import Problem, problems
from harness.publish.remedies import of_cause

PAGE = "findings.md"
PRECISION = "Imprecise"
LIMITATIONS = "Limitations"
HELD_BACK = "Held back by the partitioner"
NO_JUDGEMENT = "Cases that judge nothing"
#: Causes in the table of what to mend first.
FIRST = 25
#: Sections of causes: heading, what it means, and the outcomes, of which a cause's worst decides.
BY_OUTCOME: tuple[tuple[str, str, frozenset[Outcome]], ...] = (
    ("Silently wrong", "The model lowers and runs, and gives a wrong result.", outcomes_of(Effect.WRONG)),
    (
        "Invalid program",
        "The emitted program contradicts itself: what it declares is not what its operators give.",
        outcomes_of(Effect.CONTRADICTORY),
    ),
    (
        "Fails to lower, load or run",
        "Claimed by the partitioner; then an exception ends lowering, loading or running, and with it the whole model.",
        outcomes_of(Effect.FAILS),
    ),
    (
        "Out of range",
        "The result is finite in PyTorch, infinite, NaN or saturated in the recipe's precision.",
        outcomes_of(Effect.OUT_OF_RANGE),
    ),
    (
        "Not the same twice",
        "Two equal predictions give different answers, each within its bound.",
        outcomes_of(Effect.UNSTABLE),
    ),
    (
        "Refused or left out by a defect",
        "Nothing is wrong in what comes out, yet the operator could be delegated.",
        outcomes_of(Effect.REFUSED, Effect.LEFT_OUT, Effect.IN_PART),
    ),
)
PRECISION_INTRO = (
    "The emitted program is right; carried out in the recipe's precision it loses more than its bound allows."
)
HELD_BACK_INTRO = (
    "Defects that nobody meets, because the partitioner leaves these operators to ExecuTorch: seen only where a check "
    "makes it take them. They are what a rule is for, or what stands in the way of claiming more "
    "([partitioner.md](partitioner.md))."
)
_ALIGNED = ["left", "left", "right", "left", "right"]
_SECTION_OF = {outcome: heading for heading, _, outcomes in BY_OUTCOME for outcome in outcomes}
HEADINGS = (*(heading for heading, *_ in BY_OUTCOME[:-1]), PRECISION, BY_OUTCOME[-1][0], HELD_BACK)


@dataclass
class Finding:
    """A cause and the failing checks it explains, from every environment of the evidence; its fix `priority`."""

    cause: Cause
    records: list[Record] = field(default_factory=list)
    priority: Priority = NOWHERE

    @property
    def worst(self) -> Outcome:
        """Of the outcomes seen, or, where none was, of those its rules name."""
        seen = {record.outcome for record in self.records}
        return max(seen or self.cause.outcomes, key=lambda outcome: RANK.get(outcome, -1))

    @property
    def heading(self) -> str:
        if self.worst in UNJUDGED:
            return NO_JUDGEMENT
        if self.cause.stage == "limitation":
            return LIMITATIONS
        if self.records and all(is_switched_off(record) for record in self.records):
            return HELD_BACK
        return PRECISION if self.cause.stage == "precision" else _SECTION_OF[self.worst]

    @property
    def operators(self) -> list[str]:
        return sorted({record.subject for record in self.records}, key=natural_key)

    @property
    def recipes(self) -> list[str]:
        return sorted({record.recipe for record in self.records})

    @property
    def example(self) -> Record | None:
        return min(self.records, key=lambda record: natural_key(record.check_id), default=None)


def find_findings(records: Iterable[Record], causes: Sequence[Cause]) -> list[Finding]:
    """A finding a cause, also where no check shows it, by fix priority. `records` name their causes."""
    records = list(records)
    first = priorities(records)
    found = {cause.cause: Finding(cause, priority=first.get(cause.cause, NOWHERE)) for cause in causes}
    for record in records:
        if record.cause in found:
            found[record.cause].records.append(record)
    return sorted(found.values(), key=lambda f: (*f.priority.sort_key, -len(f.records), f.cause.cause))


def findings_context(matrix: Matrix, causes: Sequence[Cause]) -> dict[str, Any]:
    """What the template shows; the records name their causes."""
    records = matrix.shown
    findings = find_findings(records, causes)
    seen = [finding for finding in findings if finding.records]
    sections = [
        {"title": heading, "intro": intro, "findings": [_view(finding) for finding in members]}
        for heading, intro in _headings()
        if (members := [finding for finding in seen if finding.heading == heading])
    ]
    unexplained = [r for r in records if not r.cause and r.outcome not in UNJUDGED]
    groups = problems(unexplained)
    untriaged = [_untriaged(outcome, members) for outcome, members in groups.items()]
    counts = Counter(r.outcome for r in records if not r.cause)
    return {
        "environments": [describe_environment(block) for _, block in sorted(matrix.described.items())],
        "contents": _contents(seen, groups),
        "first": _first(seen),
        "sections": sections,
        "limitations": _limitations([finding for finding in seen if finding.heading == LIMITATIONS]),
        "no_judgement": _limitations([finding for finding in seen if finding.heading == NO_JUDGEMENT]),
        "untriaged": untriaged,
        "unseen": [_view(finding) for finding in findings if not finding.records],
        "left_to_executorch": sum(counts[outcome] for outcome in WORKING - {Outcome.PASS}),
        "unjudged": sum(counts[outcome] for outcome in UNJUDGED),
    }


def _headings() -> list[tuple[str, str]]:
    intros = {heading: intro for heading, intro, _ in BY_OUTCOME}
    intros |= {PRECISION: PRECISION_INTRO, HELD_BACK: HELD_BACK_INTRO}
    return [(heading, intros[heading]) for heading in HEADINGS]


def _contents(seen: Sequence[Finding], groups: dict[Outcome, list[Problem]]) -> str:
    """Sections with their counts; every cause under its section."""
    rows: list[tuple[object, ...]] = []
    for heading in (*HEADINGS, LIMITATIONS, NO_JUDGEMENT):
        members = [finding for finding in seen if finding.heading == heading]
        if members:
            checks = sum(len(finding.records) for finding in members)
            rows.append((f"[{heading}](#{anchor(heading)})", len(members), checks))
    rows.append(("all causes", len(seen), sum(len(finding.records) for finding in seen)))
    untriaged = sum(len(problem.records) for members in groups.values() for problem in members)
    rows.append(("[Untriaged](#untriaged)", "", untriaged))
    return table(["", "causes", "checks"], rows, ["left", "right", "right"])


def _first(seen: Sequence[Finding]) -> str:
    """The causes that strike what models contain, in the order of their priority; empty where none does."""
    striking = [f for f in seen if f.priority.models or f.priority.callers]
    rows = [
        (
            f"[{finding.cause.title}](#{finding.cause.cause})",
            finding.heading.lower(),
            f"{len(finding.priority.models)} of {finding.priority.measured}",
            codes(finding.priority.models, limit=6),
            finding.priority.calls or "",
        )
        for finding in striking[:FIRST]
    ]
    if not rows:
        return ""
    text = table(["cause", "section", "models", "which", "extracted calls"], _cells(rows), _ALIGNED)
    return text + (f"\n\nAnd {len(striking) - FIRST} more." if len(striking) > FIRST else "")


def _view(finding: Finding) -> dict[str, Any]:
    cause, example = finding.cause, finding.example
    outcomes = Counter(record.outcome for record in finding.records)
    return {
        "slug": cause.cause,
        "title": cause.title,
        "stage": cause.stage.replace("_", " "),
        "sees": cause.sees,
        "condition": cause.condition,
        "remedy": cause.remedy,
        "way_around": of_cause(finding.records),
        "explanation": cause.explanation,
        "source": code(cause.source, limit=400),
        "url": cause.url,
        "state": cause.state,
        "checks": ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in sorted(outcomes)) or _unseen(cause),
        "strikes": finding.priority.markdown.removeprefix("strikes "),
        "models": len(finding.priority.models),
        "calls": finding.priority.calls,
        "operators": codes(finding.operators or cause.operators, limit=24),
        "recipes": ", ".join(finding.recipes),
        "script": _script(cause),
        "example": code(example.check_id, limit=400) if example else "",
    }


def cause_links(slugs: Iterable[str]) -> str:
    """Links from another page to the causes; `untriaged` for the empty slug."""
    return ", ".join(f"[{slug}]({PAGE}#{slug})" if slug else "untriaged" for slug in slugs)


def _script(cause: Cause) -> str:
    """How to see it: `python reports/findings/<cause>.py`."""
    if not cause.script:
        return ""
    where = " (on macOS: it needs prediction)" if cause.script == "own-mac" else ""
    return f"[`python reports/findings/{cause.cause}.py`](findings/{cause.cause}.py){where}"


def _limitations(findings: Sequence[Finding]) -> str:
    told = any(f.priority.markdown for f in findings)
    rows = [
        (
            f'<a id="{f.cause.cause}"></a>{f.cause.title}',
            f.cause.sees,
            f.cause.explanation + (f" [Upstream]({f.cause.url})." if f.cause.url else ""),
            f.cause.remedy,
            codes(f.operators, limit=8),
            *([f.priority.markdown.removeprefix("strikes ")] if told else []),
            len(f.records),
        )
        for f in findings
    ]
    headers = ["what", "what you see", "why", "what to do", "operators", *(["strikes"] if told else []), "checks"]
    return table(headers, _cells(rows)) if rows else ""


def _cells(rows: Iterable[Sequence[object]]) -> list[list[str]]:
    """Markdown written by hand, safe in a table: a pipe would end the cell."""
    return [[str(cell).replace("|", "\\|") for cell in row] for row in rows]


def _untriaged(outcome: Outcome, groups: Sequence[Problem]) -> dict[str, Any]:
    rows = [
        (plain(g.signature), g.phase, len(g.records), codes(g.subjects, limit=6), code(g.worst.check_id))
        for g in groups
    ]
    checks = sum(len(group.records) for group in groups)
    return {
        "title": f"`{outcome}`: {counted(checks, 'check')} in {counted(len(groups), 'group')}",
        "table": table(["what", "phase", "checks", "operators", "for example"], rows),
    }


def _unseen(cause: Cause) -> str:
    """What would come of a check that shows it."""
    comes = ", ".join(sorted(cause.outcomes))
    return f"{comes}, in no check of this evidence" if comes else "its script alone shows it"
