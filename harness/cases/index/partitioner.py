"""`python -m harness.cases.index.partitioner` writes the partitioner's rules with the lines of its source."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from harness.cases.partitioner import RULES
from harness.evidence.environment import version_of
from harness.evidence.partitioner_rules import SOURCE_FILE, PartitionerRule, rules_path, to_text


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


def main() -> int:
    path = rules_path(version_of("executorch") or "-")
    found = rows(installed_source())
    path.write_text(to_text(found), encoding="utf-8")
    print(f"{path.name}: {len(found)} rules")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
