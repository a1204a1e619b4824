"""What an operator leaves open, settled before comparison: phases of vectors, the order of an unordered selection.

Eigenvectors, singular vectors and the columns of Q are defined up to a factor of modulus 1 (a sign, where they are
real); pairs of them share it, so that U S V^H and Q R stay what they are. `topk(sorted=False)` defines which elements
are selected and no order. Settling moves a result as near to the reference as that freedom allows, and no further: a
sign that differs within one vector, or between the two of a pair, stays wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

#: Packet -> results that hold vectors, each with the axis that counts them: -1 where they are columns, -2 rows.
VECTORS: dict[str, tuple[tuple[int, int], ...]] = {
    "_linalg_eigh": ((1, -1),),
    "linalg_eigh": ((1, -1),),
    "linalg_eig": ((1, -1),),
    "_linalg_svd": ((0, -1), (2, -2)),
    "linalg_svd": ((0, -1), (2, -2)),
    "linalg_qr": ((0, -1), (1, -2)),
}


class Freedom(Protocol):
    def settle(self, got: list[Tensor], reference: list[Tensor]) -> list[Tensor]:
        """`got`, as near to `reference` as this freedom allows; outputs that it does not concern as they are."""


@dataclass(frozen=True)
class Phases:
    """Vectors of one call, as its exact results and the axes that count them; all share a phase per vector."""

    parts: tuple[tuple[Tensor, int], ...]

    def settle(self, got: list[Tensor], reference: list[Tensor]) -> list[Tensor]:
        settled = list(got)
        shared: Tensor | None = None
        for i, (g, ref) in enumerate(zip(got, reference, strict=True)):
            axis = self._axis(ref)
            if axis is None or g.shape != ref.shape or g.is_complex() != ref.is_complex():
                continue
            phase = _phase(g, ref, axis)
            phase = phase if axis == -1 else phase.conj()
            if shared is None:
                shared = phase
            else:
                # The first output has settled the pairs; vectors that complete a basis have no partner.
                pairs = min(phase.shape[-1], shared.shape[-1])
                phase = torch.cat([shared[..., :pairs], phase[..., pairs:]], -1)
            factor = phase.unsqueeze(-2) if axis == -1 else phase.conj().unsqueeze(-1)
            settled[i] = g * factor.to(g.dtype)
        return settled

    def _axis(self, ref: Tensor) -> int | None:
        for part, axis in self.parts:
            if _equal(part, ref):
                return axis
            if _equal(part.mH, ref):
                return -3 - axis
        return None


@dataclass(frozen=True)
class Unordered:
    """A selection whose order along `dim` is not defined."""

    values: Tensor
    dim: int

    def settle(self, got: list[Tensor], reference: list[Tensor]) -> list[Tensor]:
        settled = list(got)
        for i, (g, ref) in enumerate(zip(got, reference, strict=True)):
            if g.shape == ref.shape and ref.dim() and _equal(self.values, ref):
                rank = ref.argsort(self.dim).argsort(self.dim)
                settled[i] = g.sort(self.dim).values.gather(self.dim, rank)
        return settled


def phases(packet: str, outs: list[Tensor]) -> Phases | None:
    """The freedom of a call of `packet` (`linalg_qr`) with the results `outs`; None where there is none."""
    parts = tuple(
        (outs[i].detach(), axis) for i, axis in VECTORS.get(packet, ()) if i < len(outs) and outs[i].dim() > 1
    )
    return Phases(parts) if parts else None


def settle(got: list[Tensor], reference: list[Tensor], freedoms: list[Freedom]) -> list[Tensor]:
    """`got` after every freedom; both lists are of equal length."""
    for freedom in freedoms:
        got = freedom.settle(got, reference)
    return got


def _phase(got: Tensor, ref: Tensor, axis: int) -> Tensor:
    """Of modulus 1: what brings each vector of `got` nearest to its reference, 1 where nothing does."""
    along = -2 if axis == -1 else -1
    product = (ref * got.to(ref.dtype).conj()).sum(along)
    size = product.abs()
    usable = torch.isfinite(size) & (size > 0)
    return torch.where(usable, product / size, torch.ones_like(product))


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
