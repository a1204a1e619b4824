"""Faults planted in the torch converter, one a row: kind, operator whose generated cases must catch it, what is wrong.

Each is a slip as people make it in a converter function. The kinds are those of mutation testing, in the words of
this field; `KINDS` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from planting import (
    LEFT_OUT,
    Plant,
    builds,
    constant,
    emits,
    misread,
    scaled,
    swapped,
    with_,
    without,
)

KINDS = (
    "swapped operands",
    "dropped option",
    "wrong default",
    "changed epsilon",
    "scale",
    "off by one",
    "wrong axis",
    "wrong rounding",
    "sign",
    "broadcast",
    "strictness",
    "wrong reduction",
    "integer and float",
)


@dataclass(frozen=True)
class Fault:
    """`plant` does what `what` says; `op` is an ATen overload without `aten.`."""

    kind: str
    op: str
    what: str
    plant: Plant

    @property
    def name(self) -> str:
        return f"{self.op}: {self.what}".replace(" ", "-")


def _half_up(mb: Any, x: Any, **named: Any) -> Any:
    return mb.floor(x=mb.add(x=x, y=np.float32(0.5)), **named)


def _truncated(mb: Any, x: Any, y: Any, **named: Any) -> Any:
    """Division that rounds toward zero."""
    quotient = mb.real_div(x=x, y=y)
    return mb.mul(x=mb.floor(x=mb.abs(x=quotient)), y=mb.sign(x=quotient), **named)


def _first_dtype(mb: Any, operands: Any) -> Any:
    """Every operand in the first one's dtype."""
    first = operands[0].dtype
    return [x if x.dtype == first else mb.cast(x=x, dtype=_NAMES[first.__name__]) for x in operands]


_NAMES = {"fp32": "fp32", "fp16": "fp16", "int32": "int32", "bool": "bool"}


def _next(name: str, by: int = 1) -> Any:
    """The constant argument plus `by`."""
    return lambda given: constant(given, name) + by


def _turned(value: Any) -> Any:
    return [-v for v in value] if isinstance(value, (list, tuple)) else -value


def _plus(by: Any) -> Any:
    return lambda value: [v + by for v in value] if isinstance(value, (list, tuple)) else value + by


FAULTS = [
    Fault("swapped operands", "sub.Tensor", "operands swapped", emits("sub", swapped("x", "y"))),
    Fault("swapped operands", "rsub.Scalar", "operands not reversed", emits("sub", swapped("x", "y"))),
    Fault("swapped operands", "pow.Scalar", "base and exponent swapped", emits("pow", swapped("x", "y"))),
    Fault("swapped operands", "atan2.default", "ordinate and abscissa swapped", emits("real_div", swapped("x", "y"))),
    Fault("swapped operands", "where.self", "branches swapped", emits("select", swapped("a", "b"))),
    Fault("swapped operands", "masked_fill.Scalar", "mask inverted", emits("select", swapped("a", "b"))),
    Fault("swapped operands", "mm.default", "factors swapped", emits("matmul", swapped("x", "y"))),
    Fault(
        "swapped operands",
        "glu.default",
        "gate is the first half",
        builds("sigmoid", lambda mb, x, **a: mb.sigmoid(x=x.op.outputs[0], **a)),
    ),
    Fault("swapped operands", "hardtanh.default", "bounds swapped", emits("clip", swapped("alpha", "beta"))),
    Fault(
        "swapped operands",
        "cat.default",
        "operands in reverse",
        emits("concat", with_(values=lambda a: tuple(a["values"])[::-1])),
    ),
    Fault("dropped option", "conv2d.default", "groups", emits("conv", with_(groups=None))),
    Fault("dropped option", "conv3d.default", "bias", emits("conv", without("bias"))),
    Fault(
        "dropped option",
        "max_pool2d.default",
        "padding",
        emits("max_pool", with_(pad=lambda a: constant(a, "pad") * 0)),
    ),
    Fault("dropped option", "mean.dim", "keepdim", misread("aten.mean.dim", keepdim=LEFT_OUT)),
    Fault("dropped option", "amax.default", "keepdim", misread("aten.amax.default", keepdim=LEFT_OUT)),
    Fault("dropped option", "argmax.default", "keepdim", misread("aten.argmax.default", keepdim=LEFT_OUT)),
    Fault("dropped option", "topk.default", "largest", misread("aten.topk.default", largest=True)),
    Fault("dropped option", "sort.default", "descending", misread("aten.sort.default", descending=LEFT_OUT)),
    Fault(
        "dropped option", "constant_pad_nd.default", "value", misread("aten.constant_pad_nd.default", value=LEFT_OUT)
    ),
    Fault(
        "dropped option",
        "upsample_bilinear2d.vec",
        "align_corners",
        misread("aten.upsample_bilinear2d.vec", align_corners=False),
    ),
    Fault("dropped option", "linear.default", "bias", emits("linear", without("bias"))),
    Fault(
        "dropped option", "div.Tensor_mode", "rounding mode", misread("aten.div.Tensor_mode", rounding_mode=LEFT_OUT)
    ),
    Fault(
        "dropped option",
        "leaky_relu.default",
        "negative_slope",
        misread("aten.leaky_relu.default", negative_slope=LEFT_OUT),
    ),
    Fault("dropped option", "softplus.default", "beta", misread("aten.softplus.default", beta=LEFT_OUT)),
    Fault("dropped option", "layer_norm.default", "weight", emits("layer_norm", with_(gamma=None))),
    Fault("dropped option", "batch_norm.default", "weight", emits("batch_norm", without("gamma"))),
    Fault(
        "wrong default",
        "var.default",
        "biased unless told",
        builds("sub", lambda mb, x, y, **a: mb.sub(x=x, y=0.0 if type(y) is float else y, **a)),
    ),
    Fault("wrong default", "cumsum.default", "leaves its own element out", emits("cumsum", with_(exclusive=True))),
    Fault(
        "changed epsilon",
        "layer_norm.default",
        "1e-3 whatever is given",
        emits("layer_norm", with_(epsilon=np.float32(1e-3))),
    ),
    Fault("changed epsilon", "batch_norm.default", "1e-3 whatever is given", emits("batch_norm", with_(epsilon=1e-3))),
    Fault(
        "changed epsilon",
        "instance_norm.default",
        "1e-3 whatever is given",
        emits("instance_norm", with_(epsilon=1e-3)),
    ),
    Fault("changed epsilon", "rsqrt.default", "1e-3", emits("rsqrt", with_(epsilon=1e-3))),
    Fault("changed epsilon", "log.default", "1e-3", emits("log", with_(epsilon=1e-3))),
    Fault("changed epsilon", "reciprocal.default", "1e-3", emits("inverse", with_(epsilon=1e-3))),
    Fault("scale", "mul.Tensor", "by a thousandth", scaled("mul", 1.001)),
    Fault("scale", "sigmoid.default", "by a thousandth", scaled("sigmoid", 1.001)),
    Fault("scale", "exp.default", "by a thousandth", scaled("exp", 1.001)),
    Fault("scale", "bmm.default", "by a thousandth", scaled("matmul", 1.001)),
    Fault("scale", "softmax.int", "by a thousandth", scaled("softmax", 1.001)),
    Fault("scale", "log10.default", "natural logarithm's base off", scaled("log", 1.001)),
    Fault("off by one", "roll.default", "shift", misread("aten.roll.default", shifts=_plus(1))),
]
