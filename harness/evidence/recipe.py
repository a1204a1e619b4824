"""`Recipe`: how a case is lowered. The name says everything: `fp16-ios18`."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from harness.evidence.vocabulary import HarnessError

#: Deployment targets by the name used in recipes, and coremltools' name for them.
TARGETS: dict[str, str] = {
    "ios15": "iOS15",
    "ios16": "iOS16",
    "ios17": "iOS17",
    "ios18": "iOS18",
    "ios26": "iOS26",
}
PRECISIONS: tuple[str, ...] = ("fp32", "fp16")
DEFAULT_RECIPES: tuple[str, ...] = ("fp32-ios18", "fp16-ios18")


@dataclass(frozen=True)
class Recipe:
    """Compute precision and deployment target."""

    precision: str
    target: str

    @property
    def name(self) -> str:
        return f"{self.precision}-{self.target.lower()}"

    @staticmethod
    @functools.cache
    def parse(name: str) -> Recipe:
        """Raises `HarnessError` for an unknown name, saying which parts are known."""
        precision, _, target = name.partition("-")
        if precision not in PRECISIONS or target not in TARGETS:
            raise HarnessError(
                f"unknown recipe {name!r}: expected <precision>-<target> with precision one of "
                f"{', '.join(PRECISIONS)} and target one of {', '.join(TARGETS)}"
            )
        return Recipe(precision, TARGETS[target])
