"""Which operators have a kernel and a docstring, by family, and which of those a set of programs used have none."""

from __future__ import annotations

import inspect
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.mil.errors import InputError
from harness.mil.kernels import KERNELS


@dataclass(frozen=True, slots=True)
class Family:
    """The operators of one family of kernels, sorted; those of them with a docstring; those that were emitted."""

    name: str
    operators: tuple[str, ...]
    documented: tuple[str, ...]
    emitted: tuple[str, ...]


def families(emitted: Iterable[str] = ()) -> list[Family]:
    """Every registered kernel, by family, sorted by name."""
    used = set(emitted)
    found = []
    for family in sorted({kernel.family for kernel in KERNELS.values()}):
        names = tuple(sorted(name for name, kernel in KERNELS.items() if kernel.family == family))
        documented = tuple(name for name in names if inspect.getdoc(KERNELS[name].function))
        found.append(Family(family, names, documented, tuple(name for name in names if name in used)))
    return found


def emitted_operators(paths: Iterable[str | os.PathLike[str]]) -> dict[str, int]:
    """In how many records of JSON-lines files each operator type occurs, by the key `mil_ops` {operator: count}; lines
    without it count for nothing. Raises InputError for a line that is no JSON object, OSError."""
    found: Counter[str] = Counter()
    for path in paths:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    found.update((json.loads(line).get("mil_ops") or {}).keys())
                except (ValueError, AttributeError) as error:
                    raise InputError(f"{path}: line {number} is not a record ({error})") from error
    return dict(sorted(found.items()))


def without_kernel(emitted: Iterable[str]) -> list[str]:
    return sorted(set(emitted) - KERNELS.keys())


def in_words(rows: Iterable[Family], emitted: Mapping[str, int] | None = None) -> list[str]:
    """A line for each family, one for all of them, and, when operators were `emitted`, which of them lack a kernel."""
    rows = list(rows)
    lines = [f"{row.name}: {_counted([row], emitted)}: {', '.join(row.operators)}" for row in rows]
    lines.append(f"total: {_counted(rows, emitted)}")
    if emitted is not None:
        missing = without_kernel(emitted)
        found = len(emitted) - len(missing)
        lines.append(f"emitted: {len(emitted)} operator types, {found} with a kernel, {len(missing)} without")
        lines += [f"no kernel: {name} (in {emitted[name]} records)" for name in missing]
    return lines


def _counted(rows: list[Family], emitted: Mapping[str, int] | None) -> str:
    kernels, documented = sum(len(r.operators) for r in rows), sum(len(r.documented) for r in rows)
    used = "" if emitted is None else f", {sum(len(r.emitted) for r in rows)} emitted"
    return f"{kernels} kernels, {documented} documented{used}"
