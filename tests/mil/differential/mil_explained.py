"""Every kind of difference between coremltools' `value_inference` and our kernels, by whose fault it is.

`where` is the line of coremltools 9.0 that makes the difference, below `coremltools/converters/mil/mil`, and a piece of
its text. The first row that matches explains a difference; a row that matches none is out of date.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mil_replay import Difference, approximately, summation, widened

COREMLTOOLS = "coremltools"  # it raises, or computes something else than documented
ROUNDING = "rounding"  # both are right to what the data type gives; it computes in that type, or sums in another order
UNDOCUMENTED = "undocumented"  # the documentation leaves it open, and both have chosen


@dataclass(frozen=True)
class Row:
    """`op` is an operator, or several separated by spaces, or `*`."""

    op: str
    matches: Callable[[Difference], bool]
    fault: str
    where: tuple[str, int, str]
    reason: str

    def explains(self, difference: Difference) -> bool:
        return (self.op == "*" or difference.op in self.op.split()) and self.matches(difference)


def raises(text: str) -> Callable[[Difference], bool]:
    return lambda d: text in d.theirs.error


def equal_values(d: Difference) -> bool:
    """The indices differ only in the order of equal values."""
    x, (axis,) = d.given["x"], (int(np.asarray(d.given["axis"])),)
    theirs, ours = (r.arrays[-1] for r in (d.theirs, d.ours))
    return bool(np.array_equal(np.take_along_axis(x, theirs, axis), np.take_along_axis(x, ours, axis)))


def empty(d: Difference) -> bool:
    return any(np.size(v) == 0 for v in d.given.values())


ROWS: tuple[Row, ...] = (
    Row(
        "non_zero",
        raises("nonzero on 0d arrays"),
        COREMLTOOLS,
        ("ops/defs/iOS15/tensor_operation.py", 345, "np.nonzero"),
        "numpy refuses rank 0, which the operator's documentation allows; we return one row of no indices, or none",
    ),
    Row(
        "slice_by_index",
        raises("Unable to convert type float16"),
        COREMLTOOLS,
        ("ops/defs/iOS15/tensor_transformation.py", 571, "Unable to convert type"),
        "a scalar squeezed out of an fp16 vector: only int32 and fp32 are thought of",
    ),
    Row(
        "softmax",
        lambda d: empty(d) and "zero-size array" in d.theirs.error,
        COREMLTOOLS,
        ("ops/defs/iOS15/activation.py", 568, "np.max"),
        "numpy has no maximum of nothing; the softmax of an empty tensor is empty",
    ),
    Row(
        "tile",
        raises("All entries of reps parameter must be greater than 0"),
        COREMLTOOLS,
        ("ops/defs/iOS15/tensor_operation.py", 683, "greater than 0"),
        "zero repeats are refused when constant; a program that computes them at run time gets an empty tensor",
    ),
    Row(
        "argsort topk",
        equal_values,
        UNDOCUMENTED,
        ("ops/defs/iOS15/tensor_operation.py", 757, "np.argsort"),
        "the order of equal values is open: numpy's default sort is not stable, ours keeps the first one first",
    ),
    Row(
        "gelu",
        lambda d: approximately(d, relative_to_input=True),
        ROUNDING,
        ("ops/defs/iOS15/activation.py", 177, "math.erf"),
        "1 + erf(x) cancels for negative x: in float64 there, in float32 here; below 16 roundings of x",
    ),
    Row(
        "elu",
        approximately,
        ROUNDING,
        ("ops/defs/iOS15/activation.py", 108, "np.exp(b[b < 0]) - 1"),
        "exp(x) - 1 is rounded twice there and cancels near 0; expm1 here",
    ),
    Row(
        "scatter_along_axis",
        lambda d: d.given["mode"] != "update",
        COREMLTOOLS,
        ("ops/defs/iOS15/scatter_gather.py", 409, "np.put_along_axis"),
        "it overwrites, whatever the mode says",
    ),
    Row(
        "softplus",
        approximately,
        ROUNDING,
        ("ops/defs/iOS15/activation.py", 471, "np.log(1 + np.exp"),
        "1 + exp(-|x|) is rounded to the data type before the logarithm there; log1p here",
    ),
    Row(
        "*",
        widened,
        ROUNDING,
        ("operation.py", 386, "self.value_inference()"),
        "fp16: numpy rounds every intermediate to fp16 there, once at the end here; gone when widened to fp32",
    ),
    Row(
        "reduce_sum reduce_mean reduce_l2_norm reduce_sum_square cumsum matmul linear einsum",
        summation,
        ROUNDING,
        ("ops/defs/iOS15/reduction.py", 59, "self.get_operator()"),
        "another order of summation: within 16 roundings of the sum of magnitudes",
    ),
)


def explanation(difference: Difference) -> Row | None:
    return next((row for row in ROWS if row.explains(difference)), None)
