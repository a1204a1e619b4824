"""The parameters of an operator, from its schema as the operator universe has it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

#: Public functions whose arguments stand in another order than those of the operator of their name.
#: Source: the signatures of torch.nn.functional, beside native_functions.yaml.
REORDERED: dict[str, tuple[str, ...]] = {
    "batch_norm": ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
    "instance_norm": ("input", "running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps"),
    "embedding": ("input", "weight", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq", "sparse"),
    "embedding_bag": ("input", "weight", "offsets"),
    "cross_entropy": ("input", "target", "weight"),
    "nll_loss": ("input", "target", "weight"),
    "binary_cross_entropy": ("input", "target", "weight"),
    "binary_cross_entropy_with_logits": ("input", "target", "weight"),
    **dict.fromkeys(
        ("kl_div", "l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "soft_margin_loss"),
        ("input", "target"),
    ),
}


@dataclass(frozen=True)
class Parameter:
    """A parameter: its name, its type as schemas write it (`Tensor?`, `int[2]`), and its default as text, None where
    it has to be given."""

    name: str
    type: str
    default: str | None = None


@functools.cache
def parameters(schema: str) -> tuple[Parameter, ...]:
    """Of a schema: `aten::gelu(Tensor self, *, str approximate='none') -> Tensor`."""
    inside = schema[schema.index("(") + 1 : _closing(schema)]
    found = []
    for part in _split(inside):
        if part == "*":
            continue
        left, has_default, default = part.partition("=")
        kind, _, name = left.strip().rpartition(" ")
        found.append(Parameter(name, re.sub(r"\(\w+!?\)", "", kind), default if has_default else None))
    return tuple(found)


def _closing(schema: str) -> int:
    depth = 0
    for at, character in enumerate(schema):
        depth += (character == "(") - (character == ")")
        if character == ")" and not depth:
            return at
    return len(schema)


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and not depth:
            parts.append(text[start:at].strip())
            start = at + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]
