"""image_resizing and detection against scalar loops over the documented formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb

MODES = ["STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"]


def grid_point(mode, i, n_in, n_out):
    """The formulas of the documentation of `resize_bilinear`, one point at a time."""
    if mode == "ALIGN_CORNERS" and n_out == 1:
        point = (n_in - 1) / 2
    elif mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        point = i * (n_in - 1) / (n_out - 1)
    elif mode == "DEFAULT":
        point = i * (n_in - n_in / n_out) / (n_out - 1) if n_out > 1 else 0.0
    elif mode == "OFFSET_CORNERS":
        delta = max(1, n_in - 1) / n_out
        point = 0.5 * delta + i * delta
    else:
        point = i * n_in / n_out + 0.5 * n_in / n_out - 0.5
    return min(n_in - 1, max(0, point))


def bilinear(image, row, column):
    """One value of an image [H, W] between its pixels."""
    top, left = math.floor(row), math.floor(column)
    total = 0.0
    for r, wr in ((top, 1 - (row - top)), (top + 1, row - top)):
        for c, wc in ((left, 1 - (column - left)), (left + 1, column - left)):
            if wr * wc:
                total += wr * wc * float(image[r, c])
    return total


@pytest.mark.parametrize("mode", MODES)
def test_resize_bilinear(bench, rng, mode):
    x = rng.standard_normal((1, 2, 4, 3), np.float32)
    expected = np.zeros((1, 2, 7, 2))
    for _, c, h, w in np.ndindex(*expected.shape):
        expected[0, c, h, w] = bilinear(x[0, c], grid_point(mode, h, 4, 7), grid_point(mode, w, 3, 2))

    def build(x):
        return (
            mb.resize_bilinear(x=x, target_size_height=7, target_size_width=2, sampling_mode=mode),
            mb.resize(x=x, shape=[7, 2], resized_dims=np.uint32(2), interpolation_mode="LINEAR", sampling_mode=mode),
        )

    bench.check(build, {"x": x}, expected, expected, rtol=1e-5, atol=1e-5)


def test_documented_grid_points():
    """The examples printed in coremltools' documentation."""
    from harness.mil.kernels.image_resizing import grid

    x_in, clamp = 2, lambda g: np.clip(g, 0, 1).round(2).tolist()
    assert clamp(grid("DEFAULT", x_in, 5)) == [0, 0.4, 0.8, 1, 1]
    assert clamp(grid("OFFSET_CORNERS", x_in, 5)) == [0.1, 0.3, 0.5, 0.7, 0.9]
    assert clamp(grid("STRICT_ALIGN_CORNERS", x_in, 6)) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert clamp(grid("UNALIGN_CORNERS", x_in, 5)) == [0, 0.1, 0.5, 0.9, 1]


@pytest.mark.parametrize("align_corners", [True, False])
def test_upsample_bilinear_as_pytorch(bench, rng, align_corners):
    x = rng.standard_normal((1, 2, 3, 4), np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), scale_factor=(2, 3), mode="bilinear", align_corners=align_corners
    ).numpy()

    def build(x):
        return mb.upsample_bilinear(x=x, scale_factor_height=2, scale_factor_width=3, align_corners=align_corners)

    bench.check(build, {"x": x}, expected, rtol=1e-5, atol=1e-5)


def test_nearest_neighbour(bench):
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)

    def build(x):
        return (
            mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=3),
            mb.resize_nearest_neighbor(x=x, target_size_height=6, target_size_width=2),
        )

    bench.check(
        build, {"x": x}, x.repeat(2, 1).repeat(3, 2), x.repeat(2, 1)[:, :, [0, 2]],
    )  # fmt: skip


def test_a_fractional_factor_is_undocumented(bench):
    x = np.arange(10, dtype=np.float32).reshape(1, 1, 10)
    result = bench.run(lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_width=np.float32(1.35)), {"x": x})
    assert "undocumented" in {d.kind for d in result.diagnostics}


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1.0])
def test_interpolation_beside_an_infinity_is_undocumented(bench, value):
    """Whether an element of weight 0 counts, and in which order the products are added, is not said."""
    x = np.zeros((1, 1, 3, 3), np.float32)
    x[0, 0, 1, 1] = value
    result = bench.run(lambda x: mb.upsample_bilinear(x=x, scale_factor_height=2.0, scale_factor_width=2.0), {"x": x})
    assert ("undocumented" in {d.kind for d in result.diagnostics}) == (not np.isfinite(value))


