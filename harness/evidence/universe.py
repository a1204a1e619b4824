"""The operator universe: the overloads a program given to the Core ML partitioner may contain, as data.

The rows are, for one set of versions:
- `core`: every ATen overload that PyTorch tags as Core ATen;
- `coremltools`, `executorch`: every functional overload whose name coremltools' torch registry claims; the source is
  the package that registered the converter. The name is put into coremltools' canonical form, as its partitioner
  query does it: lower case, without the namespace `aten`, without a trailing `default`, `int`, `tensor`,
  `tensor_mode`, `scalar` or `tensor_scalar`;
- `quantized_decomposed`, `torchao`, `quant`, `dim_order_ops`: every functional overload of these namespaces, which
  quantization and ExecuTorch put into programs. Of `torchao` only those implemented for every device.

What no program given to the partitioner contains is no row; `LEFT_OUT` says why, the file's first line how much.
Of ATen's other public functional overloads, which users call and export takes apart, the file has the schemas alone.
Written by `coreml-harness index universe`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.evidence.made_with import COMMAND, installed, released
from harness.evidence.vocabulary import HarnessError

#: Packages whose versions decide what is in the universe.
MEASURED_BY = ("torch", "coremltools", "executorch")

#: Where a row comes from; the order is that of the tables.
SOURCES = {
    "core": "Core ATen",
    "coremltools": "claimed by coremltools' registry",
    "executorch": "claimed by ExecuTorch's additions to it",
    "quantized_decomposed": "namespace of PyTorch's and ExecuTorch's quantized operators",
    "torchao": "namespace of torchao, operators implemented for every device",
    "quant": "namespace of torchao's codebook quantization",
    "dim_order_ops": "namespace of ExecuTorch's memory layouts",
}

#: Kinds of overloads of claimed names that are no rows, and why.
LEFT_OUT = {
    "in-place": "export functionalises them: the graph holds the functional overload",
    "out": "export functionalises them, and the registry knows no name that ends in `.out`",
    "TorchScript": "operations on Python scalars and lists that PyTorch's dispatcher does not know: no exported graph "
    "holds them",
}


@dataclass(frozen=True)
class Operator:
    """One overload. `sources` are keys of `SOURCES`; `tags` are PyTorch's, and `view`, `mutable`, `composite`."""

    name: str
    sources: tuple[str, ...]
    schema: str
    tags: tuple[str, ...] = ()

    def to_line(self) -> str:
        data = {"name": self.name, "sources": list(self.sources), "schema": self.schema, "tags": list(self.tags)}
        return json.dumps({key: value for key, value in data.items() if value})

    @classmethod
    def from_line(cls, line: str) -> Operator:
        data = json.loads(line)
        return cls(data["name"], tuple(data["sources"]), data["schema"], tuple(data.get("tags", ())))


@dataclass(frozen=True)
class Universe:
    """Rows by name, sorted. `left_out` counts the overloads of claimed names that are no rows, by `LEFT_OUT`.

    `names_without_operator` are names of the registry that no overload of the installed packages has. `beside` are
    the schemas of public functional overloads of ATen that are no rows, by name.
    """

    versions: Mapping[str, str]
    operators: Mapping[str, Operator]
    left_out: Mapping[str, int]
    names_without_operator: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)

    def schema(self, name: str) -> str:
        """The schema of an overload, a row or not; empty where it is not known."""
        row = self.operators.get(name)
        return row.schema if row else self.beside.get(name, "")

    def to_text(self) -> str:
        head = {
            "versions": dict(self.versions),
            "operators": len(self.operators),
            "left_out": dict(self.left_out),
            "names_without_operator": list(self.names_without_operator),
            "beside": len(self.beside),
        }
        lines = [json.dumps({"universe": head}), *(operator.to_line() for operator in self.operators.values())]
        lines += [json.dumps({"beside": name, "schema": schema}) for name, schema in self.beside.items()]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Universe:
        """Raises `ValueError` or `KeyError` for anything but what `to_text` writes."""
        first, *rest = text.splitlines()
        head = json.loads(first)["universe"]
        count = head["operators"]
        operators = {operator.name: operator for operator in map(Operator.from_line, rest[:count])}
        if len(operators) != count:
            raise ValueError(f"{len(operators)} of {count} operators")
        others = {data["beside"]: data["schema"] for data in map(json.loads, rest[count:])}
        if len(others) != head["beside"]:
            raise ValueError(f"{len(others)} of {head['beside']} schemas")
        return cls(head["versions"], operators, head["left_out"], tuple(head["names_without_operator"]), others)


#: The table; its first line has the versions it was made with.
PATH = Path(__file__).with_name("universe.jsonl")


def installed_versions() -> dict[str, str]:
    return installed(MEASURED_BY)


def read_universe(versions: Mapping[str, str] | None = None) -> Universe:
    """The universe of these versions, by default the installed ones; `HarnessError` when the table is of others."""
    wanted = installed_versions() if versions is None else _deciding(versions)
    universe = _read()
    if universe is None or universe.versions != wanted:
        named = ", ".join(f"{package} {version}" for package, version in wanted.items())
        raise HarnessError(f"no operator universe for {named}: run {COMMAND} with these versions")
    return universe


def has_universe(versions: Mapping[str, str]) -> bool:
    """Whether there is a universe of these versions. Raises `HarnessError` for a damaged table."""
    universe = _read()
    return universe is not None and universe.versions == _deciding(versions)


def _deciding(versions: Mapping[str, str]) -> dict[str, str]:
    return {package: released(versions.get(package) or "-") for package in MEASURED_BY}


def _read() -> Universe | None:
    try:
        return Universe.from_text(PATH.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError) as error:
        raise HarnessError(f"{PATH}: not an operator universe: {error}") from None
