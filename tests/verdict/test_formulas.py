"""Each formula computes what its ATen operator computes."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.verdict.formulas import FORMULAS

aten = torch.ops.aten
X = torch.randn(2, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
W = X[0, :, 0].contiguous()
N = X[0, 0].abs()

CALLS = [
    (aten.var.default, (X,), {}),
    (aten.var.default, (X, False), {}),
    (aten.var.dim, (X, [1, 2], False, True), {}),
    (aten.var.correction, (X, [1]), {"correction": 2, "keepdim": True}),
    (aten.var.correction, (X,), {}),
    (aten.std.correction, (X, [-1]), {"correction": 0}),
    (aten.std.dim, (X, [0]), {}),
    (aten.var_mean.correction, (X, [1]), {"correction": 1}),
    (aten.std_mean.correction, (X, [1, 2]), {"keepdim": True}),
    (aten.native_layer_norm.default, (X, [6], N, N, 1e-5), {}),
    (aten.native_layer_norm.default, (X, [4, 6], None, None, 1e-3), {}),
    (aten.native_group_norm.default, (X, W, W, 2, 4, 6, 2, 1e-5), {}),
    (aten._logcumsumexp.default, (X, 1), {}),
    (aten.logaddexp.default, (X, X.flip(0)), {}),
    (aten._cdist_forward.default, (X, X.flip(1), 3.0, None), {}),
    (aten._cdist_forward.default, (X, X.flip(1), 2.0, 1), {}),
    (aten._euclidean_dist.default, (X[0], X[1]), {}),
    (aten.linalg_vector_norm.default, (X, 2, [1]), {}),
    (aten.linalg_vector_norm.default, (X, 3, [1], True), {}),
    (aten.linalg_vector_norm.default, (X, 1), {}),
    (aten.linalg_vector_norm.default, (X, float("inf"), [0]), {}),
    (aten.glu.default, (X, 1), {}),
    (aten.linalg_cross.default, (X[:, :3], X[:, 1:]), {"dim": 1}),
    (aten.fake_quantize_per_tensor_affine_cachemask.default, (X, 0.125, 3, -4, 9), {}),
    (
        aten.fake_quantize_per_channel_affine_cachemask.default,
        (X, torch.tensor([0.125, 0.5, 0.25, 1.0]), torch.tensor([0, 1, -2, 0], dtype=torch.int32), 1, -8, 7),
        {},
    ),
    (aten.ldexp.Tensor, (X, torch.tensor([3])), {}),
    (aten.native_batch_norm.default, (X, W, W, W.clone(), W.abs(), False, 0.1, 1e-5), {}),
    (aten.native_batch_norm.default, (X, W, W, W.clone(), W.abs(), True, 0.1, 1e-5), {}),
    (aten._native_batch_norm_legit.no_stats, (X, W, None, True, 0.1, 1e-5), {}),
    (aten._native_batch_norm_legit_no_training.default, (X, W, W, W, W.abs(), 0.1, 1e-5), {}),
]


@pytest.mark.parametrize(("func", "args", "kwargs"), CALLS, ids=[f"{i}-{c[0]}" for i, c in enumerate(CALLS)])
def test_formula_agrees_with_the_operator(func, args, kwargs):
    packet = func._schema.name.replace("::", ".")
    want, got = func(*args, **kwargs), FORMULAS[packet](*args, **kwargs)
    if isinstance(want, torch.Tensor):
        want, got = [want], [got]
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        if a.numel() or b.numel():
            assert a.shape == b.shape
            torch.testing.assert_close(a, b, rtol=1e-6 if "euclidean" in packet else 1e-12, atol=1e-12)


def test_every_formula_is_called_here():
    # logcumsumexp is the composite of _logcumsumexp; prims and update variants share their twin's formula.
    called = {c[0]._schema.name.replace("::", ".") for c in CALLS}
    twins = {
        "prims.var",
        "aten.logcumsumexp",
        "aten._native_batch_norm_legit_functional",
        "aten._batch_norm_with_update",
    }
    assert set(FORMULAS) - called == twins


@pytest.mark.parametrize(("mode", "rows", "products"), [(None, 5, 0), (None, 26, 1), (0, 26, 1), (1, 5, 1), (2, 26, 0)])
def test_cdist_is_a_product_where_its_mode_or_its_size_says_so(mode, rows, products):
    with _Calls() as calls:
        FORMULAS["aten._cdist_forward"](torch.ones(rows, 2), torch.ones(3, 2), 2.0, mode)
    assert calls.names.count("aten::mm") == products


class _Calls(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func._schema.name)
        return func(*args, **(kwargs or {}))
