"""`Recipe`: how a case is lowered. The name says everything: `fp16-ios18`, `fp16-ios17-pt2e_int8_static`, `default`."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from harness.evidence.vocabulary import HarnessError


@dataclass(frozen=True)
class Target:
    """A deployment target by coremltools' name, the oldest systems that load an ML Program made for it, and the
    specification version of its packages."""

    name: str
    macos: tuple[int, ...]
    ios: tuple[int, ...]
    specification: int


#: By the name used in recipes, lowest first. A row is all a target needs: what a Mac or a device loads is read here.
TARGETS: dict[str, Target] = {
    target.name.lower(): target
    for target in (
        Target("iOS15", macos=(12,), ios=(15,), specification=6),
        Target("iOS16", macos=(13,), ios=(16,), specification=7),
        Target("iOS17", macos=(14,), ios=(17,), specification=8),
        Target("iOS18", macos=(15,), ios=(18,), specification=9),
        Target("iOS26", macos=(26,), ios=(26,), specification=10),
    )
}
#: In place of a target: none is asked for, and coremltools takes the lowest at which it emits ML Programs.
NO_TARGET = "none"
#: Compute precisions by the name used in recipes, and coremltools' name for them.
PRECISIONS: dict[str, str] = {"fp32": "FLOAT32", "fp16": "FLOAT16"}
#: The recipe of `CoreMLPartitioner()` without compile specs; the backend computes in fp16 then.
BARE = "default"
DEFAULT_RECIPES: tuple[str, ...] = ("fp32-ios18", "fp16-ios18")


class Flow(StrEnum):
    """Who quantizes, and when: before export (`TORCHAO`, `CODEBOOK`), what is exported (`PT2E`), or what coremltools
    has converted (`OP_LINEAR`)."""

    PT2E = "pt2e"
    TORCHAO = "torchao"
    CODEBOOK = "codebook"
    OP_LINEAR = "op_linear"


@dataclass(frozen=True)
class Quantization:
    """A scheme. `group` is the number of elements of a row that share a scale, 0 for one scale a channel.

    `lowest` is the lowest target that takes it, `recipe_type` the value of ExecuTorch's `CoreMLRecipeType` that is made
    so, empty where it has none.
    """

    name: str
    flow: Flow
    bits: int
    lowest: str
    recipe_type: str = ""
    group: int = 0
    activations: bool = False
    trained: bool = False


_GROUPS = (16, 32, 64, 128)
#: By the name used in recipes.
QUANTIZATIONS: dict[str, Quantization] = {
    row.name: row
    for row in (
        Quantization("pt2e_int8_static", Flow.PT2E, 8, "iOS17", "coreml_pt2e_int8_static", activations=True),
        Quantization("pt2e_int8_weight_only", Flow.PT2E, 8, "iOS17", "coreml_pt2e_int8_weight_only"),
        Quantization("pt2e_int8_qat", Flow.PT2E, 8, "iOS17", activations=True, trained=True),
        Quantization("torchao_int4_channel", Flow.TORCHAO, 4, "iOS18", "coreml_torchao_int4_weight_only_per_channel"),
        Quantization("torchao_int8_channel", Flow.TORCHAO, 8, "iOS16", "coreml_torchao_int8_weight_only_per_channel"),
        *(
            Quantization(
                f"torchao_int{bits}_group{group}",
                Flow.TORCHAO,
                bits,
                "iOS18",
                f"coreml_torchao_int{bits}_weight_only_per_group" if group == 32 else "",
                group,
            )
            for bits in (4, 8)
            for group in _GROUPS
        ),
        *(
            Quantization(f"codebook{bits}", Flow.CODEBOOK, bits, "iOS18", "coreml_codebook_weight_only")
            for bits in range(1, 9)
        ),
        Quantization("op_linear_int8", Flow.OP_LINEAR, 8, "iOS16"),
        Quantization("op_linear_int4_group32", Flow.OP_LINEAR, 4, "iOS18", group=32),
    )
}

#: What may follow a `+`, and what it asks for.
OPTIONS: dict[str, str] = {
    "unchecked": "the edge dialect's check of validity off, as the backend's own recipes have it",
    "no_passes": "an empty pass pipeline of coremltools, so that nothing is fused, cast or folded",
}
#: The recipes of optimum-executorch end in the compute unit, which here is no part of a recipe.
_OPTIMUM_UNITS = {"cpu": "cpu_only", "gpu": "cpu_and_gpu", "ne": "cpu_and_ne"}


@dataclass(frozen=True)
class Recipe:
    """Compute precision, deployment target (empty for none), quantization (its name, empty for none) and options.

    `bare` stands for a partitioner without compile specs: `precision` then is what the backend takes by itself.
    """

    precision: str
    target: str
    quantization: str = ""
    options: tuple[str, ...] = ()
    bare: bool = False

    @property
    def name(self) -> str:
        first = BARE if self.bare else f"{self.precision}-{self.target.lower() or NO_TARGET}"
        second = f"-{self.quantization}" if self.quantization else ""
        return first + second + "".join(f"+{option}" for option in self.options)

    @property
    def scheme(self) -> Quantization | None:
        """None where nothing is quantized."""
        return QUANTIZATIONS[self.quantization] if self.quantization else None

    @property
    def loaded_as(self) -> Target:
        """The target whose systems load what is made: its own, or the lowest where it has none."""
        return TARGETS[self.target.lower()] if self.target else next(iter(TARGETS.values()))

    @property
    def unchecked(self) -> bool:
        return "unchecked" in self.options

    @property
    def op_linear_config(self) -> dict[str, object] | None:
        """The `op_linear_quantizer_config` of its compile specs; None where coremltools quantizes nothing."""
        if self.scheme is None or self.scheme.flow is not Flow.OP_LINEAR:
            return None
        config: dict[str, object] = {"mode": "linear_symmetric", "dtype": f"int{self.scheme.bits}"}
        if not self.scheme.group:
            return {**config, "granularity": "per_channel"}
        return {**config, "granularity": "per_block", "block_size": self.scheme.group}

    @property
    def compile_specs(self) -> dict[str, str]:
        """Keyword arguments of `CoreMLBackend.generate_compile_specs` as Python expressions (`ct` is coremltools); none
        of a bare recipe, which has no compile specs."""
        if self.bare and self.op_linear_config is None and "no_passes" not in self.options:
            return {}
        given = {} if self.bare else {"compute_precision": f"ct.precision.{PRECISIONS[self.precision]}"}
        if self.target:
            given["minimum_deployment_target"] = f"ct.target.{self.target}"
        if self.op_linear_config is not None:
            given["op_linear_quantizer_config"] = repr(self.op_linear_config)
        if "no_passes" in self.options:
            given["pass_names"] = "[]"
        return given

    def with_precision(self, precision: str) -> Recipe:
        """The same in another precision; a bare one gets compile specs for that."""
        return replace(self, precision=precision, bare=False)

    def with_target(self, target: str) -> Recipe:
        """The same for another target, by coremltools' name."""
        return replace(self, target=target, bare=False)

    @staticmethod
    @functools.cache
    def parse(name: str) -> Recipe:
        """By its name, or by that of a `CoreMLRecipeType`. Raises `HarnessError`, saying which parts are known."""
        head, *options = name.split("+")
        if unknown := [option for option in options if option not in OPTIONS]:
            raise HarnessError(f"unknown recipe {name!r}: no option +{unknown[0]}, only {_list(OPTIONS)}")
        if head.startswith("coreml_"):
            recipe = _of_recipe_type(name, head)
            return replace(recipe, options=tuple(dict.fromkeys([*recipe.options, *options])))
        first, _, rest = head.partition("-")
        target, _, quantization = rest.partition("-") if first != BARE else ("", "", rest)
        if quantization and quantization not in QUANTIZATIONS:
            raise HarnessError(f"unknown recipe {name!r}: no quantization {quantization}, only {_list(QUANTIZATIONS)}")
        known = tuple(option for option in OPTIONS if option in options)
        if first == BARE and not head.endswith("-"):
            return Recipe("fp16", "", quantization, known, bare=True)
        if first not in PRECISIONS or target not in (*TARGETS, NO_TARGET) or head.endswith("-"):
            raise HarnessError(
                f"unknown recipe {name!r}: expected {BARE}, or <precision>-<target>[-<quantization>][+<option>] with "
                f"precision one of {_list(PRECISIONS)} and target one of {_list([*TARGETS, NO_TARGET])}"
            )
        return Recipe(first, "" if target == NO_TARGET else TARGETS[target].name, quantization, known)


def _of_recipe_type(name: str, value: str) -> Recipe:
    """What ExecuTorch's recipe provider makes of a `CoreMLRecipeType`: of one that quantizes at its lowest target."""
    words = value.split("_")
    if len(words) == 3 and words[1] in PRECISIONS and words[2] in _OPTIMUM_UNITS:
        unit = _OPTIMUM_UNITS[words[2]]
        raise HarnessError(f"recipe {name!r} names a compute unit: --recipe coreml_{words[1]} --unit {unit}")
    if len(words) == 2 and words[1] in PRECISIONS:
        return Recipe(words[1], "", options=("unchecked",))
    of_type = {row.recipe_type: row for row in reversed(QUANTIZATIONS.values()) if row.recipe_type}
    if value not in of_type:
        known = [f"coreml_{precision}" for precision in PRECISIONS] + sorted(of_type)
        raise HarnessError(f"unknown recipe {name!r}: of CoreMLRecipeType there are {_list(known)}")
    if of_type[value].flow is Flow.CODEBOOK:
        raise HarnessError(f"recipe {name!r} leaves the bits open: fp16-ios18-codebook4, or another of 1 to 8")
    return Recipe("fp16", of_type[value].lowest, of_type[value].name, ("unchecked",))


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
