"""MIL data types, their numpy storage, and the types a program declares for its values.

Data type names are the ones MIL itself prints (`fp16`, `int32`, `uint4`, `bool`, `string`). Sub-byte integers are
stored one element a byte; the number of bits stays known through the name. Source: `MIL.proto` (enum `DataType`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# name: (number in MIL.proto, numpy storage, bits of one element)
_TABLE: dict[str, tuple[int, type, int]] = {
    "bool": (1, np.bool_, 8),
    "string": (2, np.str_, 0),
    "fp16": (10, np.float16, 16),
    "fp32": (11, np.float32, 32),
    "fp64": (12, np.float64, 64),
    "int8": (21, np.int8, 8),
    "int16": (22, np.int16, 16),
    "int32": (23, np.int32, 32),
    "int64": (24, np.int64, 64),
    "int4": (25, np.int8, 4),
    "uint8": (31, np.uint8, 8),
    "uint16": (32, np.uint16, 16),
    "uint32": (33, np.uint32, 32),
    "uint64": (34, np.uint64, 64),
    "uint4": (35, np.uint8, 4),
    "uint2": (36, np.uint8, 2),
    "uint1": (37, np.uint8, 1),
    "uint6": (38, np.uint8, 6),
    "uint3": (39, np.uint8, 3),
}
NUMPY: dict[str, np.dtype[Any]] = {name: np.dtype(row[1]) for name, row in _TABLE.items()}
BITS: dict[str, int] = {name: row[2] for name, row in _TABLE.items()}
PROTO_NAME: dict[int, str] = {row[0]: name for name, row in _TABLE.items()}
_OF_NUMPY: dict[np.dtype[Any], str] = {np.dtype(row[1]): name for name, row in _TABLE.items() if row[2] >= 8}

FLOAT16, FLOAT32, FLOAT64 = (np.dtype(t) for t in (np.float16, np.float32, np.float64))
BOOL, INT32 = np.dtype(np.bool_), np.dtype(np.int32)


def name_of(dtype: np.dtype[Any]) -> str:
    """MIL's name of a numpy data type, `float16` -> `fp16`; numpy's own name where MIL has none."""
    return "string" if dtype.kind in "US" else _OF_NUMPY.get(dtype, str(dtype))


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Storage of a MIL data type, also by the spellings `cast` accepts for its parameter (`fp16`, `float16`)."""
    short = name.replace("float", "fp") if name.startswith("float") else name
    if short not in NUMPY:
        raise ValueError(f"unknown MIL data type {name!r}")
    return NUMPY[short]


@dataclass(frozen=True, slots=True)
class TensorType:
    """A declared tensor type. `shape` has None for a dimension unknown at compile time, and is None as a whole for
    an unknown rank; () is a scalar."""

    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        dims = "..." if self.shape is None else ", ".join("?" if d is None else str(d) for d in self.shape)
        return f"{self.dtype}[{dims}]"

    def accepts_shape(self, shape: Sequence[int]) -> bool:
        declared = self.shape
        if declared is None or declared == shape:
            return True
        if len(declared) != len(shape):
            return False
        return all(d is None or d == s for d, s in zip(declared, shape, strict=True))


@dataclass(frozen=True, slots=True)
class ListType:
    """A list of tensors of one type. `length` is None when it is dynamic."""

    element: ValueType
    length: int | None


@dataclass(frozen=True, slots=True)
class DictionaryType:
    """What `classify` returns: class label -> probability."""

    key: ValueType
    value: ValueType


@dataclass(frozen=True, slots=True)
class TupleType:
    items: tuple[ValueType, ...]


@dataclass(frozen=True, slots=True)
class StateType:
    """A value that outlives one prediction; `wrapped` is the type of its content."""

    wrapped: TensorType


ValueType = TensorType | ListType | DictionaryType | TupleType | StateType


def unpack_bits(data: Array, bits: int, count: int) -> Array:
    """`count` unsigned integers of `bits` bits each from packed bytes, least significant bit first, as uint8.

    `data`: uint8 of at least ceil(bits * count / 8) bytes. Raises ValueError when it is shorter.
    Source: the packing drawn in coremltools' `constexpr_lut_to_dense` documentation.
    """
    needed = (bits * count + 7) // 8
    if data.size < needed:
        raise ValueError(f"{data.size} bytes cannot hold {count} elements of {bits} bits")
    stream = np.unpackbits(np.ascontiguousarray(data[:needed]), bitorder="little")[: bits * count]
    weights = (1 << np.arange(bits)).astype(np.uint8)
    return (stream.reshape(count, bits) * weights).sum(axis=1, dtype=np.uint8)


def decode(data: Array, dtype: str, count: int) -> Array:
    """`count` elements of a MIL data type from raw little-endian bytes (uint8), zero-copy where a byte or wider."""
    bits = BITS[dtype]
    if bits == 0:
        raise ValueError("strings have no raw form")
    if bits >= 8:
        storage = NUMPY[dtype]
        if data.size < count * storage.itemsize:
            raise ValueError(f"{data.size} bytes cannot hold {count} elements of {dtype}")
        return data[: count * storage.itemsize].view(storage)
    values = unpack_bits(data, bits, count)
    if dtype == "int4":  # two's complement in four bits
        return ((values ^ 8).astype(np.int8) - 8).astype(np.int8)
    return values
