"""Features of the Core ML backend: what each promises, and which checks show it.

The table is `features.yaml`. A feature is proved by checks, told by globs over their cases and recipes; by tests of the
harness, where it is nothing that a check could ask; or by hardware alone.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError

PATH = Path(__file__).with_name("features.yaml")


@dataclass(frozen=True)
class Pattern:
    """Globs; a record fits when all do."""

    case: str = "*"
    recipe: str = "*"

    def pattern(self) -> re.Pattern[str]:
        return re.compile(fnmatch.translate(f"{self.case}@{self.recipe}"))


@dataclass(frozen=True)
class Feature:
    """`promise` is what ExecuTorch says of it, `source` where. `hardware` is what of it needs a Mac or a device,
    `tests` are files of the harness' tests that show it, `causes` the defects that limit it where no check meets them.
    """

    name: str
    group: str
    promise: str
    source: str
    checks: tuple[Pattern, ...] = ()
    tests: tuple[str, ...] = ()
    hardware: str = ""
    causes: tuple[str, ...] = ()

    @property
    def hardware_only(self) -> bool:
        return bool(self.hardware) and not (self.checks or self.tests)


def read_features(path: Path = PATH) -> list[Feature]:
    """In the order of the file. Raises `HarnessError` for a file that is no table of features."""
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
        features = [_feature(group, row) for group, members in rows.items() for row in members]
    except (OSError, yaml.YAMLError, TypeError, AttributeError, ValueError) as error:
        raise HarnessError(f"{path}: no table of features: {' '.join(str(error).split())}") from None
    names = [feature.name for feature in features]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise HarnessError(f"{path}: {twice[0]}: listed twice")
    for feature in features:
        if not (feature.checks or feature.tests or feature.hardware):
            raise HarnessError(f"{path}: {feature.name}: nothing proves it")
    return features


def _feature(group: str, row: Mapping[str, Any]) -> Feature:
    known = {field.name for field in fields(Feature)} - {"group"}
    if unknown := row.keys() - known:
        raise ValueError(f"{row.get('name')}: unknown keys {', '.join(sorted(unknown))}")
    values = dict(row)
    values["checks"] = tuple(Pattern(**pattern) for pattern in row.get("checks", ()))
    values["tests"] = tuple(row.get("tests", ()))
    values["causes"] = tuple(row.get("causes", ()))
    return Feature(group=group, **values)


def records_of(features: Iterable[Feature], records: Iterable[Record]) -> dict[str, list[Record]]:
    """The records that show each feature, by its name; one may show several."""
    patterns = [(feature.name, [pattern.pattern() for pattern in feature.checks]) for feature in features]
    found: dict[str, list[Record]] = {name: [] for name, _ in patterns}
    matching: dict[str, list[str]] = {}
    for record in records:
        key = f"{record.case}@{record.recipe}"
        if key not in matching:
            matching[key] = [name for name, globs in patterns if any(glob.match(key) for glob in globs)]
        for name in matching[key]:
            found[name].append(record)
    return found
