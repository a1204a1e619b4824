"""A gate's verdict as text, Markdown, JSON or JUnit."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from xml.etree import ElementTree

from harness.publish.changes import CLASSES, Change, counted, grouped
from harness.publish.diff import Part, described, head
from harness.publish.gate import Finding, Verdict, by_class
from harness.publish.markdown import code, plain, table
from harness.publish.policy import Action, Waiver

#: What XML 1.0 has no way to write.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(verdict: Verdict, style: str, *, limit: int | None = 5) -> str:
    """`style` is one of `FORMATS`; at most `limit` checks of an operator where people read it."""
    return FORMATS[style](verdict, limit)


def result_line(verdict: Verdict) -> str:
    """`passes: nothing got worse`, or what did, in numbers."""
    waived = [change for _, found in _waivers(verdict) for change in found]
    parts = [
        f"{counted(changes)} {word}"
        for changes, word in ((waived, "waived"), (verdict.warnings, "warned of"))
        if changes
    ]
    rest = "; ".join(["", *parts])
    if verdict.passes:
        return f"passes: nothing got worse{' that counts' if parts else ''}{rest}"
    return f"fails: {counted(verdict.regressions)} got worse{rest}"


def _waivers(verdict: Verdict) -> list[tuple[Waiver, list[Change]]]:
    return [(waiver, verdict.waived(waiver)) for waiver in verdict.policy.waivers]


def text(verdict: Verdict, limit: int | None) -> str:
    lines = head(verdict.diff)
    for word, changes in (("regression", verdict.regressions), ("warning", verdict.warnings)):
        for kind, found in by_class(changes).items():
            lines += ["", f"{word}: {kind}: {counted(found)}; {CLASSES[kind]}", *grouped(found, limit)]
    for waiver, found in _waivers(verdict):
        if found:
            lines += ["", f"waived until {waiver.until}: {counted(found)}; {waiver.reason}", *grouped(found, limit)]
    lines += [f"waiver no longer needed: {waiver} (until {waiver.until})" for waiver in verdict.unneeded]
    return "\n".join([*lines, result_line(verdict)])


def markdown(verdict: Verdict, limit: int | None) -> str:
    """For a job's summary."""
    parts = verdict.diff.parts
    rows = [
        (
            plain(described(verdict.diff.baseline, part.baseline)),
            plain(described(verdict.diff.candidate, part.candidate)),
            f"{part.compared:,} of {part.judged:,} ({100 * part.share:.1f} %)",
        )
        for part in parts
    ]
    blocks = [
        f"## Gate: {result_line(verdict)}",
        table(("baseline", "candidate", "compared, of what the baseline judged"), rows, ["left", "left", "right"]),
    ]
    counts = [
        (code(kind), str(action), f"{sum(change.checks for change in changes):,}", plain(CLASSES[kind]))
        for kind, changes in by_class(verdict.diff.changes).items()
        if (action := verdict.policy.actions[kind]) is not Action.IGNORE
    ]
    if counts:
        blocks.append(table(("change", "policy", "checks", "meaning"), counts, ["left", "left", "right", "left"]))
    for title, changes in (("Regressions", verdict.regressions), ("Warnings", verdict.warnings)):
        if changes:
            blocks += [f"### {title}: {counted(changes)}", _table(changes, limit)]
    waived = [
        (plain(str(waiver)), str(waiver.until), plain(waiver.reason), counted(found) if found else "no longer needed")
        for waiver, found in _waivers(verdict)
    ]
    if waived:
        blocks += ["### Waived", table(("what", "until", "reason", "now"), waived)]
    return "\n\n".join(blocks)


def _table(changes: list[Change], limit: int | None) -> str:
    rows, shown = [], dict[tuple[str, str], int]()
    for change in changes:
        key = (change.kind, change.subject)
        shown[key] = shown.get(key, 0) + 1
        if limit is None or shown[key] <= limit:
            rows.append((code(change.kind), code(change.name), plain(change.move), plain(change.detail)))
    return table(("change", "check", "outcome", "detail"), rows) + (
        f"\n\n{len(changes) - len(rows):,} more: `--all` shows them." if len(rows) < len(changes) else ""
    )


def as_json(verdict: Verdict, _limit: int | None) -> str:
    """Everything, also what the policy ignores; for programs."""
    data = {
        "passes": verdict.passes,
        "environments": [_environments(verdict, part) for part in verdict.diff.parts],
        "baseline_only": list(verdict.diff.gone),
        "candidate_only": list(verdict.diff.new),
        "minimum_compared": verdict.policy.minimum_compared,
        "classes": {
            kind: {
                "policy": str(verdict.policy.actions[kind]),
                "checks": sum(change.checks for change in changes),
                "failing": sum(finding.fails for finding in verdict.findings if finding.change.kind == kind),
            }
            for kind, changes in by_class(verdict.diff.changes).items()
        },
        "findings": [_finding(finding) for finding in verdict.findings],
        "waivers": [
            {"about": str(waiver), "until": str(waiver.until), "reason": waiver.reason, "findings": len(found)}
            for waiver, found in _waivers(verdict)
        ],
    }
    return json.dumps(data, indent=1)


