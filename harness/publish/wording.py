"""Conditions in words, as pages and tables tell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.evidence.causes import Cause
from harness.publish.clauses import ALTERNATIVES
from harness.publish.facts import VALUES
from harness.publish.markdown import code, words
from harness.publish.support import Condition, Fate, Sample, Support

#: What stands before a condition.
FATE_WORDS: Mapping[Fate, str] = {
    Fate.WRONG: "**silently wrong**",
    Fate.OVERFLOWS: "**overflows**",
    Fate.FAILS: "fails to lower",
    Fate.REFUSED: "refused",
    Fate.LEFT: "not delegated",
}
#: Calls shown where no clause tells them from those that work.
SHOWN = 1
#: Characters of a call that are shown.
CALL = 70
#: What stands behind a fate that no call of the evidence came to.
KNOWN = " (known)"
_VALUE_SETS = frozenset(VALUES.values())


def conditions_text(support: Support, causes: Mapping[str, Cause], *, calls: bool = True) -> str:
    """`**silently wrong**: alpha other than 1; fails to lower: an input of integers`; the worst first."""
    found: dict[str, list[str]] = {}
    for condition in support.conditions():
        where = KNOWN if condition.known else _where(condition)
        told = clause_text(condition, causes, calls=calls).removesuffix(where)
        found.setdefault(FATE_WORDS[condition.fate] + where, []).append(told)
    return "; ".join(f"{fate}: {', or '.join(dict.fromkeys(texts))}" for fate, texts in found.items())


def clause_text(condition: Condition, causes: Mapping[str, Cause], *, calls: bool = True) -> str:
    """The clause of a condition. Where the samples give none it is that of the cause, with calls that show it; of known
    defects it is theirs."""
    if condition.known:
        return words(", or ".join(dict.fromkeys(defect.condition for defect in condition.known)))
    curated = {causes[name].condition if name in causes else "" for name in condition.causes}
    if condition.clause is not None:
        # A set of values is what was tried; what about them matters the cause knows.
        if len(curated) == 1 and all(curated) and all(_VALUE_SETS & {*term.facts} for term in condition.clause.terms):
            return words(curated.pop())
        return words(str(condition.clause))
    known = curated and all(curated) and len(curated) <= ALTERNATIVES
    told = words(", or ".join(sorted(curated))) if known else f"some calls ({len(condition.samples)} tried)"
    if not calls:
        return told
    shown = [code(sample.call, limit=CALL) for sample in condition.samples if sample.call][:SHOWN]
    return f"{told}, such as {', '.join(shown)}" if shown else told


def _where(condition: Condition) -> str:
    return f" in {', '.join(sorted(condition.where))}" if condition.where else ""


def all_work(samples: Iterable[Sample]) -> bool:
    return all(sample.fate is Fate.WORKS for sample in samples)


def models_text(made: Sequence[Sample]) -> str:
    """What becomes of the calls that models make: `all 12 work`, `3 of 12 do not`; empty where none was tried."""
    failing = [sample for sample in made if sample.fate is not Fate.WORKS]
    if not made:
        return ""
    return f"{len(failing)} of {len(made)} do not" if failing else f"all {len(made)} work"


def causes_of(conditions: Sequence[Condition]) -> list[str]:
    return sorted({cause for condition in conditions for cause in condition.causes})
