"""Ways around: the least that a user has to change for a failing check to work, found by trying.

Each attempt lowers the case anew with a `Change` and has it judged like any other. What an attempt fails by names the
next ones: the operator that the converter was at, or that a wrong value was put down to, is left to ExecuTorch; the
operator that the edge dialect refuses is kept whole, or let through; then another precision or target, and rewrites.
Where no operator is named, they are found by delta debugging over all of them. What works is cut down again to what it
needs. How the case is lowered and judged is the caller's: this only decides what to try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.evidence.names import OpName
from harness.evidence.notes import NoteCode
from harness.evidence.recipe import TARGETS, Recipe
from harness.evidence.record import Record
from harness.evidence.remedy import REWRITES, REWRITES_OF_AN_OPERATOR, TRIES, Problem, Remedy
from harness.evidence.vocabulary import WORKING, Outcome, Phase

#: The newest target that coremltools converts for by default: newer ones are for few users.
_USUAL_TARGET = "iOS18"


@dataclass(frozen=True)
class Change:
    """How a case is lowered: its recipe, and what is changed of it."""

    recipe: Recipe
    skip: frozenset[str] = frozenset()
    preserve: frozenset[str] = frozenset()
    unchecked: bool = False
    rewrite: str = ""
    #: What the rewrite is about.
    operator: str = ""

    @property
    def size(self) -> int:
        """How many things a user has to change, but for the recipe."""
        return len(self.skip) + len(self.preserve) + self.unchecked + bool(self.rewrite)


@dataclass(frozen=True)
class Attempt:
    """A change, and the record of what came of it."""

    change: Change
    record: Record

    @property
    def works(self) -> bool:
        return self.record.outcome in WORKING and not self.record.missing_kernels

    @property
    def needs_kernels(self) -> bool:
        """Whether it works but for kernels that somebody has to add to the runtime."""
        return self.record.outcome in WORKING and bool(self.record.missing_kernels)

    @property
    def signs(self) -> tuple[object, ...]:
        """What tells this failure from another."""
        record = self.record
        error = record.error.signature if record.error is not None else ""
        return record.outcome, record.phase, error, operator_of(record), tuple(record.missing_kernels)


def operator_of(record: Record) -> str:
    """The operator that an outcome is put down to, by its note; empty where none is."""
    return next((note.detail for note in record.notes if note.code is NoteCode.OPERATOR), "")


#: Lowers and judges with a change; None where the change has nothing to change.
Try = Callable[[Change], Record | None]


@dataclass
class _Search:
    attempt: Try
    operators: Callable[[], Sequence[str]]
    tries: int
    taken_apart: Callable[[str], bool]
    taken: int = 0
    tried: dict[Change, Attempt | None] = field(default_factory=dict)
    problems: list[Attempt] = field(default_factory=list)
    #: The best of those that need kernels which ExecuTorch does not have.
    lacking: Attempt | None = None
    lacking_problems: list[Attempt] = field(default_factory=list)
    #: Whether kernels are all that is left, and nothing stands in for them.
    settled: bool = False

    def make(self, change: Change) -> Attempt | None:
        """What came of a change, tried once; None where it has nothing to change, and where no tries are left."""
        if change not in self.tried:
            if self.taken >= self.tries:
                return None
            self.taken += 1
            record = self.attempt(change)
            self.tried[change] = Attempt(change, record) if record is not None else None
            if record is None:
                self.taken -= 1
        found = self.tried[change]
        if found is not None and found.needs_kernels and (self.lacking is None or _better(found, self.lacking)):
            self.lacking, self.lacking_problems = found, list(self.problems)
            self.settled = self.settled or not any(candidates(found, self.taken_apart))
        return found

    def solve(self, failing: Attempt, seen: frozenset[tuple[object, ...]]) -> Attempt | None:
        """A working attempt that begins with the failing one's change; depth first, so that each problem met is dealt
        with before the next."""
        self.problems.append(failing)
        for change in candidates(failing, self.taken_apart):
            found = self.make(change)
            if self.settled:
                return None
            if found is None:
                continue
            if found.works:
                return found
            if found.signs not in seen and (solved := self.solve(found, seen | {found.signs})) is not None:
                return solved
        self.problems.pop()
        return None

    def by_halves(self, failing: Attempt) -> Attempt | None:
        """The fewest operators that have to be left to ExecuTorch, by delta debugging."""
        change = failing.change
        names = [name for name in self.operators() if name not in change.skip]
        found = self.make(replace(change, skip=change.skip | frozenset(names))) if names else None
        if found is None or not found.works:
            return None
        parts = 2
        while len(names) > 1 and parts <= len(names):
            chunks = [names[start::parts] for start in range(parts)]
            smaller = [*chunks, *([n for n in names if n not in chunk] for chunk in chunks if parts > 2)]
            for kept in smaller:
                attempt = self.make(replace(change, skip=change.skip | frozenset(kept)))
                if attempt is not None and attempt.works:
                    found, names = attempt, kept
                    parts = max(2, min(parts - 1, len(kept)))
                    break
            else:
                if parts == len(names):
                    break
                parts = min(2 * parts, len(names))
        return found

    def least(self, found: Attempt, start: Change) -> Attempt:
        """The same without what it does not need."""
        for smaller in _without_one(found.change, start):
            attempt = self.make(smaller)
            if attempt is None or attempt.record.outcome not in WORKING:
                continue
            if set(attempt.record.missing_kernels) <= set(found.record.missing_kernels):
                return self.least(attempt, start)
        return found


def search(
    failing: Record,
    recipe: Recipe,
    attempt: Try,
    operators: Callable[[], Sequence[str]],
    tries: int = TRIES,
    taken_apart: Callable[[str], bool] = lambda _operator: True,
) -> Remedy:
    """The least change found that makes the failing check work; a remedy without outcome where there is none.

    `operators` gives the names of all operators that can be left to ExecuTorch, asked where no failure names one.
    `taken_apart` tells of an operator whether ExecuTorch decomposes it where nothing keeps it.
    """
    start = Change(recipe)
    first = Attempt(start, failing)
    looking = _Search(attempt, operators, tries, taken_apart)
    looking.tried[start] = first
    found = looking.solve(first, frozenset({first.signs}))
    if found is None and not looking.settled and Phase(failing.phase) not in (Phase.EXPORT, Phase.EAGER):
        looking.problems = [first]
        found = looking.by_halves(first)
    if found is not None:
        return _remedy(looking.least(found, start), looking, start)
    if looking.lacking is not None:
        looking.problems = looking.lacking_problems
        return _remedy(looking.least(looking.lacking, start), looking, start)
    looking.problems = [first]
    reason = f"none of {looking.taken} changes tried helps" if looking.taken else "nothing to change was found"
    if looking.taken >= looking.tries:
        reason += "; --tries allows more"
    return Remedy(tries=looking.taken, problems=_problems(looking), reason=reason)


def candidates(failing: Attempt, taken_apart: Callable[[str], bool] = lambda _operator: True) -> Iterator[Change]:
    """What to try next after a failure, the likeliest and least first."""
    change, record = failing.change, failing.record
    operator = operator_of(record)
    if record.outcome in WORKING:  # what lacks a kernel is decomposed, or given to Core ML
        for name in record.fallback:
            if _is_missing(name, record) and name not in change.preserve:
                yield from _skipping(change, name, taken_apart(name))
                yield from _preserving(change, name)
        return
    if record.phase is Phase.EXPORT:
        yield from _rewrites(change, operator)
        return
    if record.phase is Phase.EDGE:
        yield from _preserving(change, operator)
        if not change.unchecked:
            yield replace(change, unchecked=True)
        yield from _rewrites(change, operator)
        return
    wider = _wider(change)
    rounding = any(note.code is NoteCode.RIGHT_WHEN_WIDENED for note in record.notes)
    if wider is not None and (rounding or record.outcome is Outcome.OUT_OF_RANGE):
        yield wider
    yield from _skipping(change, operator, taken_apart(operator))
    yield from _rewrites(change, operator)
    if wider is not None:
        yield wider
    if change.recipe.loaded_as.specification < TARGETS[_USUAL_TARGET.lower()].specification:
        yield replace(change, recipe=change.recipe.with_target(_USUAL_TARGET))


def _skipping(change: Change, operator: str, taken_apart: bool) -> Iterator[Change]:
    """The operator left to ExecuTorch. The partitioner knows it by two names: without its namespace in the exported
    graph, where skipping has it decomposed, and with it in the edge program, where skipping leaves it undelegated.
    What nothing takes apart stays wrong by the first name, so that it comes second.
    """
    whole = operator.lower()
    _, dot, decomposed = whole.partition(".")
    one, other = ({decomposed}, {whole}) if taken_apart else ({whole}, {decomposed})
    for names in (one, other, {decomposed, whole}) if dot else ():
        if not names <= change.skip:
            yield replace(change, skip=change.skip | names)


def _preserving(change: Change, operator: str) -> Iterator[Change]:
    if operator and operator not in change.preserve:
        yield replace(change, preserve=change.preserve | {operator})


def _better(one: Attempt, other: Attempt) -> bool:
    """Whether it needs fewer kernels, or leaves fewer operators to ExecuTorch."""
    here, there = ((len(a.record.missing_kernels), sum(a.record.fallback.values())) for a in (one, other))
    return here < there


def _is_missing(name: str, record: Record) -> bool:
    """Whether a kernel is missing for this overload: the registry has them by packet and out variant."""
    return any(OpName.parse(name).key == OpName.parse(kernel).key for kernel in record.missing_kernels)


def _wider(change: Change) -> Change | None:
    if change.recipe.precision == "fp32":
        return None
    return replace(change, recipe=change.recipe.with_precision("fp32"))


def _rewrites(change: Change, operator: str) -> Iterator[Change]:
    if not change.rewrite:
        for name in REWRITES:
            if name not in REWRITES_OF_AN_OPERATOR:
                yield replace(change, rewrite=name)
            elif operator:
                yield replace(change, rewrite=name, operator=operator)


def _without_one(change: Change, start: Change) -> Iterator[Change]:
    if change.size + (change.recipe != start.recipe) < 2:
        return
    if change.recipe != start.recipe:
        yield replace(change, recipe=start.recipe)
    if change.rewrite:
        yield replace(change, rewrite="", operator="")
    if change.unchecked:
        yield replace(change, unchecked=False)
    for name in sorted(change.preserve):
        yield replace(change, preserve=change.preserve - {name})
    for name in sorted(change.skip):
        yield replace(change, skip=change.skip - {name})


def _remedy(found: Attempt, looking: _Search, start: Change) -> Remedy:
    change, record = found.change, found.record
    return Remedy(
        outcome=record.outcome,
        recipe=change.recipe.name if change.recipe != start.recipe else "",
        skip=tuple(sorted(change.skip)),
        preserve=tuple(sorted(change.preserve)),
        unchecked=change.unchecked,
        rewrite=change.rewrite,
        delegated=sum(record.delegated.values()),
        left=sum(record.fallback.values()),
        missing_kernels=tuple(record.missing_kernels),
        tries=looking.taken,
        problems=_problems(looking),
    )


def _problems(looking: _Search) -> tuple[Problem, ...]:
    return tuple(_problem(attempt.record) for attempt in looking.problems)


def _problem(record: Record) -> Problem:
    source = next((note.detail for note in record.notes if note.code is NoteCode.SOURCE), "")
    text = (record.error.message if record.error is not None else record.reason).strip()
    lacking = ", ".join(record.missing_kernels)
    told = text.splitlines()[0][:300] if text else f"no kernel for {lacking}" if lacking else ""
    cause = record.cause or ""
    return Problem(record.outcome, operator_of(record), source, cause, "" if cause else told)
