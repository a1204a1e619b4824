"""Conditions: the smallest clause that is true of every failing call and of no passing one.

A clause is a fact, or two that hold together, or several such of which one holds. It is never contradicted by a sample:
what separates the calls is all there is, and where nothing does there is no clause.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.publish.facts import Facts

#: What a further fact of a clause costs, in weights; a clause of more alternatives than this is no clause.
BOTH, EITHER = 3, 4
ALTERNATIVES = 3
#: How much lighter a fact is that tells a failing call from the passing one it is most like.
NEAREST = 1.5
#: How much lighter one is that has a word in common with what is known of the cause.
HINTED = 1.5
#: Words that tell no fact from another.
_COMMON = frozenset(
    {"the", "and", "other", "than", "tensor", "input", "call", "value", "given", "that", "torch", "aten"}
)


@dataclass(frozen=True)
class Term:
    """Facts that hold together."""

    facts: tuple[str, ...]
    weight: float

    def holds(self, call: Facts) -> bool:
        return all(fact in call for fact in self.facts)

    def __str__(self) -> str:
        return " and ".join(self.facts)


@dataclass(frozen=True)
class Clause:
    """Terms of which one holds."""

    terms: tuple[Term, ...]

    def holds(self, call: Facts) -> bool:
        return any(term.holds(call) for term in self.terms)

    def __str__(self) -> str:
        return ", or ".join(map(str, self.terms))


def separate(failing: Sequence[Facts], passing: Sequence[Facts], hint: str = "") -> Clause | None:
    """The lightest clause true of all of `failing` and of none of `passing`; None where there is none, and where
    nothing passes: then it is no question of the call.

    What is known of the cause is the `hint`: facts that it states are the clause where they separate the calls, and
    facts in words of it are lighter.
    """
    if not failing or not passing:
        return None
    weight = _weights(failing, passing, hint)
    common = set.intersection(*(set(call) for call in failing))
    stated = _stated(common, hint)
    if stated and not any(all(fact in call for fact in stated) for call in passing):
        return Clause((Term(stated, sum(map(weight, stated))),))
    if (term := _lightest(common, passing, weight)) is not None:
        return Clause((term,))
    return _alternatives(failing, passing, weight)


def contradicted(condition: str, passing: Iterable[Facts]) -> bool:
    """Whether a condition in words, each of them a fact, is true of a passing call."""
    terms = [tuple(term.split(" and ")) for term in condition.split(", or ")]
    return any(all(fact in call for fact in term) for call in passing for term in terms)


def _stated(facts: Iterable[str], hint: str) -> tuple[str, ...]:
    """Those of the facts that the hint states word by word, in its order; of one within another the longer."""
    told = hint.replace("`", "")
    at = {fact: told.find(fact.replace("`", "")) for fact in facts}
    found = [fact for fact in at if at[fact] >= 0]
    longest = [fact for fact in found if not any(fact != other and _within(fact, other) for other in found)]
    return tuple(sorted(longest, key=lambda fact: (at[fact], fact)))


def _within(fact: str, other: str) -> bool:
    return fact.replace("`", "") in other.replace("`", "")


def _lightest(facts: Iterable[str], passing: Sequence[Facts], weight: Callable[[str], float]) -> Term | None:
    """The lightest fact, or pair, of these that no passing call has."""
    ordered = sorted(facts, key=lambda fact: (weight(fact), fact))
    single = next((fact for fact in ordered if not any(fact in call for call in passing)), None)
    limit = weight(single) if single is not None else math.inf
    pairs = [pair for pair in itertools.combinations(ordered, 2) if single not in pair and _both(pair, weight) < limit]
    for pair in sorted(pairs, key=lambda pair: (_both(pair, weight), pair)):
        if not any(pair[0] in call and pair[1] in call for call in passing):
            return Term(pair, _both(pair, weight))
    return Term((single,), limit) if single is not None else None


def _both(pair: tuple[str, str], weight: Callable[[str], float]) -> float:
    return weight(pair[0]) + weight(pair[1]) + BOTH


def _alternatives(failing: Sequence[Facts], passing: Sequence[Facts], weight: Callable[[str], float]) -> Clause | None:
    """Terms that together are true of all: at each step the one that explains most for its weight."""
    terms: dict[tuple[str, ...], Term] = {
        (fact,): Term((fact,), weight(fact))
        for call in failing
        for fact in call
        if not any(fact in other for other in passing)
    }
    for call in failing:
        if not any(term.holds(call) for term in terms.values()) and (term := _lightest(call, passing, weight)):
            terms[term.facts] = term
    left: list[int] = list(range(len(failing)))
    chosen: list[Term] = []
    while left and len(chosen) < ALTERNATIVES:
        explained = {facts: [number for number in left if term.holds(failing[number])] for facts, term in terms.items()}
        explained = {facts: numbers for facts, numbers in explained.items() if numbers}
        if not explained:
            return None
        best = min(explained, key=lambda facts: ((terms[facts].weight + EITHER) / len(explained[facts]), facts))
        chosen.append(terms[best])
        left = [number for number in left if number not in explained[best]]
    return Clause(tuple(chosen)) if not left else None


def _weights(failing: Sequence[Facts], passing: Sequence[Facts], hint: str) -> Callable[[str], float]:
    """A fact's weight, lighter where it is what tells each failing call that has it from the passing one most like it.

    Most failing calls are a variant by one argument of a call that passes: that argument is what matters.
    """
    base: dict[str, int] = {}
    telling: dict[str, list[bool]] = {}
    for call in failing:
        own = set(call)
        nearest = min(passing, key=lambda other: (len(own ^ set(other)), sorted(own ^ set(other))))
        for fact, value in call.items():
            base[fact] = min(value, base.get(fact, value))
            telling.setdefault(fact, []).append(fact not in nearest)
    hinted = _tokens(hint)
    return lambda fact: (
        base[fact] - (NEAREST if all(telling[fact]) else 0.0) - (HINTED if _tokens(fact) & hinted else 0.0)
    )


@functools.cache
def _tokens(text: str) -> frozenset[str]:
    """The words that say what a text is about, in the singular."""
    found = re.findall(r"[\w-]{3,}", text.lower())
    return frozenset(word.removesuffix("s") for word in found) - _COMMON
