"""A finding as an upstream issue wants it: the text to paste, which is enough to see the defect and to judge it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.evidence.causes import Cause, Script
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import RANK, HarnessError
from harness.publish.call_script import call_script
from harness.publish.environments import describe_environment
from harness.publish.markdown import codes, counted, scrub
from harness.publish.rendering import render
from harness.publish.scripts import FOLDER, source
from harness.publish.summary import what_went_wrong

TEMPLATE = "issue.md.j2"
#: Said of a defect that no check of the evidence shows.
NOT_SEEN = "Seen by the script above; no check of the evidence shows it."
#: Operators named in a text; how many more there are follows.
OPERATORS = 8


def issue(cause: Cause, records: Sequence[Record], environments: Mapping[str, dict[str, Any]], reports: Path) -> str:
    """The text of the issue of a cause. `records` are those of its checks; a script written by hand is read below the
    reports. Raises `HarnessError` where nothing shows the defect."""
    failing = sorted((r for r in records if r.cause == cause.cause), key=_telling)
    example = failing[0] if failing else None
    script, how = _script(cause, failing, reports)
    operators = sorted({record.subject for record in failing}, key=natural_key)
    seen = f"Seen in {counted(len(failing), 'check')} of {codes(operators, OPERATORS)}." if failing else NOT_SEEN
    named = {record.environment for record in failing} or set(environments)
    return render(
        TEMPLATE,
        {
            "title": cause.title,
            "versions": "; ".join(describe_environment(environments[name]) for name in sorted(named)),
            "how": how,
            "script": script,
            "expected": _expected(cause),
            "sees": cause.sees,
            "example": example.check_id if example else "",
            "measured": scrub(example.reason or what_went_wrong(example)) if example else "",
            "explanation": cause.explanation,
            "source": cause.source,
            "condition": cause.condition or "every call",
            "seen": seen,
            "remedy": cause.remedy,
            "upstream": cause.upstream or "No thread about it is known.",
        },
    )


def find_cause(name: str, causes: Sequence[Cause]) -> Cause:
    """By its name; raises `HarnessError`, with the names that are near, for no such cause."""
    by_name = {cause.cause: cause for cause in causes}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=3)
        raise HarnessError(f"no cause {name!r}" + (f": do you mean {', '.join(near)}?" if near else ""))
    return by_name[name]


def _telling(record: Record) -> tuple[int, Any]:
    """The worst outcome first; of operators before whole programs, whose call can be shown."""
    return (-RANK.get(record.outcome, -1), (not record.call, len(record.call), natural_key(record.check_id)))


def _script(cause: Cause, failing: Sequence[Record], reports: Path) -> tuple[str, str]:
    """The script, and what to do with it."""
    ends = "Run this; it exits with 0 while the defect is there, with 1 once it is mended."
    if isinstance(cause.script, Script):
        return source(cause, cause.script), ends
    if cause.script:
        path = reports / FOLDER / f"{cause.cause}.py"
        try:
            return path.read_text(encoding="utf-8"), ends + (" It needs macOS." if cause.script == "own-mac" else "")
        except OSError as error:
            raise HarnessError(f"{path}: cannot read: {error.strerror}") from None
    for record in failing:
        if text := call_script(record):
            return text, "Run this: it prints what eager PyTorch gives, then what lowering makes of it."
    shown = f": `coreml-harness repro '{failing[0].check_id}'` shows it" if failing else " in this evidence"
    raise HarnessError(f"{cause.cause}: nothing to file upstream: {cause.sees} No script, and no call alone{shown}")


def _expected(cause: Cause) -> str:
    if isinstance(cause.script, Script) and (cause.script.expected or cause.script.error):
        expected = cause.script.expected or "it lowers, and gives the result of eager PyTorch"
        return expected[:1].upper() + expected[1:].rstrip(".") + "."
    if cause.stage == "limitation":
        return "This is a limitation, documented or refused cleanly; expected is the result of eager PyTorch."
    return "The result of eager PyTorch, within the rounding of the compute precision."
