"""What a kernel may ask of the run it is part of: the mode's types, rounded arithmetic, diagnostics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.mil.types import FLOAT16, FLOAT32, FLOAT64, Array

WIDE, EXACT, STRICT = "wide", "exact", "strict"
MODES: tuple[str, ...] = (WIDE, EXACT, STRICT)

# Kinds of diagnostics, for whoever groups by them.
NON_FINITE = "non_finite"
NAN_TO_INTEGER = "nan_to_integer"
INTEGER_OVERFLOW = "integer_overflow"
DIVISION_BY_ZERO = "integer_division_by_zero"
INDEX_OUT_OF_RANGE = "index_out_of_range"
DUPLICATE_INDEX = "duplicate_index"
UNDOCUMENTED = "undocumented"
RANDOM = "random"
#: Kinds that say that no documentation tells what the operator gives.
OPEN = frozenset({UNDOCUMENTED, RANDOM, INDEX_OUT_OF_RANGE, DIVISION_BY_ZERO, NAN_TO_INTEGER, INTEGER_OVERFLOW})


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something that happened during a run and that a judge of its result should know; see the kinds above."""

    kind: str
    op_type: str
    output: str
    detail: str


@dataclass(slots=True)
class Context:
    """One run. `op_type`, `output` and `dtype` (of the result, for a computing kernel) are those of
    the operation being computed.

    What no documentation settles can be run otherwise: `reading` 1, 2 ... takes the other plausible meanings of
    operators that have such, `filling` 1, 2 puts something arbitrary where none is known. `unsettled` are the places,
    within the results of the operation being computed, that have no other meaning; None is all of them.
    """

    mode: str
    opset: int = 8
    diagnostics: list[Diagnostic] = field(default_factory=list)
    op_type: str = ""
    output: str = ""
    dtype: np.dtype[Any] | None = None
    reading: int = 0
    filling: int = 0
    unsettled: list[Array | None] = field(default_factory=list)

    def constant(self, default: float, given: float | None) -> float:
        """An optional constant of the type of the operand; the default is rounded to it (1e-12 is 0 in fp16)."""
        if given is not None:
            return given
        return float(np.asarray(default, self.dtype)) if self.dtype is not None else default

    def note(self, kind: str, detail: str, where: Array | None = None) -> None:
        """Record a diagnostic, once for each operation and kind. `where` are the elements that an open one is about."""
        if kind in OPEN:
            self.unsettled.append(where)
        self._record(kind, detail)

    def read(self, detail: str, result: Array, *others: Callable[[], Array]) -> Array:
        """Record that a result is undocumented, and give it by this run's reading: as it is, or as `others` have it."""
        self._record(UNDOCUMENTED, detail)
        return np.asarray(others[min(self.reading, len(others)) - 1](), result.dtype) if self.reading else result

    def _record(self, kind: str, detail: str) -> None:
        entry = Diagnostic(kind, self.op_type, self.output, detail)
        if not any(d.kind == kind and d.output == self.output for d in self.diagnostics):
            self.diagnostics.append(entry)

    def stored(self, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """The type values of a declared type are held in: the declared one, or float64 for floats in mode `exact`."""
        return FLOAT64 if self.mode == EXACT and dtype.kind == "f" else dtype

    def accumulate(self, terms: Array, axes: tuple[int, ...], keep_dims: bool = False) -> Array:
        """Sum over `axes`; in mode `strict` one term after the other, rounding to fp16 each time."""
        if self.mode != STRICT or terms.dtype != FLOAT16:
            return np.asarray(np.sum(terms, axis=axes, keepdims=keep_dims, dtype=terms.dtype))
        axes = tuple(a % terms.ndim for a in axes) if terms.ndim else ()
        kept = tuple(a for a in range(terms.ndim) if a not in axes)
        count = math.prod(terms.shape[a] for a in axes)  # not -1, which an empty array leaves open
        flat = terms.transpose(axes + kept).reshape((count,) + tuple(terms.shape[a] for a in kept))
        total = np.zeros(flat.shape[1:], FLOAT16)
        for row in flat:
            total = total + row
        if keep_dims:
            total = total.reshape([1 if a in axes else s for a, s in enumerate(terms.shape)])
        return np.asarray(total, FLOAT16)

    def matmul(self, x: Array, y: Array) -> Array:
        """`np.matmul`; in mode `strict` a chain of fp16 multiply-adds, each rounded once."""
        if self.mode != STRICT or FLOAT16 not in (x.dtype, y.dtype):
            return np.matmul(x, y)
        vector_x, vector_y = x.ndim == 1, y.ndim == 1
        a = (x[None, :] if vector_x else x).astype(FLOAT32)
        b = (y[:, None] if vector_y else y).astype(FLOAT32)
        if a.shape[-1] != b.shape[-2]:
            raise ValueError(f"matmul of shapes {x.shape} and {y.shape}")
        shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2]) + (a.shape[-2], b.shape[-1])
        total = np.zeros(shape, FLOAT32)
        for k in range(a.shape[-1]):
            # A product of two fp16 values is exact in fp32.
            total = (total + a[..., :, k, None] * b[..., k, None, :]).astype(FLOAT16).astype(FLOAT32)
        result = total.astype(FLOAT16)
        if vector_x:
            result = result[..., 0, :]
        if vector_y:
            result = result[..., 0]
        return result