@pytest.mark.parametrize("padding", [("constant", "zeros"), ("border", "border"), ("reflection", "reflection")])
@pytest.mark.parametrize("sampling", ["bilinear", "nearest"])
def test_resample_as_grid_sample(bench, rng, sampling, padding):
    x = rng.standard_normal((2, 3, 4, 5), np.float32)
    points = (rng.random((2, 3, 2, 2)).astype(np.float32) - 0.5) * 3.1
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(x), torch.from_numpy(points), mode=sampling, padding_mode=padding[1], align_corners=True
    ).numpy()

    def build(x, points):
        return mb.resample(
            x=x, coordinates=points, sampling_mode=sampling, padding_mode=padding[0], padding_value=np.float32(0),
            coordinates_mode="normalized_minus_one_to_one", align_corners=True,
        )  # fmt: skip

    bench.check(build, {"x": x, "points": points}, expected, rtol=1e-4, atol=1e-4)


def test_resample_symmetric_padding(bench):
    """|1, 2, 3| -> |3, 2, 1, 1, 2, 3, 3, 2, 1|, the example of the documentation."""
    x = np.float32([1, 2, 3]).reshape(1, 1, 1, 3)
    points = np.zeros((1, 1, 9, 2), np.float32)
    points[0, 0, :, 0] = np.arange(-3, 6)

    def build(x, points):
        return mb.resample(
            x=x, coordinates=points, sampling_mode="nearest", padding_mode="symmetric", padding_value=np.float32(0),
            coordinates_mode="unnormalized", align_corners=False,
        )  # fmt: skip

    bench.check(build, {"x": x, "points": points}, np.float32([3, 2, 1, 1, 2, 3, 3, 2, 1]).reshape(1, 1, 1, 9))


def test_affine_shift_by_a_pixel(bench, rng):
    x = rng.standard_normal((1, 2, 4, 5), np.float32)
    matrix = np.float32([[1, 0, 0.5, 0, 1, 0]])  # 0.5 of the width [-1, 1] is one of five pixels

    def build(x, matrix):
        return mb.affine(
            x=x, transform_matrix=matrix, output_height=4, output_width=5, sampling_mode="bilinear",
            padding_mode="constant", padding_value=np.float32(0), coordinates_mode="normalized_minus_one_to_one",
            align_corners=True,
        )  # fmt: skip

    expected = np.concatenate([x[..., 1:], np.zeros((1, 2, 4, 1))], -1)
    bench.check(build, {"x": x, "matrix": matrix}, expected, rtol=1e-5, atol=1e-5)


def test_crop_resize(bench, rng):
    x = rng.standard_normal((2, 1, 6, 6), np.float32)
    boxes = np.float32([[1, 0, 3, 4], [0, 2, 5, 5]])

    def build(x, boxes):
        return mb.crop_resize(
            x=x, boxes=boxes, box_indices=np.int32([1, 0]), target_height=3, target_width=2,
            sampling_mode="STRICT_ALIGN_CORNERS",
        )  # fmt: skip

    expected = np.zeros((2, 1, 3, 2))
    for n, (h0, w0, h1, w1) in enumerate(boxes):
        for i, j in np.ndindex(3, 2):
            expected[n, 0, i, j] = bilinear(x[1 - n, 0], h0 + i * (h1 - h0) / 2, w0 + j * (w1 - w0))
    bench.check(build, {"x": x, "boxes": boxes}, expected, rtol=1e-5, atol=1e-5)


def test_non_maximum_suppression(bench):
    boxes = np.float32([[[0, 0, 2, 2], [0.1, 0, 2, 2], [5, 5, 2, 2], [9, 9, 1, 1]]])
    scores = np.float32([[[0.8], [0.9], [0.7], [0.1]]])

    def build(boxes, scores):
        return mb.non_maximum_suppression(
            boxes=boxes, scores=scores, iou_threshold=np.float32(0.5), score_threshold=np.float32(0.2), max_boxes=3
        )

    bench.check(
        build,
        {"boxes": boxes, "scores": scores},
        [[boxes[0, 1], boxes[0, 2], np.zeros(4)]],
        [[[0.9], [0.7], [0]]],
        [[1, 2, -1]],
        [2],
        opset="iOS15",
    )


def test_a_nudged_factor_means_the_size_it_gives(bench):
    """The PyTorch frontend writes (2 + 1e-4) / 4 for a halving: the elements are those of PyTorch."""
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 4)
    factor = np.float32((2 + 1e-4) / 4)
    bench.check(lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_width=factor), {"x": x}, [[[0, 2]]])


def test_the_size_is_computed_in_the_type_of_the_factor(bench):
    x = np.zeros((1, 20, 20), np.float32)

    def build(x):
        factors = {"scale_factor_height": np.float32(0.9), "scale_factor_width": np.float32(0.9)}
        return mb.upsample_bilinear(x=x, align_corners=False, **factors), mb.upsample_nearest_neighbor(x=x, **factors)

    bench.check(build, {"x": x}, np.zeros((1, 18, 18)), np.zeros((1, 18, 18)))
