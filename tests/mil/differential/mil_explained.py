"""Every kind of difference between coremltools' `value_inference` and our kernels, by whose fault it is.

`where` is the line of coremltools 9.0 that makes the difference, below `coremltools/converters/mil/mil`, and a piece of
its text. The first row that matches explains a difference; a row that matches none is out of date.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mil_replay import Difference, approximately, widened

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
    x, axis = d.given["x"], int(d.given["axis"])
    theirs, ours = d.theirs.arrays[-1], d.ours.arrays[-1]
    return theirs.shape == ours.shape and bool(
        np.array_equal(np.take_along_axis(x, theirs, axis), np.take_along_axis(x, ours, axis))
    )


def out_of_range(d: Difference) -> bool:
    """Every element that differs was cast from a value the integer type does not hold."""
    limits = np.iinfo(d.ours.arrays[0].dtype)
    x = d.given["x"][d.where()]
    return bool(((x < limits.min) | (x > limits.max)).all())


def of_values(d: Difference) -> bool:
    """Within four roundings of the largest value that is averaged."""
    theirs, ours = (r.arrays[0].astype(np.float64) for r in (d.theirs, d.ours))
    largest = np.abs(d.given["value"].astype(np.float64)).max()
    return bool((np.abs(theirs - ours) <= 4 * np.finfo(d.ours.arrays[0].dtype).eps * largest).all())


def empty(d: Difference) -> bool:
    return any(np.size(v) == 0 for v in d.given.values())


ROWS: tuple[Row, ...] = (
    Row(
        "argsort",
        lambda d: d.given["x"].shape == () and d.theirs.arrays[0].shape == (1,),
        COREMLTOOLS,
        ("ops/defs/iOS15/tensor_operation.py", 758, "np.argsort"),
        "numpy sorts a scalar into a vector of one; the operator's own type inference says rank 0",
    ),
    Row(
        "erf",
        lambda d: empty(d) and "vectorize" in d.theirs.error,
        COREMLTOOLS,
        ("ops/defs/iOS15/elementwise_unary.py", 327, "np.vectorize"),
        "numpy cannot guess the type of nothing; erf of an empty tensor is empty",
    ),
    Row(
        "gather gather_along_axis",
        raises("out of bounds"),
        UNDOCUMENTED,
        ("ops/defs/iOS15/scatter_gather.py", 281, "np.take_along_axis"),
        "an index out of range without validate_indices: an exception there, a diagnostic here",
    ),
    Row(
        "cast",
        out_of_range,
        UNDOCUMENTED,
        ("ops/defs/iOS15/elementwise_unary.py", 889, "astype"),
        "a value the integer type does not hold: what the processor makes of it there, the nearest one it holds here",
    ),
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
        lambda d: d.given.get("mode", "add") != "update",
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
        "scaled_dot_product_attention",
        of_values,
        ROUNDING,
        ("ops/defs/iOS18/transformers.py", 155, "np.sqrt(query.shape[-1])"),
        "dividing by a float64 takes fp32 on to float64 there; float32 throughout here",
    ),
)


def explanation(difference: Difference) -> Row | None:
    return next((row for row in ROWS if row.explains(difference)), None)
