"""From which opset on ML Programs have an operator and each of its parameters: `opsets.txt`, by coremltools' registry.

A line is an operator and, by opset (5 is iOS15, up to 9 for iOS26), what it takes from there on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

PATH = Path(__file__).with_name("opsets.txt")

#: What the registry does not have, because a step of coremltools' own writes it for another: `coreml_update_state`.
_WRITTEN_FOR_ANOTHER = {"write_state": {8: frozenset({"input", "data"})}}

Opsets = Mapping[int, frozenset[str]]


def parse(text: str) -> dict[str, dict[int, frozenset[str]]]:
    """Operators by name: the parameters an operator takes from each opset on. The first line tells of the rest.

    >>> parse("coremltools 9.0\\nrelu 5:x\\n")["relu"]
    {5: frozenset({'x'})}
    """
    found = {}
    for line in text.splitlines()[1:]:
        name, *rows = line.split(" ")
        by_opset = (row.split(":") for row in rows)
        found[name] = {int(opset): frozenset(names.split(",")) - {""} for opset, names in by_opset}
    return found


@cache
def table() -> Mapping[str, Opsets]:
    return {**parse(PATH.read_text(encoding="utf-8")), **_WRITTEN_FOR_ANOTHER}


def newer_than(opset: int, operator: str, parameters: frozenset[str]) -> str:
    """What of an operator with these parameters an opset does not have: `sdpa` or `gather(validate_indices)`; empty
    where it has all, and where the operator is not known."""
    known = table().get(operator)
    if known is None:
        return ""
    versions = [version for version in known if version <= opset]
    if not versions:
        return operator
    lacking = sorted(parameters - known[max(versions)])
    return f"{operator}({', '.join(lacking)})" if lacking else ""


def written(registry: Mapping[str, Mapping[int, frozenset[str]]], version: str) -> str:
    """`opsets.txt` of a registry: parameters by opset, each opset that says nothing new left out."""
    lines = [f"coremltools {version}"]
    for name, versions in sorted(registry.items()):
        rows, last = [], None
        for opset, parameters in sorted(versions.items()):
            if parameters != last:
                rows.append(f"{opset}:{','.join(sorted(parameters))}")
            last = parameters
        lines.append(" ".join([name, *rows]))
    return "\n".join(lines) + "\n"
