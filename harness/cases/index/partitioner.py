"""`python -m harness.cases.index.partitioner` writes the partitioner's promises with the lines of its source."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from harness.cases.partitioner import PROMISES
from harness.evidence.environment import version_of
from harness.evidence.promises import SOURCE_FILE, PromiseRow, promises_path, to_text


def rows(source: str) -> list[PromiseRow]:
    """The promises with the first line of `source` that states each."""
    lines = source.splitlines()
    return [
        PromiseRow(
            name=promise.name,
            kind=promise.kind,
            op=promise.op,
            says=promise.says,
            line=next((number for number, line in enumerate(lines, start=1) if promise.line in line), 0),
            programs=promise.programs,
            url=promise.url,
            reason=promise.reason,
        )
        for promise in PROMISES
    ]


def installed_source() -> str:
    """The partitioner's source file; not imported."""
    package, _, rest = SOURCE_FILE.partition("/")
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return (Path(next(iter(spec.submodule_search_locations))) / rest).read_text(encoding="utf-8")


def main() -> int:
    path = promises_path(version_of("executorch") or "-")
    found = rows(installed_source())
    path.write_text(to_text(found), encoding="utf-8")
    print(f"{path.name}: {len(found)} promises")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
