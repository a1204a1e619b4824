"""What the operators' own checks promise of a model, beside what it came to.

A model is expected to pass by a recipe where every operator of its graph does: by the calls of it that were taken from
that model, where there are any, else by those taken from any model, else by all calls of it that were tried. General
limits that the calls of others meet do not count: they are told once, and are the model's own to meet. Where an
operator was not tried by the recipe, its checks by the default recipe of the same precision stand for it: small weights
are unpacked to that before an operator sees them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.evidence.names import by_packet
from harness.evidence.recipe import DEFAULT_RECIPES, Recipe
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import UNJUDGED, Kind, Outcome
from harness.publish.attribution import attribute
from harness.publish.graphs import graph_of
from harness.publish.models_page import ModelRow


@dataclass(frozen=True)
class Promise:
    """What a check says of an operator in its graph."""

    outcome: Outcome
    record: Record

    @property
    def kept(self) -> bool:
        return self.outcome is Outcome.PASS


@dataclass(frozen=True)
class Suspect:
    """An operator of a model's graph that does not pass everywhere: what failed, and whether that were `own` calls of
    the model."""

    operator: str
    own: bool
    broken: tuple[Promise, ...]

    @property
    def causes(self) -> tuple[str, ...]:
        """Slugs, those behind most checks first; an empty one for what no cause explains."""
        slugs = [promise.record.cause or "" for promise in self.broken]
        return tuple(sorted(set(slugs), key=lambda slug: (-slugs.count(slug), slug)))


@dataclass(frozen=True)
class Forecast:
    """A model by a recipe. `expected` is None where its graph is not known, or an operator of it was never tried
    (`untried`) and no other fails."""

    model: str
    record: Record
    expected: bool | None
    suspects: tuple[Suspect, ...] = ()
    untried: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        return self.record.outcome is Outcome.PASS

    @property
    def agrees(self) -> bool:
        return self.expected is self.passes


@dataclass
class Promises:
    """By recipe and operator, what each check came to: of `all` calls, of those `taken` from models, and of a model's
    `own`, by its name."""

    all: dict[tuple[str, str], list[Promise]] = field(default_factory=dict)
    taken: dict[tuple[str, str], list[Promise]] = field(default_factory=dict)
    own: dict[tuple[str, str, str], list[Promise]] = field(default_factory=dict)

    def of(self, model: str, recipe: str, operator: str, *, own: bool = True) -> tuple[bool, list[Promise]]:
        """Those that say most of an operator in a model, and whether they are of the model's own calls."""
        recipes = dict.fromkeys([recipe, standing_for(recipe)])
        if own:
            for name in recipes:
                if found := self.own.get((model, name, operator)):
                    return True, found
            for name in recipes:
                if found := self.taken.get((name, operator)):
                    return False, found
        return False, next((found for name in recipes if (found := self.all.get((name, operator)))), [])


def promises_of(records: Iterable[Record], general: frozenset[str] = frozenset()) -> Promises:
    """Those of the operators' own checks, of quantized modules, and of blocks taken from models; what judges nothing
    promises nothing. `general` are the causes of that scope, which break a promise to the model alone that makes the
    call."""
    kinds = {Kind.OPERATOR, Kind.QUANTIZATION}  # what unpacks small weights stands in quantized modules alone
    tried = [r for r in records if r.kind in kinds or (r.usage and r.kind is not Kind.MODEL)]
    in_graphs = by_packet(name for record in tried for name in graph_of(record))
    found = Promises()
    for record in tried:
        for operator, outcome in attribute(record, in_graphs):
            if outcome in UNJUDGED:
                continue
            promise = Promise(outcome, record)
            counts = promise.kept or record.cause not in general
            if counts:
                found.all.setdefault((record.recipe, operator), []).append(promise)
            if counts and record.usage.models:
                found.taken.setdefault((record.recipe, operator), []).append(promise)
            for model in record.usage.models:
                found.own.setdefault((model, record.recipe, operator), []).append(promise)
    return found


def forecasts(rows: Sequence[ModelRow], promises: Promises, *, own: bool = True) -> list[Forecast]:
    """One for each model and recipe that was judged, by model; without `own` by all calls alone."""
    return [
        _forecast(row, record, promises, own)
        for row in sorted(rows, key=lambda row: natural_key(row.name))
        for record in row.records.values()
        if record.outcome not in UNJUDGED
    ]


def _forecast(row: ModelRow, record: Record, promises: Promises, own: bool) -> Forecast:
    operators = _operators(row, record)
    if not operators:
        return Forecast(row.name, record, None)
    suspects, untried = [], []
    for operator in operators:
        of_model, found = promises.of(row.name, record.recipe, operator, own=own)
        broken = tuple(promise for promise in found if not promise.kept)
        if not found:
            untried.append(operator)
        elif broken:
            suspects.append(Suspect(operator, of_model, broken))
    expected = False if suspects else None if untried else True
    return Forecast(row.name, record, expected, tuple(suspects), tuple(untried))


def _operators(row: ModelRow, record: Record) -> list[str]:
    """Those of its graph; where lowering did not get that far, of the graphs by other recipes."""
    return graph_of(record) or sorted({name for other in row.records.values() for name in graph_of(other)})


def standing_for(recipe: str) -> str:
    """The default recipe of the same precision; itself where there is none."""
    precision = Recipe.parse(recipe).precision
    return next((name for name in DEFAULT_RECIPES if Recipe.parse(name).precision == precision), recipe)


@dataclass(frozen=True)
class Agreement:
    """Counts: what was expected to pass and does (`hits`), and does not (`misses`); what was not and does
    (`false_alarms`), and does not (`warned`); and what nothing was expected of."""

    hits: int = 0
    misses: int = 0
    false_alarms: int = 0
    warned: int = 0
    unknown: int = 0

    @property
    def precision(self) -> float | None:
        """Of what was expected to pass, the share that does."""
        return _share(self.hits, self.hits + self.misses)

    @property
    def recall(self) -> float | None:
        """Of what passes, the share that was expected to."""
        return _share(self.hits, self.hits + self.false_alarms)


def agreement(found: Iterable[Forecast]) -> Agreement:
    """The counts over forecasts."""
    counts = Counter((one.expected, one.passes) for one in found)
    return Agreement(
        hits=counts[True, True],
        misses=counts[True, False],
        false_alarms=counts[False, True],
        warned=counts[False, False],
        unknown=counts[None, True] + counts[None, False],
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
