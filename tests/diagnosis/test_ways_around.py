"""The search for a way around, over worlds made up of operators that fail each in their way."""

from dataclasses import dataclass, field

import pytest

from harness.diagnosis.ways_around import Attempt as Tried
from harness.diagnosis.ways_around import Change, candidates, operator_of, search
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.remedy import REWRITES, REWRITES_OF_AN_OPERATOR, Remedy
from harness.evidence.vocabulary import Outcome, Phase

FP16 = Recipe.parse("fp16-ios17")
NAMES = [f"aten.op{number}.default" for number in range(8)]


def record(outcome, phase, operator="", note=None, **fields):
    notes = [Note(NoteCode.OPERATOR, operator)] if operator else []
    notes += [Note(note, "")] if note else []
    error = ErrorInfo("ValueError", f"at {operator}", f"ValueError: {phase}")
    return Record("check/mine/model", "fp16-ios17", "reference", outcome, phase, error=error, notes=notes, **fields)


@dataclass
class World:
    """Lowers and judges: what fails in it is `refused` at the edge, `crashing` in the converter, `wrong`, or wrong in
    float16 alone. An operator that is not `named` fails without telling which. `decomposed` are those that are right
    once they are decomposed, `no_kernel` those that ExecuTorch lacks."""

    refused: tuple = ()
    crashing: tuple = ()
    wrong: tuple = ()
    narrow: tuple = ()
    named: bool = True
    decomposed: tuple = ()
    no_kernel: tuple = ()
    tried: list = field(default_factory=list)

    def __call__(self, change: Change) -> Record | None:
        self.tried.append(change)
        skipped = {name for name in NAMES if name in change.skip}
        gone = {name for name in self.decomposed if name.removeprefix("aten.") in change.skip}
        for name in self.refused:
            if name not in change.preserve and not change.unchecked:
                return self.failed(Outcome.UNSUPPORTED, Phase.EDGE, name)
        for name in self.crashing:
            if name not in skipped | gone:
                return self.failed(Outcome.CONVERT_ERROR, Phase.CONVERT, name)
        for name in self.wrong:
            if name not in skipped | gone:
                return self.failed(Outcome.WRONG_VALUE, Phase.VALUE, name)
        if change.recipe.precision == "fp16":
            for name in self.narrow:
                if name not in skipped:
                    return self.failed(Outcome.OUT_OF_RANGE, Phase.VALUE, name)
        left = sorted(skipped - gone)
        lacking = [
            f"{name.replace('.', '::', 1).removesuffix('.default')}.out" for name in left if name in self.no_kernel
        ]
        return record(
            Outcome.PARTIAL if left else Outcome.PASS,
            Phase.VALUE,
            delegated={name: 1 for name in NAMES if name not in left},
            fallback=dict.fromkeys(left, 1),
            missing_kernels=lacking,
        )

    def failed(self, outcome, phase, name):
        return record(outcome, phase, name if self.named else "")

    def search(self, tries=30) -> Remedy:
        first = self(Change(FP16))
        self.tried.clear()
        return search(first, FP16, self, lambda: NAMES, tries)


A, B, C = NAMES[1], NAMES[4], NAMES[6]


def test_the_crashing_operator_is_left_to_executorch():
    found = World(crashing=(A,)).search()
    assert (found.outcome, found.skip, found.recipe) == (Outcome.PARTIAL, (A,), "")
    assert (found.delegated, found.left) == (7, 1)


def test_decomposing_it_comes_first_because_nothing_is_lost():
    found = World(wrong=(A,), decomposed=(A,)).search()
    assert (found.outcome, found.skip) == (Outcome.PASS, ("op1.default",))
    assert found.tries == 1


def test_what_has_no_kernel_whole_is_decomposed_or_lacks_one():
    assert World(wrong=(A,), decomposed=(A,), no_kernel=(A,)).search().skip == ("op1.default",)
    found = World(wrong=(A,), no_kernel=(A,)).search()
    assert found.skip == (A,)
    assert found.missing_kernels == ("aten::op1.out",)
    assert not found.is_verified


def test_three_problems_are_met_one_after_the_other():
    found = World(refused=(A,), crashing=(B,), wrong=(C,)).search()
    assert (found.preserve, found.skip) == ((A,), (B, C))
    assert [problem.operator for problem in found.problems] == [A, B, C]
    assert found.is_verified


def test_what_fails_in_float16_alone_is_lowered_in_float32():
    found = World(narrow=(A,)).search()
    assert (found.recipe, found.skip, found.outcome) == ("fp32-ios17", (), Outcome.PASS)


