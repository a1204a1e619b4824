"""How rows of the table are written, a function per tolerance class: operators, factors or lengths, source or reason.

Names are packets of ATen (`add`), single overloads where it matters (`div.Tensor_mode`), or operators of another
namespace (`torchao::dequantize_affine`). Factors are ulp for (fp32, fp16).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.evidence.vocabulary import ToleranceClass as C
from harness.verdict.tolerance import ErrorFunction, LengthFunction, Rule

RULES: dict[str, Rule] = {}


def _add(names: str, rule: Rule) -> None:
    for name in names.split():
        op = name.replace("::", ".") if "::" in name else f"aten.{name}"
        if op in RULES:
            raise ValueError(f"{op} has two rows")
        RULES[op] = replace(rule, op=op)


def exact(names: str, reason: str) -> None:
    _add(names, Rule("", C.EXACT, reason=reason))


def ulp(names: str, fp32: float, fp16: float, reason: str) -> None:
    _add(names, Rule("", C.ULP, (fp32, fp16), reason=reason))


def abs_error(names: str, error: ErrorFunction, reason: str) -> None:
    _add(names, Rule("", C.ABS_ERROR, error=error, reason=reason))


def dot(
    names: str,
    length: LengthFunction,
    reason: str,
    bias: Callable[..., bool] | None = None,
    extra: ErrorFunction | None = None,
) -> None:
    _add(names, Rule("", C.DOT_PRODUCT, length=length, bias=bias, error=extra, reason=reason))


def product(names: str, length: LengthFunction, reason: str) -> None:
    _add(names, Rule("", C.REDUCE_PRODUCT, length=length, reason=reason))


def composed(names: str, fp32: float, fp16: float, reason: str) -> None:
    _add(names, Rule("", C.COMPOSED, (fp32, fp16), reason=reason))


def backward(names: str, fp32: float, fp16: float, reason: str) -> None:
    _add(names, Rule("", C.COMPOSED, (fp32, fp16), reason=reason, backward=True))