def _environments(verdict: Verdict, part: Part) -> dict[str, Any]:
    blocks = verdict.diff.baseline.environments[part.baseline], verdict.diff.candidate.environments[part.candidate]
    sides = zip(("baseline", "candidate"), (part.baseline, part.candidate), blocks, strict=True)
    return {
        **{side: {"environment": name, "versions": block.get("versions", {})} for side, name, block in sides},
        "judged": part.judged,
        "compared": part.compared,
        "candidate_judged": part.candidate_judged,
        "unchanged": part.same,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    change = finding.change
    data = {
        "class": change.kind,
        "policy": str(finding.action),
        "environment": change.environment,
        "check": change.name,
        "operator": change.subject if change.record else "",
        "before": str(change.before.outcome) if change.before else None,
        "after": str(change.after.outcome) if change.after else None,
        "detail": change.detail,
        "cause": change.cause,
        "checks": change.checks,
    }
    return data | ({"waived_until": str(finding.waiver.until)} if finding.waiver else {})


def junit(verdict: Verdict, _limit: int | None) -> str:
    """A suite for each environment compared: a case for each class that the policy does not ignore, and one for each
    finding of it, which fails, or is skipped where it is waived, or only says so where it is warned of."""
    root = ElementTree.Element("testsuites", name="gate")
    parts = [(part.candidate, _about(verdict, part)) for part in verdict.diff.parts]
    parts += [(name, []) for name in verdict.diff.gone]
    for name, lines in parts:
        found = [finding for finding in verdict.findings if finding.change.environment == name]
        _suite(root, verdict, name, lines, found)
    ElementTree.indent(root, " ")
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False)


def _about(verdict: Verdict, part: Part) -> list[tuple[str, str]]:
    """Properties of a suite: versions on both sides, and how much was compared."""
    sides = {
        "baseline": described(verdict.diff.baseline, part.baseline),
        "candidate": described(verdict.diff.candidate, part.candidate),
    }
    return [*sides.items(), ("judged", str(part.judged)), ("compared", str(part.compared))]


def _suite(
    root: ElementTree.Element, verdict: Verdict, name: str, about: list[tuple[str, str]], found: Iterable[Finding]
) -> None:
    counts: dict[str, list[Finding]] = {}
    for finding in found:
        counts.setdefault(finding.change.kind, []).append(finding)
    suite = ElementTree.SubElement(root, "testsuite", name=_xml(f"gate {name}"))
    _properties(suite, about)
    for kind in CLASSES:
        if verdict.policy.actions[kind] is Action.IGNORE:
            continue
        findings = counts.get(kind, [])
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name=kind)
        failing = [finding.change for finding in findings if finding.fails]
        if failing:
            message = f"{counted(failing)}; {CLASSES[kind]}"
            ElementTree.SubElement(case, "failure", message=_xml(message), type=kind)
        for finding in findings:
            _case(suite, finding)
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    suite.set("errors", "0")


def _case(suite: ElementTree.Element, finding: Finding) -> None:
    change = finding.change
    case = ElementTree.SubElement(suite, "testcase", classname=f"gate.{change.kind}", name=_xml(change.name))
    sides = [("before", change.before), ("after", change.after)]
    about = [(word, str(record.outcome)) for word, record in sides if record]
    _properties(case, [*about, *([("cause", change.cause)] if change.cause else [])])
    message = _xml(str(change))
    if finding.waiver:
        waived = f"waived until {finding.waiver.until}: {finding.waiver.reason}"
        ElementTree.SubElement(case, "skipped", message=_xml(waived))
    elif finding.fails:
        ElementTree.SubElement(case, "failure", message=message, type=change.kind)
    else:
        ElementTree.SubElement(case, "system-out").text = f"warning: {message}"


def _properties(parent: ElementTree.Element, values: list[tuple[str, str]]) -> None:
    if values:
        properties = ElementTree.SubElement(parent, "properties")
        for name, value in values:
            ElementTree.SubElement(properties, "property", name=name, value=_xml(value))


def _xml(text: str) -> str:
    return _NOT_XML.sub("�", text)


FORMATS: dict[str, Callable[[Verdict, int | None], str]] = {
    "text": text,
    "markdown": markdown,
    "json": as_json,
    "junit": junit,
}
