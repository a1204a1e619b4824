"""Faults planted in the torch converter, caught by the generated cases of level `standard`, and in modules of a user's
own that hold the same calls: alone in their file, and as a part of a larger module."""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness.cases import generated, user_file
from harness.cases.case import Case
from harness.check import Checker
from harness.evidence.causes import Causes, read_causes
from harness.evidence.check import Check
from harness.evidence.recipe import DEFAULT_RECIPES, Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import Kind, Level, Outcome
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
#: Of the faults, how many a user's module must show in fp32; and those it does not, with the reason.
AT_LEAST = 95
NOT_IN_A_USERS_MODULE = {
    "reciprocal.default:-1e-3": "coremltools itself adds 1e-4, so that every module is wrong in fp32 without it",
}
#: What a user's file says. `part` computes from the call's results, and returns its first input used otherwise.
USERS_FILE = """
import torch
from harness.cases import find


class Part(torch.nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, *inputs):
        found = self.call(*inputs)
        found = tuple(found) if isinstance(found, (tuple, list)) else (found,)
        results = tuple(y * 0.5 + y if y.is_floating_point() else y for y in found)
        floats = [x for x in inputs if isinstance(x, torch.Tensor) and x.is_floating_point()]
        return (*results, *(torch.tanh(x * 0.5) for x in floats[:1]))


def alone():
    built = find.find({case!r}).build()
    return built.module, built.inputs, {{"kwargs": built.kwargs}}


def part():
    module, inputs, options = alone()
    return Part(module), inputs, options
"""


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


@pytest.fixture(autouse=True)
def _unlocalised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a fault is seen is asked here; which operator it is put down to takes as long again, and is asked in
    `tests/diagnosis/test_localise.py`."""
    monkeypatch.setattr("harness.check.blamed", lambda *_: ([], []))


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("users")


def users_own(case: Case, name: str, folder: Path) -> Case:
    """The call of a case in a file of a user's, of which nothing tells that it is one of ours."""
    path = folder / f"{re.sub(r'[^0-9A-Za-z]', '_', case.id)}.py"
    if not path.exists():
        path.write_text(USERS_FILE.format(case=case.id))
    (found,) = user_file.load(path, name)
    return found


@pytest.mark.parametrize(
    "name",
    ["alone", pytest.param("part", marks=pytest.mark.slow)],  # the same 100 lowerings and more once again
)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_users_module_shows_it(
    fault: Fault, name: str, bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In fp32; the module passes without the plant."""
    fp32 = next(recipe for recipe in RECIPES if recipe.precision == "fp32")
    shown = False
    for case in in_order(fault):
        own = users_own(case, name, folder)
        with monkeypatch.context() as patch:
            fault.plant(patch)
            record = bench.planted(own, fp32)
        assert record.kind is Kind.USER
        if record.outcome in CAUGHT and bench.without(own, fp32).outcome in FINE:
            shown = True
            break
    assert shown is (fault.name not in NOT_IN_A_USERS_MODULE)


def test_enough_of_them_show_in_users_modules() -> None:
    assert NOT_IN_A_USERS_MODULE.keys() <= {fault.name for fault in FAULTS}
    assert len(FAULTS) - len(NOT_IN_A_USERS_MODULE) >= AT_LEAST


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
