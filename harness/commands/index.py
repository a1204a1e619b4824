"""`harness index`: the generated tables of the package, made anew from the installed packages or compared with them."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from harness.cases import ane, extracted
from harness.cases.index import generated, modules, opinfo
from harness.evidence import partitioner_rules, universe
from harness.evidence.files import write_text_atomically
from harness.evidence.vocabulary import HarnessError


@dataclass(frozen=True)
class Index:
    """A generated table and the module of `harness.cases.index` whose `index_text` makes it."""

    name: str
    path: Path


#: In the order in which they are made: later ones read earlier ones.
INDEXES: tuple[Index, ...] = (
    Index("universe", universe.PATH),
    Index("partitioner", partitioner_rules.PATH),
    Index("opinfo", opinfo.PATH),
    Index("harvest", generated.HARVEST_PATH),
    Index("generated", generated.PATH),
    Index("ane", ane.PATH),
    Index("modules", modules.PATH),
    Index("extracted", extracted.PATH),
)
NAMES = tuple(index.name for index in INDEXES)

Maker = Callable[[Index], str]


def run(names: Sequence[str] = (), *, check: bool = False, make: Maker | None = None) -> int:
    """Make the named tables, by default all, and write those that changed; what is done is printed.

    With `check` nothing is written, and the exit code is 1 when a table is not what the installed packages give.
    Raises `HarnessError` for an unknown name, and when a table cannot be made.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise HarnessError(f"{', '.join(unknown)}: no such index; they are {', '.join(NAMES)}")
    stale = False
    for index in INDEXES:
        if names and index.name not in names:
            continue
        text = (make or in_a_process_of_its_own)(index)
        changed = text != (index.path.read_text(encoding="utf-8") if index.path.exists() else None)
        stale |= changed
        if changed and not check:
            write_text_atomically(index.path, text)
        state = ("out of date" if check else "written") if changed else "up to date"
        print(f"{index.name}: {index.path.name}: {state}", flush=True)
    if stale and check:
        print("run `coreml-harness index`")
    return int(stale and check)


def in_a_process_of_its_own(index: Index) -> str:
    """The table's text. What other packages register on import, and what crashes, stays in that process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(_text_of, index.name, sys.stderr.isatty()).result()
        except BrokenProcessPool:
            raise HarnessError(f"{index.name}: the process that made it ended") from None


def _text_of(name: str, progress: bool) -> str:
    """The text of a table, made in this process; `progress` shows on the terminal how far it is."""
    terminal = os.fdopen(os.dup(2), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # what the packages print as they are imported

    def show(text: str) -> None:
        if progress:
            print(f"\r\x1b[K{text}", end="", file=terminal, flush=True)

    import torch

    torch.set_num_threads(1)
    made: str = importlib.import_module(f"harness.cases.index.{name}").index_text(lambda text: show(f"{name}: {text}"))
    show("")
    return made
