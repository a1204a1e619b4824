"""`Recipe`: how a case is lowered. The name says everything: `fp16-ios18`."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from harness.evidence.vocabulary import HarnessError


@dataclass(frozen=True)
class Target:
    """A deployment target by coremltools' name, and the oldest systems that load an ML Program made for it."""

    name: str
    macos: tuple[int, ...]
    ios: tuple[int, ...]


#: By the name used in recipes. A row is all a target needs: what a Mac or a device can load is read from here.
TARGETS: dict[str, Target] = {
    target.name.lower(): target
    for target in (
        Target("iOS15", macos=(12,), ios=(15,)),
        Target("iOS16", macos=(13,), ios=(16,)),
        Target("iOS17", macos=(14,), ios=(17,)),
        Target("iOS18", macos=(15,), ios=(18,)),
        Target("iOS26", macos=(26,), ios=(26,)),
    )
}
#: Compute precisions by the name used in recipes, and coremltools' name for them.
PRECISIONS: dict[str, str] = {"fp32": "FLOAT32", "fp16": "FLOAT16"}
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
        return Recipe(precision, TARGETS[target].name)
