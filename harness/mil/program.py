"""The parsed ML Program: immutable, free of protobuf, constants as numpy arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.mil.types import ValueType


@dataclass(frozen=True, slots=True)
class ValueRef:
    """An argument that names a value computed earlier, a function input or a block input."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """An argument given in place: an array, a string, or a list or tuple of them."""

    value: Any
    type: ValueType

    def __repr__(self) -> str:
        size = getattr(self.value, "size", 1)
        return f"Literal({self.type}{'' if size > 8 else f', {self.value!r}'})"


Argument = ValueRef | Literal | tuple[ValueRef | Literal, ...]


@dataclass(frozen=True, slots=True)
class NamedType:
    name: str
    type: ValueType


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation. A parameter given several bindings (`concat`'s `values`) is a tuple."""

    type: str
    name: str
    inputs: Mapping[str, Argument]
    outputs: tuple[NamedType, ...]
    blocks: tuple[Block, ...] = ()

    @property
    def label(self) -> str:
        """What errors call this operation: its first output, or its own name when it has none."""
        return self.outputs[0].name if self.outputs else self.name


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Operations in order, without the constants, which are `constants` by name."""

    inputs: tuple[NamedType, ...]
    outputs: tuple[str, ...]
    operations: tuple[Operation, ...]
    constants: Mapping[str, Literal] = field(default_factory=dict)

    def walk(self) -> Iterator[Operation]:
        """Every operation, those of nested blocks after the one that holds them."""
        for operation in self.operations:
            yield operation
            for block in operation.blocks:
                yield from block.walk()


@dataclass(frozen=True, slots=True)
class Feature:
    """One entry of the model description: what the caller sees, which can differ from the function's own types.

    `data_type` is Core ML's name (`FLOAT16`, `FLOAT32`, `INT32`, `STRING`, ...; `IMAGE`, `DICTIONARY` for those kinds);
    `shape` is empty for scalars and for shapes the description leaves open; for flexible ones it is the default, and
    `sizes` are the least and the largest size (None: no limit) of each dimension, or `shapes` all that there are."""

    name: str
    data_type: str
    shape: tuple[int, ...]
    optional: bool = False
    sizes: tuple[tuple[int, int | None], ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()

    def accepts_shape(self, shape: tuple[int, ...]) -> bool:
        """Whether a flexible feature can have this shape; a fixed one leaves that to the function's own type."""
        if self.shapes:
            return shape in self.shapes
        if not self.sizes:
            return True
        return len(shape) == len(self.sizes) and all(
            low <= size and (high is None or size <= high) for size, (low, high) in zip(shape, self.sizes, strict=True)
        )

    @property
    def flexibility(self) -> str:
        """What `accepts_shape` accepts, in words; empty for a fixed shape."""
        if self.shapes:
            return f"one of {', '.join(str(list(shape)) for shape in self.shapes)}"
        if not self.sizes:
            return ""
        spans = [
            str(low) if low == high else f"{low} or more" if high is None else f"{low} to {high}"
            for low, high in self.sizes
        ]
        return f"[{', '.join(spans)}]"


@dataclass(frozen=True, slots=True)
class Description:
    inputs: tuple[Feature, ...] = ()
    outputs: tuple[Feature, ...] = ()
    states: tuple[Feature, ...] = ()

    def mixed_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> str:
        """Which inputs are given shapes of their enumerations that do not belong together, in words; empty for none.

        The first shapes of all enumerated inputs belong together, the second ones, and so on. Source: the guide of Core
        ML Tools, "Flexible Input Shapes", that they are as many; CoreMLBackend.generate_enumerated_shapes_compile_spec
        in executorch/backends/apple/coreml/compiler/coreml_preprocess.py, that their order ties them together, and
        github.com/apple/coremltools/issues/2271, that Core ML refuses a mixture. Nothing is said of unequal numbers.
        """
        enumerated = [feature for feature in self.inputs if feature.shapes]
        if len({len(feature.shapes) for feature in enumerated}) != 1:
            return ""
        given = tuple(shapes[feature.name] for feature in enumerated)
        if given in zip(*(feature.shapes for feature in enumerated), strict=True):
            return ""
        return ", ".join(f"{f.name!r} {list(shape)}" for f, shape in zip(enumerated, given, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """`opset` is the one the block is specialised for (`CoreML5` is iOS15, ... `CoreML8` is iOS18, `CoreML9` iOS26)."""

    name: str
    opset: str
    inputs: tuple[NamedType, ...]
    block: Block
    description: Description

    @property
    def opset_version(self) -> int:
        """5 for iOS15 up to 9 for iOS26; 0 when the opset has another form of name."""
        digits = self.opset.removeprefix("CoreML")
        return int(digits) if digits.isdigit() else 0

    def op_counts(self) -> dict[str, int]:
        """Operators and how often each occurs, nested blocks included, constants not; sorted by name."""
        return dict(sorted(Counter(op.type for op in self.block.walk()).items()))


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    functions: Mapping[str, Function]
    default_function: str = "main"
    specification_version: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
