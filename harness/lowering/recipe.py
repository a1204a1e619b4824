"""`Recipe`: how a case is lowered. The name says everything: `fp16-ios18`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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

    @classmethod
    def parse(cls, name: str) -> Recipe:
        """Raises `HarnessError` for an unknown name, saying which parts are known."""
        precision, _, target = name.partition("-")
        if precision not in PRECISIONS or target not in TARGETS:
            raise HarnessError(
                f"unknown recipe {name!r}: expected <precision>-<target> with precision one of "
                f"{', '.join(PRECISIONS)} and target one of {', '.join(TARGETS)}"
            )
        return cls(precision, TARGETS[target])

    def compile_specs(self) -> list[Any]:
        """The compile specs as a user of `CoreMLBackend` would write them.

        Raises `HarnessError` when the installed coremltools does not have the target.
        """
        import coremltools as ct
        from executorch.backends.apple.coreml.compiler import CoreMLBackend

        if not hasattr(ct.target, self.target):
            version = ct.__version__
            raise HarnessError(f"recipe {self.name}: coremltools {version} has no deployment target {self.target}")
        return CoreMLBackend.generate_compile_specs(
            compute_precision={"fp16": ct.precision.FLOAT16, "fp32": ct.precision.FLOAT32}[self.precision],
            minimum_deployment_target=getattr(ct.target, self.target),
        )