def test_operators_that_nothing_names_are_found_by_halves():
    found = World(crashing=(A, C), named=False).search()
    assert set(found.skip) == {A, C}


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_no_more_lowerings_than_allowed(tries):
    world = World(crashing=tuple(NAMES), named=False)
    world.search(tries)
    assert len(world.tried) <= tries


def test_nothing_is_lowered_twice():
    world = World(crashing=(A, C), wrong=(B,), named=False)
    world.search()
    assert len(world.tried) == len(set(world.tried))


def test_what_it_does_not_need_is_taken_away_again():
    """Skipping B alone shows the next problem, and so does A: only one of them is needed in the end."""

    class Either(World):
        def __call__(self, change):
            self.tried.append(change)
            if A in change.skip:
                return record(Outcome.PARTIAL, Phase.VALUE, delegated={B: 1}, fallback={A: 1})
            if B in change.skip:
                return self.failed(Outcome.CONVERT_ERROR, Phase.CONVERT, A)
            return self.failed(Outcome.CONVERT_ERROR, Phase.CONVERT, B)

    assert Either().search().skip == (A,)


def test_a_search_without_success_says_how_far_it_went():
    class Hopeless(World):
        def __call__(self, change):
            self.tried.append(change)
            return self.failed(Outcome.CONVERT_ERROR, Phase.CONVERT, A)

    found = Hopeless().search()
    assert found.outcome is None
    assert found.tries > 3
    assert found.reason == f"none of {found.tries} changes tried helps"
    assert [problem.operator for problem in found.problems] == [A]
    assert "--tries allows more" in Hopeless().search(2).reason


def test_what_export_refuses_is_not_looked_into():
    failing = record(Outcome.UNSUPPORTED, Phase.EXPORT)
    world = World()
    found = search(failing, FP16, lambda change: None if change.rewrite else world(change), lambda: NAMES, 30)
    assert (found.outcome, found.tries, world.tried) == (None, 0, [])
    assert found.reason == "nothing to change was found"


def test_a_rewrite_that_helps_is_named():
    class Stride(World):
        def __call__(self, change):
            self.tried.append(change)
            if change.rewrite == "explicit_stride":
                return record(Outcome.PASS, Phase.VALUE, delegated={A: 1})
            return self.failed(Outcome.CONVERT_ERROR, Phase.CONVERT, A)

    found = Stride().search()
    assert (found.rewrite, found.skip) == ("explicit_stride", ())


def test_candidates_hold_what_was_changed_before():
    change = Change(FP16, skip=frozenset({"aten.x.default"}), unchecked=True)
    tried = Tried(change, record(Outcome.CONVERT_ERROR, Phase.CONVERT, A))
    following = list(candidates(tried))
    assert following
    assert all(one.unchecked and "aten.x.default" in one.skip for one in following)
    assert all(one != change for one in following)


def test_the_operator_is_a_note():
    assert operator_of(record(Outcome.WRONG_VALUE, Phase.VALUE, A)) == A
    assert operator_of(record(Outcome.WRONG_VALUE, Phase.VALUE)) == ""


@pytest.mark.parametrize("taken_apart", [True, False])
def test_what_nothing_takes_apart_is_left_whole_at_once(taken_apart):
    """Asking for its decomposition first would be the same program, and the same fault, once more."""
    world = World(wrong=("aten.op1.default",))
    failing = world.failed(Outcome.WRONG_VALUE, Phase.VALUE, "aten.op1.default")
    found = search(failing, FP16, world, lambda: NAMES, taken_apart=lambda _operator: taken_apart)
    assert found.skip == ("aten.op1.default",)
    assert [sorted(change.skip) for change in world.tried] == [["op1.default"]] * taken_apart + [["aten.op1.default"]]


def test_a_rewrite_of_the_whole_program_is_the_same_whichever_operator_fails():
    """What it shares with another attempt is known by the rewrite alone; one of an operator needs to know of which."""
    named = list(candidates(Tried(Change(FP16), record(Outcome.CONVERT_ERROR, Phase.CONVERT, A))))
    unnamed = list(candidates(Tried(Change(FP16), record(Outcome.CONVERT_ERROR, Phase.CONVERT))))
    assert {c.rewrite for c in named if c.rewrite} == set(REWRITES)
    assert {c.rewrite for c in unnamed if c.rewrite} == set(REWRITES) - REWRITES_OF_AN_OPERATOR
    assert {c.operator for c in named if c.rewrite in REWRITES_OF_AN_OPERATOR} == {A}
    assert {c.operator for c in [*named, *unnamed] if c.rewrite not in REWRITES_OF_AN_OPERATOR} == {""}
