"""Cases of modules as people write them: PyTorch's own, in every variant of its table, and lines of `forward`.

Weights are constants of the program, the module is in eval mode. What the cases are is in an index, so that listing
them makes no tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

from harness.cases import functional, module_db
from harness.cases.case import Built, Case, CaseFault, levels_at
from harness.cases.index.modules import Entry, call_text, labels_of, read_index
from harness.evidence.environment import version_of
from harness.evidence.made_with import COMMAND
from harness.evidence.vocabulary import Kind, Level

SUITE = functional.SUITE
DTYPE = "float32"


@functools.cache
def _index() -> tuple[Entry, ...]:
    return tuple(read_index(version_of("torch") or "-"))


def cases(level: Level = Level.FULL) -> tuple[Case, ...]:
    """Those that run at `level`, modules in the order of PyTorch's table, then the lines. Makes no tensors.

    Raises `HarnessError` when there is no index for the installed torch.
    """
    return _at(level)


@functools.cache
def _at(level: Level) -> tuple[Case, ...]:
    of_torch = (case for entry in _index() for case in _cases_of(entry))
    levels = levels_at(level)
    return tuple(case for case in (*of_torch, *functional.cases()) if case.level in levels)


def _cases_of(entry: Entry) -> Iterator[Case]:
    levels = dict.fromkeys(entry.standard, Level.STANDARD)
    if entry.smoke is not None:
        levels[entry.smoke] = Level.SMOKE
    for number, label in enumerate(entry.labels):
        if label in entry.without:
            continue
        yield Case(
            id=f"{SUITE}/{entry.name}/{DTYPE}/{label}",
            kind=Kind.MODULE,
            op=entry.name,
            api=entry.name,
            dtype=DTYPE,
            origin="module_db",
            level=levels.get(number, Level.FULL),
            build=functools.partial(build, entry.name, number, label),
        )


def build(name: str, number: int, label: str) -> Built:
    """The variant at this place of PyTorch's table. Raises `CaseFault` where the label is another's."""
    labels = _labels(name)
    if number >= len(labels) or labels[number] != label:
        raise CaseFault(f"PyTorch's table of modules has no {label} in this place: run {COMMAND} modules")
    variant = module_db.variants(name)[number]
    return replace(module_db.construct(name, variant, label), call=call_text(name, variant))


@functools.lru_cache(maxsize=2)
def _labels(name: str) -> tuple[str, ...]:
    """Those of all variants, which its neighbours in a run need too."""
    return labels_of(module_db.variants(name))
