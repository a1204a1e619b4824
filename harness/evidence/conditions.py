"""Conditions on where something holds: versions of the measured packages, the operating system, the processor."""

from __future__ import annotations

import fnmatch
import platform
from collections.abc import Mapping
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from harness.evidence.environment import MEASURED, chip, version_of
from harness.evidence.vocabulary import HarnessError

#: What conditions are held against: package -> version, `os` -> platform, `chip` -> the processor's name.
Versions = Mapping[str, str | None]
#: Conditions that are globs; the others are version specifiers.
_BY_GLOB = ("os", "chip")


def installed() -> dict[str, str | None]:
    """Versions of the measured packages here, the platform as `os`, the processor's name as `chip`."""
    system = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    return {**{name: version_of(name) for name in MEASURED}, "os": system, "chip": chip()}


def recorded(block: Mapping[str, Any]) -> dict[str, str | None]:
    """The same of the environment block that heads an evidence file."""
    return {**block.get("versions", {}), "os": str(block.get("os", "")).split(" ")[0], "chip": block.get("chip", "")}


def holds(when: Mapping[str, str], versions: Versions) -> bool:
    """Whether all conditions do; one on a package that is not there does not."""
    for name, condition in when.items():
        actual = versions.get(name)
        if actual is None:
            return False
        if name in _BY_GLOB:
            if not fnmatch.fnmatchcase(actual, condition):
                return False
        elif not SpecifierSet(condition).contains(actual.split("+")[0], prereleases=True):
            return False
    return True


def require_conditions(when: Any) -> None:
    """Raises `HarnessError`: a misspelt condition would hold nowhere, and nobody would notice."""
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
