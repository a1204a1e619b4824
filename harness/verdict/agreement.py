"""Top-k agreement: whether a model's scores rank as the truth's do."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.verdict.oracle import Truth
from harness.verdict.propagate import bounds
from harness.verdict.table import MODEL
from harness.verdict.tolerance import Format, Rule

_K = 5


def agreement(got: Sequence[Tensor], truth: Truth, rule: Rule, f: Format) -> dict[str, float]:
    """`top1`, `tied` and `top5` of `Numerics`, of the first floating output of two or three dimensions; empty where
    there is none, or nothing to rank in it. `top5` only where a row has more than five elements.

    `got` has the truth's shapes. Two elements are tied that the bounds of both do not tell apart; of a model that is
    judged by its signal alone, a unit of the last place.
    """
    for i, (g, right) in enumerate(zip(got, truth.outputs, strict=True)):
        if right.is_floating_point() and right.dim() in (2, 3) and right.shape[-1] > 1 and right.numel():
            bound = None if rule is MODEL else bounds(truth, rule, f).bound[i]
            return ranked(g, right, f.ulp(right) if bound is None else bound)
    return {}


def ranked(got: Tensor, right: Tensor, bound: Tensor) -> dict[str, float]:
    """The same of one output, row by row along its last dimension; `bound` is absolute, of each element."""
    width = right.shape[-1]
    g, r, b = (t.detach().cpu().double().reshape(-1, width) for t in (got, right, bound))
    first, chosen = r.argmax(-1, keepdim=True), g.argmax(-1, keepdim=True)
    # Elements of the same value in the truth have no order.
    agrees = r.gather(-1, chosen) == r.gather(-1, first)
    apart = r.gather(-1, first) - r.gather(-1, chosen)
    tied = ~agrees & (apart <= b.gather(-1, first) + b.gather(-1, chosen))
    found = {"top1": _share(agrees), "tied": _share(tied)}
    if width > _K:
        fifth = r.topk(_K, -1).values[:, -1:]
        found["top5"] = _share(r.gather(-1, g.topk(_K, -1).indices) >= fifth)
    return found


def _share(of: Tensor) -> float:
    return round(float(of.to(torch.float64).mean()), 4)
