"""The scripts that show causes, each from one template and the fields of its cause: ready for an upstream issue."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from harness.evidence.causes import Cause, Script
from harness.evidence.recipe import PRECISIONS
from harness.publish.rendering import render

#: Below the reports.
FOLDER = "findings"
TEMPLATE = "finding.py.j2"
_WIDTH = 118


def build_scripts(causes: Iterable[Cause]) -> dict[str, str]:
    """`{file name: source}` of the scripts that are generated, below the reports; not of those written by hand."""
    return {
        f"{FOLDER}/{cause.cause}.py": source(cause, cause.script)
        for cause in causes
        if isinstance(cause.script, Script)
    }


def source(cause: Cause, script: Script) -> str:
    """Python that prints versions, what is expected and what comes, and exits with 0 while the defect is there."""
    verb = {"ct.convert": "converts", "partitioner": "lowers", "to_executorch": "is emitted"}[script.through]
    return render(
        TEMPLATE,
        {
            "docstring": _docstring(cause),
            "script": script,
            "through": script.through if script.error else script.compared,
            "lowers": script.through != "ct.convert",
            "by_line": script.error.startswith("assert "),
            "precision": PRECISIONS[script.precision],
            "functional": "F." in script.module + script.inputs + script.setup,
            "verb": verb,
            "expected": script.expected or f"it {verb}",
            "error": _literal(script.error),
        },
    )


def _docstring(cause: Cause) -> str:
    title = cause.title[0].upper() + cause.title[1:]
    text = textwrap.fill(cause.explanation.replace("\\", "\\\\"), _WIDTH, break_long_words=False)
    return f"{title}.\n\n{text}\n"


def _literal(text: str) -> str:
    """As a formatter writes it: in double quotes, where the text has none."""
    return repr(text) if '"' in text else f'"{text}"'
