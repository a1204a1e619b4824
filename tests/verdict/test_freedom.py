"""Results that differ in what the operator leaves open pass; what it does define stays wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from harness.evidence.vocabulary import Outcome
from harness.verdict.compare import compare
from harness.verdict.oracle import truth
from harness.verdict.propagate import bounds
from harness.verdict.table import lookup
from harness.verdict.tolerance import FP32

A = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(3)).half().float()
SQUARE = A[:, :3]
SIGNS = torch.tensor([1.0, -1.0, -1.0])


class Fn(nn.Module):
    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def forward(self, *args):
        return self.fn(*args)


def judged(fn, x, change, op):
    """The outcome of comparing eager's own float32 result, after `change`."""
    t = truth(Fn(fn), (x,))
    return compare(list(change(*t.reference)), t, lookup(op), "fp32").outcome


def eigh(x):
    return tuple(torch.linalg.eigh(x + x.mT))


def qr(x):
    return tuple(torch.linalg.qr(x))


def svd(x):
    return tuple(torch.linalg.svd(x, full_matrices=False))


@pytest.mark.parametrize(
    ("fn", "x", "change"),
    [
        (eigh, SQUARE, lambda w, v: (w, v * SIGNS)),
        (qr, A, lambda q, r: (q * SIGNS, r * SIGNS[:, None])),
        (svd, A, lambda u, s, vh: (u * SIGNS, s, vh * SIGNS[:, None])),
        (lambda x: tuple(torch.svd(x)), A, lambda u, s, v: (u * SIGNS, s, v * SIGNS)),
        (lambda x: torch.linalg.svd(x)[2], A, lambda vh: (vh * SIGNS[:, None],)),
        (lambda x: torch.linalg.svd(x)[0], A, lambda u: (u * torch.tensor([1.0, -1, 1, 1, -1]),)),
    ],
)
def test_a_sign_of_a_vector_is_free(fn, x, change):
    assert judged(fn, x, change, "aten.linalg_qr") is Outcome.PASS


@pytest.mark.parametrize(
    ("fn", "x", "change"),
    [
        (eigh, SQUARE, lambda w, v: (w, v * SIGNS[:, None])),
        (eigh, SQUARE, lambda w, v: (-w, v)),
        (eigh, SQUARE, lambda w, v: (w, v * 1.001)),
        (qr, A, lambda q, r: (q * SIGNS, r)),
        (svd, A, lambda u, s, vh: (u, s, vh * SIGNS[:, None])),
        (svd, A, lambda u, s, vh: (u.flip(-1), s, vh.flip(-2))),
    ],
)
def test_all_else_of_a_decomposition_is_not(fn, x, change):
    assert judged(fn, x, change, "aten.linalg_qr") is Outcome.WRONG_VALUE


def test_a_phase_of_a_complex_eigenvector_is_free_and_its_size_is_not():
    def fn(x):
        return tuple(torch.linalg.eig(x))

    phase = torch.polar(torch.ones(3), torch.tensor([0.3, -1.0, 2.0]))
    assert judged(fn, SQUARE, lambda w, v: (w, v * phase), "aten.linalg_eig") is Outcome.PASS
    assert judged(fn, SQUARE, lambda w, v: (w, v * phase * 1.01), "aten.linalg_eig") is Outcome.WRONG_VALUE


def test_the_bound_of_a_vector_is_not_widened_by_signs_that_change():
    # Moved inputs give vectors of either sign; the distance between the two is no error.
    for seed in range(5):
        x = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)).half().float()
        b = bounds(truth(Fn(eigh), (x,)), lookup("aten.linalg_eigh"), FP32)
        assert float(b.bound[1].max()) < 0.01


def topk(x):
    return tuple(torch.topk(x, 3, sorted=False))


def test_an_unsorted_selection_has_no_order():
    x = torch.tensor([[1.0, 5, 3, 4, 2], [9, 8, 7, 6, 5]])
    order = torch.tensor([1, 2, 0])
    assert judged(topk, x, lambda v, i: (v[:, order], i[:, order]), "aten.topk") is Outcome.PASS
    assert judged(topk, x, lambda v, i: (v + 1, i), "aten.topk") is Outcome.WRONG_VALUE
    assert judged(topk, x, lambda v, i: (v, torch.zeros_like(i)), "aten.topk") is Outcome.WRONG_VALUE
    assert judged(topk, x, lambda v, i: (v, (i + 1) % 5), "aten.topk") is Outcome.WRONG_VALUE


def test_a_sorted_selection_has():
    x = torch.tensor([1.0, 5, 3, 4, 2])
    change = lambda v, i: (v.flip(0), i.flip(0))  # noqa: E731
    assert judged(lambda x: tuple(torch.topk(x, 3)), x, change, "aten.topk") is Outcome.WRONG_VALUE
