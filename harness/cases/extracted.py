"""Cases taken from models: the calls that their exported programs make, and the blocks that they are built of.

The index beside this file has them, made from every model of `models.MODELS` (`index.extracted`).
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import NamedTuple

from harness.cases import blocks, generated
from harness.cases.case import Case, levels_at
from harness.evidence.environment import version_of
from harness.evidence.made_with import read_lines
from harness.evidence.usage import Usage
from harness.evidence.vocabulary import Kind, Level

#: Of the blocks; the calls are cases of `ops`.
SUITE = "modules"
ORIGIN = "extracted"
PATH = Path(__file__).with_name("extracted.jsonl")


class Row(NamedTuple):
    """A line of the index. `name` is an operator's overload, or the type of a block's module; `text` is the call, or
    the block's lines. `digest` is of the call, or of the block's structure.

    A tuple, because thousands are read to list the cases.
    """

    name: str
    dtype: str
    digest: str
    level: str
    times: int
    models: tuple[str, ...]
    text: str

    @property
    def usage(self) -> Usage:
        return Usage(self.models, self.times)


def cases(level: Level = Level.FULL) -> tuple[Case, ...]:
    """The calls that run at `level`. Makes no tensors.

    Raises `HarnessError` when there is no index for the installed torch.
    """
    return _calls_at(level)


def block_cases(level: Level = Level.FULL) -> tuple[Case, ...]:
    """The blocks that run at `level`. Raises as `cases`."""
    levels = levels_at(level)
    return tuple(_block(row) for row in read_index()[1] if row.level in levels)


@functools.cache
def _calls_at(level: Level) -> tuple[Case, ...]:
    levels = levels_at(level)
    return tuple(_call(row) for row in read_index()[0] if row.level in levels)


@functools.cache
def read_index() -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """The calls and the blocks of the index."""
    lines = read_lines(PATH, {"torch": version_of("torch") or "-"}, "index of extracted calls")
    calls, found = [], []
    for row in json.loads(f"[{','.join(lines)}]"):
        if "op" in row:
            rest = row["digest"], row["level"], row["count"], tuple(row["models"]), row["call"]
            calls.append(Row(row["op"], row["dtype"], *rest))
        elif "module" in row:
            rest = row["digest"], row["level"], row["count"], tuple(row["models"]), "\n".join(row["lines"])
            found.append(Row(row["module"], row["dtype"], *rest))
    return tuple(calls), tuple(found)


def _call(row: Row) -> Case:
    return Case(
        id=f"{generated.SUITE}/{row.name}/{row.dtype}/{ORIGIN}-{row.digest}",
        kind=Kind.OPERATOR,
        op=row.name,
        api=row.name,
        dtype=row.dtype,
        origin=ORIGIN,
        usage=row.usage,
        level=Level(row.level),
        build=functools.partial(generated.build, row.text),
    )


def _block(row: Row) -> Case:
    short = row.name.rpartition(".")[2]
    return Case(
        id=f"{SUITE}/block.{short}/{row.dtype}/{row.digest}",
        kind=Kind.MODULE,
        op=f"block.{short}",
        api=row.name,
        dtype=row.dtype,
        origin=ORIGIN,
        usage=row.usage,
        level=Level(row.level),
        build=functools.partial(blocks.build, row.text),
    )
