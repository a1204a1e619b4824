"""Evidence files: the environment blocks first, then one record a line, sorted.

Recipes by which a check found the same, to the last digit, share a line, whose `recipe` is the list of them: most
operators are what they are at every deployment target.

A file written by `write_evidence` says in its first line how many records follow, so that a truncated
copy is noticed even when it was cut at the end of a line.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from harness.evidence.record import Record, sort_records
from harness.evidence.vocabulary import HarnessError

HEADER_KEY = "evidence"


@dataclass
class Evidence:
    """Records and the environments they were measured in, by environment id."""

    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    path: Path | None = None

    def by_check(self) -> dict[str, Record]:
        return {record.check_id: record for record in self.records}


def is_simulated(environment: dict[str, Any] | None) -> bool:
    """True for records of the simulated Core ML host: they never count as evidence of hardware."""
    return bool(environment and environment.get("simulated"))


def write_evidence(path: Path, evidence: Evidence, *, with_timing: bool = False) -> None:
    """Write atomically. Timings differ from run to run and are left out unless asked for."""
    records = sort_records(evidence.records)
    header = {"environments": evidence.environments, "records": len(records)}
    lines = [json.dumps({HEADER_KEY: header}, sort_keys=True)]
    lines += _lines(record if with_timing else record.with_(timing={}) for record in records)
    write_text_atomically(path, "\n".join(lines) + "\n")


def _lines(records: Iterable[Record]) -> list[str]:
    shared: dict[str, list[Record]] = {}
    for record in records:
        shared.setdefault(record.with_(recipe="").to_line(), []).append(record)
    return [
        alike[0].to_line()
        if len(alike) == 1
        else json.dumps(
            {**alike[0].to_json(), "recipe": [r.recipe for r in alike]}, sort_keys=True, separators=(",", ":")
        )
        for alike in shared.values()
    ]


def read_evidence(path: Path) -> Evidence:
    """Read an evidence file; `HarnessError` names the file and line when it is truncated or foreign."""
    lines = _read_lines(path)
    if not lines:
        raise HarnessError(f"{path}: empty, not an evidence file")
    header = _parse(path, 1, lines[0])
    if not isinstance(header, dict) or not isinstance(header.get(HEADER_KEY), dict):
        raise HarnessError(f"{path}: not an evidence file (no header in its first line)")
    head = header[HEADER_KEY]
    environments = head.get("environments")
    if not isinstance(environments, dict) or not all(isinstance(block, dict) for block in environments.values()):
        raise HarnessError(f"{path}: not an evidence file (no environments in its header)")
    evidence = Evidence(environments=environments, path=path)
    for _, records in groupby(
        (record for number, line in enumerate(lines[1:], start=2) for record in _records(path, number, line)),
        key=lambda record: record.case,
    ):
        evidence.records += sorted(records, key=lambda record: (record.recipe, record.unit))
    expected = head.get("records")
    if expected != len(evidence.records):
        raise HarnessError(f"{path}: truncated, {len(evidence.records)} of {expected} records")
    return evidence


def _read_lines(path: Path) -> list[str]:
    try:
        # Not splitlines(): a message may hold U+2028 and its like, which JSON leaves as they are.
        lines = path.read_text(encoding="utf-8").split("\n")
        return lines if lines[-1] else lines[:-1]
    except FileNotFoundError:
        raise HarnessError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise HarnessError(f"{path}: is a directory, expected an evidence file") from None
    except UnicodeDecodeError:
        raise HarnessError(f"{path}: not text, not an evidence file") from None
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}") from None


def _parse(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise HarnessError(f"{path}: line {number} is not JSON: truncated or not an evidence file") from None


def _records(path: Path, number: int, line: str) -> list[Record]:
    try:
        data = _parse(path, number, line)
        recipes = data.get("recipe") if isinstance(data, dict) else None
        if not isinstance(recipes, list):
            return [Record.from_json(data)]
        one = Record.from_json({**data, "recipe": ""})
        return [one.with_(recipe=str(recipe)) for recipe in recipes]
    except HarnessError as error:
        text = str(error)
        raise HarnessError(text if text.startswith(str(path)) else f"{path}: line {number}: {text}") from None


def write_text_atomically(path: Path, text: str) -> None:
    """Replace `path` in one step, so that a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except FileExistsError:
        raise HarnessError(f"{path}: cannot write: {path.parent} is not a directory") from None
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise HarnessError(f"{path}: cannot write: {error.strerror}") from None


def merge_evidence(parts: Iterable[Evidence]) -> Evidence:
    """Union of records; of two for the same check and environment the later one wins."""
    merged = Evidence()
    by_key: dict[tuple[str, str], Record] = {}
    for part in parts:
        merged.environments.update(part.environments)
        for record in part.records:
            by_key[(record.check_id, record.environment)] = record
    merged.records = sort_records(by_key.values())
    return merged
