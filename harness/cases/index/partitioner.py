"""The partitioner's rules with the lines of its source; `coreml-harness index partitioner` writes them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from harness.cases.partitioner import RULES
from harness.evidence.environment import version_of
from harness.evidence.partitioner_rules import SOURCE_FILE, PartitionerRule, to_text


def rows(source: str) -> list[PartitionerRule]:
    """The rules with the first line of `source` that states each."""
    lines = source.splitlines()
    return [
        PartitionerRule(
            name=rule.name,
            kind=rule.kind,
            op=rule.op,
            says=rule.says,
            line=next((number for number, line in enumerate(lines, start=1) if rule.line in line), 0),
            programs=rule.programs,
            url=rule.url,
            reason=rule.reason,
        )
        for rule in RULES
    ]


def installed_source() -> str:
    """The partitioner's source file; not imported."""
    package, _, rest = SOURCE_FILE.partition("/")
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return (Path(next(iter(spec.submodule_search_locations))) / rest).read_text(encoding="utf-8")


def index_text(show: Callable[[str], None]) -> str:
    """The table as the installed ExecuTorch gives it."""
    return to_text(rows(installed_source()), version_of("executorch") or "-")
