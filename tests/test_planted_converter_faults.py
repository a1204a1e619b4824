"""Faults planted in the torch converter, caught by the generated cases of level `standard`."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness.cases import generated
from harness.cases.case import Case
from harness.check import Checker
from harness.evidence.causes import Causes, read_causes
from harness.evidence.check import Check
from harness.evidence.recipe import DEFAULT_RECIPES, Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import Level, Outcome
from harness.lowering import speedups

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent / "planted"))

from converter_faults import FAULTS, HIDDEN, KINDS, Fault  # noqa: E402

#: In this order: fp32 bounds are the tighter ones.
RECIPES = [Recipe.parse(name) for name in sorted(DEFAULT_RECIPES, reverse=True)]
CAUGHT = {
    Outcome.WRONG_VALUE,
    Outcome.WRONG_SHAPE,
    Outcome.WRONG_DTYPE,
    Outcome.INVALID_PROGRAM,
    Outcome.OUT_OF_RANGE,
    Outcome.CONVERT_ERROR,
}
FINE = {Outcome.PASS, Outcome.PARTIAL, Outcome.FALLBACK}


class Bench:
    """Checks of generated cases with and without a plant; a case is exported once, and judged once without."""

    def __init__(self) -> None:
        self._checkers: dict[str, Checker] = {}
        self.sound: dict[tuple[str, str], Record] = {}

    def planted(self, case: Case, recipe: Recipe) -> Record:
        """Lowered anew; only the exported program, which knows nothing of Core ML, is kept."""
        checker = self._checkers.setdefault(case.id, Checker())
        if checker._last is not None:
            checker._last.lowered.clear()
        return checker.check(Check.of(case, recipe, "reference"))

    def without(self, case: Case, recipe: Recipe) -> Record:
        key = case.id, recipe.name
        if key not in self.sound:
            self.sound[key] = self.planted(case, recipe)
        return self.sound[key]


@functools.cache
def standard_cases(op: str) -> tuple[Case, ...]:
    """Those of one operator, in the order of the index."""
    return tuple(case for case in generated.cases() if case.op == op and case.level is not Level.FULL)


def in_order(fault: Fault) -> list[Case]:
    """First cases that vary the argument a fault is named after, then those whose weights the program holds.

    That saves time and changes nothing else.
    """
    argument = fault.what.partition(" ")[0]

    def place(case: Case) -> tuple[bool, bool]:
        label = case.id.rpartition("/")[2]
        return f"{argument}=" not in label.split(",")[-1], label != "constants"

    return sorted(standard_cases(f"aten.{fault.op}"), key=place)


@pytest.fixture(scope="module")
def bench() -> Bench:
    torch.set_num_threads(1)
    speedups.enable()
    return Bench()


@pytest.fixture(scope="module")
def causes() -> Causes:
    return Causes(read_causes(ROOT / "suites" / "known_issues"))


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_generated_case_catches_it(
    fault: Fault, bench: Bench, causes: Causes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first case that fails with the plant and not without ends the search."""
    tried = [(case, recipe) for recipe in RECIPES for case in in_order(fault)]
    assert tried, f"no generated case of {fault.op}"
    for case, recipe in tried:
        with monkeypatch.context() as patch:
            fault.plant(patch)
            record = bench.planted(case, recipe)
        if record.outcome not in CAUGHT:
            continue
        sound = bench.without(case, recipe)
        if sound.outcome in FINE:
            return
        assert causes.cause_of(sound) is not None, f"fails without a plant, and no cause explains it: {sound}"
    pytest.fail(f"none of {len(tried)} checks catches it")


@pytest.mark.parametrize(("op", "labels"), HIDDEN, ids=lambda value: value if isinstance(value, str) else "")
def test_a_fault_hides_only_behind_a_known_cause(
    op: str, labels: tuple[str, ...], bench: Bench, causes: Causes
) -> None:
    """What would tell fails already. When its cause is mended, the fault of the same name belongs to `FAULTS`."""
    telling = [case for case in standard_cases(f"aten.{op}") if case.id.rpartition("/")[2] in labels]
    assert len(telling) == len(labels)
    for case in telling:
        sound = bench.without(case, RECIPES[0])
        assert sound.outcome not in FINE, sound
        assert causes.cause_of(sound) is not None, sound


def test_the_table_is_as_broad_as_it_says() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 36
    assert {fault.kind for fault in FAULTS} == set(KINDS)
    assert len({fault.op for fault in FAULTS}) >= 40
