"""The partitioner's promises with the lines of its source; `coreml-harness index partitioner` writes them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from harness.cases.partitioner import PROMISES
from harness.evidence.environment import version_of
from harness.evidence.promises import SOURCE_FILE, PromiseRow, to_text


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


def index_text(show: Callable[[str], None]) -> str:
    """The table as the installed ExecuTorch gives it."""
    return to_text(rows(installed_source()), version_of("executorch") or "-")
