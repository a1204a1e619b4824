"""Fix priority: which causes strike what models contain, so that they are worth mending first.

A cause that strikes more models comes first; of as many, the one that strikes more extracted calls, each counted as
often as models make it; then the one with more checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import UNJUDGED, Kind
from harness.publish.markdown import codes, counted

#: Names of models in a line of text.
SHOWN = 12


@dataclass(frozen=True)
class Priority:
    """What a cause strikes.

    `models` are those a check of which it explains, by any recipe, out of `measured`. `calls` are the extracted calls
    that it strikes, each counted as often as models make it, `callers` the models that make them, or that a block is
    taken from which it strikes.
    """

    models: tuple[str, ...] = ()
    measured: int = 0
    calls: int = 0
    callers: tuple[str, ...] = ()
    checks: int = 0

    @property
    def sort_key(self) -> tuple[int, int, int]:
        """The smaller, the sooner."""
        return -len(self.models), -self.calls, -self.checks

    def __str__(self) -> str:
        """`strikes 2 of 40 models (bert, vit), 14 extracted calls`, without Markdown."""
        return self.text(", ".join)

    @property
    def markdown(self) -> str:
        return self.text(lambda names: codes(names, limit=SHOWN))

    def text(self, listed: Callable[[Sequence[str]], str]) -> str:
        """Empty where no model was measured, and nothing that models are made of."""
        if not self.measured and not self.callers:
            return ""
        parts = [f"{len(self.models)} of {counted(self.measured, 'model')}"] if self.models else ["no model"]
        parts[0] += f" ({listed(self.models)})" if self.models else ""
        others = [name for name in self.callers if name not in self.models]
        if self.calls:
            parts.append(counted(self.calls, "extracted call"))
            parts[-1] += f" (also of {listed(others)})" if others else ""
        elif others:
            parts.append(f"extracted blocks of {listed(others)}")
        return f"strikes {', '.join(parts)}"


#: Of a cause that no check shows.
NOWHERE = Priority()


@dataclass
class _Struck:
    models: set[str] = field(default_factory=set)
    calls: dict[str, int] = field(default_factory=dict)
    callers: set[str] = field(default_factory=set)
    checks: int = 0


def priorities(records: Iterable[Record]) -> dict[str, Priority]:
    """By the slug of each cause that records name. A call counts once, by however many recipes and units it was
    tried."""
    struck: dict[str, _Struck] = {}
    measured: set[str] = set()
    for record in records:
        if record.outcome in UNJUDGED:
            continue
        if record.kind is Kind.MODEL:
            measured.add(record.subject)
        if not record.cause:
            continue
        one = struck.setdefault(record.cause, _Struck())
        one.checks += 1
        if record.kind is Kind.MODEL:
            one.models.add(record.subject)
        elif record.usage:
            one.callers.update(record.usage.models)
            if record.kind is Kind.OPERATOR:  # a block is made of calls that are tried as well
                one.calls[record.case] = record.usage.calls
    return {
        cause: Priority(_sorted(one.models), len(measured), sum(one.calls.values()), _sorted(one.callers), one.checks)
        for cause, one in struck.items()
    }


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names, key=natural_key))
