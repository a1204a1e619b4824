"""The first line of a generated file: which versions of which packages it was made with.

So the file's name stays, and a version bump is a diff. In a text file that line is a comment.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.evidence.environment import version_of
from harness.evidence.vocabulary import HarnessError

COMMAND = "coreml-harness index"
_COMMENT = "# "


def released(version: str) -> str:
    """A version without its local part: `2.13.0` for `2.13.0+cpu`, which makes no difference."""
    return version.split("+")[0]


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Versions of packages, `-` for what is not installed."""
    return {package: released(version_of(package) or "-") for package in packages}


def first_line(versions: Mapping[str, str], *, comment: bool = False) -> str:
    """The line that `made_with` reads, with its end."""
    head = {"made_with": {package: released(version) for package, version in versions.items()}}
    return f"{_COMMENT if comment else ''}{json.dumps(head)}\n"


def made_with(text: str) -> dict[str, str]:
    """The versions in a text's first line; empty where it tells none."""
    try:
        versions = json.loads(text.partition("\n")[0].removeprefix(_COMMENT))["made_with"]
        return {str(package): str(version) for package, version in versions.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def read_lines(path: Path, versions: Mapping[str, str], what: str) -> list[str]:
    """The lines after the first, of a file made with these versions; `what` names what is in it, for the error.

    Raises `HarnessError`, naming the command that makes it, when there is none or it was made with others.
    """
    wanted = {package: released(version) for package, version in versions.items()}
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HarnessError(f"no {what} for {_named(wanted)}: run {COMMAND}") from None
    if (found := made_with(text)) != wanted:
        here = f"{path.name} is for {_named(found)}" if found else f"{path.name} does not say for which"
        raise HarnessError(f"no {what} for {_named(wanted)}, {here}: run {COMMAND}")
    return text.splitlines()[1:]


def _named(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in versions.items())
