"""`Division`: how a lowered program is divided between Core ML and ExecuTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.evidence.vocabulary import HarnessError


@dataclass(frozen=True)
class Island:
    """Fallback nodes that hang together, between delegates: their number by ATen overload. `times` such islands are
    alike."""

    operators: Mapping[str, int]
    times: int = 1


@dataclass(frozen=True)
class Division:
    """The `delegates`, the `islands` of fallback nodes, and the floating-point operations of one call.

    `flops` are of the whole program, `delegated_flops` those within delegates; None where sizes are known at run time
    only. They are counted as `torch.utils.flop_counter` counts them: a multiplication and an addition of a matrix
    product, a convolution or attention are two, every other operator has none.
    """

    delegates: int = 0
    islands: tuple[Island, ...] = ()
    flops: int | None = None
    delegated_flops: int | None = None

    @property
    def number_of_islands(self) -> int:
        return sum(island.times for island in self.islands)

    @property
    def on_islands(self) -> dict[str, int]:
        """The operators that make islands, each with the number of islands it is in, those in most first."""
        counts: Counter[str] = Counter()
        for island in self.islands:
            for name in island.operators:
                counts[name] += island.times
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; what is unknown or none is left out."""
        islands = [{"operators": dict(one.operators), "times": one.times} for one in self.islands]
        data = {"delegates": self.delegates, "islands": islands}
        data |= {"flops": self.flops, "delegated_flops": self.delegated_flops}
        return {name: value for name, value in data.items() if value is not None and value != []}

    @classmethod
    def from_json(cls, data: Any) -> Division:
        """Raises `HarnessError` for what is no division."""
        try:
            values = dict(data)
            values["islands"] = tuple(_island(one) for one in values.get("islands", ()))
            numbers = [v for name, v in values.items() if name != "islands"]
            numbers += [n for one in values["islands"] for n in (one.times, *one.operators.values())]
            if not all(type(number) is int for number in numbers):
                raise TypeError("a number of it is none")
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise HarnessError(f"division: {error}") from None


def _island(data: Mapping[str, Any]) -> Island:
    return Island(dict(data["operators"]), **{name: value for name, value in data.items() if name != "operators"})


def alike(islands: Iterable[Mapping[str, int]]) -> tuple[Island, ...]:
    """Islands, each by its operators, those of the same ones as one; those there are most of first."""
    times = Counter(tuple(sorted(operators.items())) for operators in islands)
    return tuple(Island(dict(key), n) for key, n in sorted(times.items(), key=lambda item: (-item[1], item[0])))
