"""`harness kernels`: which operators have a kernel, by family; those that programs used, also with tests or without."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.evidence.vocabulary import HarnessError
from harness.mil import MissingKernel, documentation
from harness.mil.kernels import KERNELS

#: Where the tests keep the table of properties, below their folder: a module with `PROPERTIES`, by operator.
TABLE = Path("properties", "kernel_properties", "rows.py")

# What a check that was not run for want of a kernel says; it has no `mil_ops`.
_LACKING = re.compile(r"no kernel for (?:MIL )?(\w+(?:, \w+)*)")


_TESTS = Path("tests", "mil")


def run(operator: str | None, emitted: Sequence[Path], tests: Path | None) -> int:
    """Print what the kernel of an operator computes; the kernels by family; or the operators in `emitted`, evidence
    files or run directories, and of each whether it has kernel, docstring and tests, which are looked for in `tests`.

    Returns 1 when one of these lacks any. Raises `HarnessError` for an operator without a kernel and for bad files.
    """
    if operator is not None:
        if operator not in KERNELS:
            raise HarnessError(str(MissingKernel([operator], KERNELS)))
        print(documentation(operator))
        return 0
    if not emitted:
        print("\n".join(families_in_words(families())))
        return 0
    tests = tests or (_TESTS if _TESTS.is_dir() else None)
    tested = tested_operators(tests) if tests is not None else None
    rows = of_emitted(emitted_operators(emitted), tested)
    print("\n".join(emitted_in_words(rows)))
    return 0 if all(row.complete for row in rows) else 1


@dataclass(frozen=True, slots=True)
class Family:
    """The operators of one family of kernels, sorted, and those of them with a docstring."""

    name: str
    operators: tuple[str, ...]
    documented: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Emitted:
    """An operator that programs used. `tested` is None where no tests were looked at."""

    name: str
    records: int
    kernel: bool
    documented: bool
    tested: bool | None

    @property
    def complete(self) -> bool:
        return self.kernel and self.documented and self.tested is not False


def families() -> list[Family]:
    """Every registered kernel, by family, sorted by name."""
    found = []
    for family in sorted({kernel.family for kernel in KERNELS.values()}):
        names = tuple(sorted(name for name, kernel in KERNELS.items() if kernel.family == family))
        found.append(Family(family, names, tuple(filter(_documented, names))))
    return found


def emitted_operators(paths: Iterable[str | os.PathLike[str]]) -> dict[str, int]:
    """In how many records each operator type occurs, sorted by name.

    A path is a file of JSON lines, or the directory of a run, of which the journals are read. A record names operators
    by the keys of `mil_ops`, or by the `reason` that there is no kernel for them; other lines count for nothing.
    Raises HarnessError for a line that is no JSON object for a directory without a journal and an unreadable file.
    """
    found: Counter[str] = Counter()
    for path in map(Path, paths):
        files = sorted(path.glob("journal-*.jsonl")) if path.is_dir() else [path]
        if not files:
            raise HarnessError(f"{path}: no journal in this directory")
        for file in files:
            for record in _records(file, unfinished=path.is_dir()):
                found.update(record)
    return dict(sorted(found.items()))


def _records(path: Path, unfinished: bool) -> Iterator[set[str]]:
    """The operators of each line. The last one of a journal may be cut short: its run goes on, or was killed."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            lacking = _LACKING.search(record.get("reason") or "")
            yield {*(record.get("mil_ops") or {}).keys(), *(lacking[1].split(", ") if lacking else ())}
        except (ValueError, AttributeError, TypeError) as error:
            if unfinished and number == len(lines):
                return
            raise HarnessError(f"{path}: line {number} is not a record ({error})") from error


def tested_operators(tests: str | os.PathLike[str]) -> set[str]:
    """Operators with a row in the table of properties below the folder `tests`, which is imported.

    Raises HarnessError when there is no such table, or it cannot be imported (it needs hypothesis)."""
    table = Path(tests, TABLE).resolve()
    if not table.is_file():
        raise HarnessError(f"{tests}: no table of properties ({TABLE})")
    name = f"{table.parent.name}.{table.stem}"
    before = list(sys.path)
    sys.path.insert(0, str(table.parent.parent))
    try:
        module = importlib.import_module(name)
        rows = dict(module.PROPERTIES)
    except (ImportError, AttributeError, TypeError) as error:
        raise HarnessError(f"{table}: cannot be read ({error})") from error
    finally:
        sys.path[:] = before
    if Path(module.__file__ or "").resolve() != table:
        raise HarnessError(f"{table}: another {name} is imported already, {module.__file__}")
    return {operator for operator, row in rows.items() if callable(getattr(row, "statement", None))}


def of_emitted(emitted: Mapping[str, int], tested: Collection[str] | None = None) -> list[Emitted]:
    """A row for each operator that was emitted."""
    return [
        Emitted(name, count, name in KERNELS, _documented(name), None if tested is None else name in tested)
        for name, count in sorted(emitted.items())
    ]


def families_in_words(rows: Iterable[Family]) -> list[str]:
    """A line for each family, and one for all of them."""
    rows = list(rows)
    lines = [f"{row.name}: {_counted([row])}: {', '.join(row.operators)}" for row in rows]
    return [*lines, f"total: {_counted(rows)}"]


def emitted_in_words(rows: Iterable[Emitted]) -> list[str]:
    """A line for each operator, and last the four numbers, which are one number when nothing is missing."""
    rows = list(rows)
    width = max((len(row.name) for row in rows), default=0)
    lines = []
    for row in rows:
        facts = (("kernel", row.kernel), ("tests", row.tested), ("docs", row.documented))
        said = [name if has else f"no {name}" for name, has in facts if has is not None]
        lines.append(f"{row.name:<{width}}  {', '.join(said)} (in {row.records} records)")
    unknown = any(row.tested is None for row in rows)
    tests = "not looked for" if unknown else str(sum(bool(row.tested) for row in rows))
    kernels, docs = sum(row.kernel for row in rows), sum(row.documented for row in rows)
    return [*lines, f"emitted: {len(rows)}, with kernels: {kernels}, with tests: {tests}, with docs: {docs}"]


def _documented(name: str) -> bool:
    return name in KERNELS and bool(inspect.getdoc(KERNELS[name].function))


def _counted(rows: list[Family]) -> str:
    kernels, documented = sum(len(r.operators) for r in rows), sum(len(r.documented) for r in rows)
    return f"{kernels} kernels, {documented} documented"
