"""Data movement, indices, filling: tensor_transformation, tensor_operation, scatter_gather."""

from __future__ import annotations

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from harness.mil import Description, Function, KernelError, Model, Operation, Program, TensorType
from harness.mil.program import Block, Literal, NamedType

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def test_shapes_change_and_values_stay(bench):
    def build(x):
        return (
            mb.identity(x=x),
            mb.expand_dims(x=x, axes=[0, -1]),
            mb.squeeze(x=mb.expand_dims(x=x, axes=[0, 2]), axes=[2]),
            mb.reshape(x=x, shape=[4, -1]),
            mb.reshape(x=x, shape=[0, -1, 2]),
            mb.transpose(x=x, perm=[2, 0, -2]),
            mb.flatten2d(x=x, axis=-1),
            mb.reverse(x=x, axes=[0, -1]),
        )

    bench.check(
        build,
        {"x": X},
        X,
        X[None, ..., None],
        X[None],
        X.reshape(4, 6),
        X.reshape(2, 6, 2),
        np.moveaxis(X, 2, 0),
        X.reshape(6, 4),
        X[::-1, :, ::-1],
    )


def _reshaped(shape, target, opset):
    x, kind = Literal(np.ones(shape, np.float32), TensorType("fp32", shape)), TensorType("int32", (len(target),))
    outputs = (NamedType("y", TensorType("fp32", (None,) * len(target))),)
    operation = Operation("reshape", "y", {"x": x, "shape": Literal(np.int32(target), kind)}, outputs)
    function = Function("main", f"CoreML{opset}", (), Block((), ("y",), (operation,)), Description())
    return Model(Program({"main": function})).run({})


@pytest.mark.parametrize(
    ("opset", "shape", "target", "expected"),
    [
        (7, (2, 50), (1, 0, -1, 0), (1, 1, 2, 50)),  # the example of the documentation
        (8, (4, 0), (4, 2, 0, 0, 0), (4, 2, 1, 4, 0)),
        (8, (4, 3, 2), (0, -1), (3, 8)),
        (8, (3, 0), (0, -1), (3, 0)),
        (8, (3, 0), (0,), (0,)),
        (6, (4, 3), (0, -1), (4, 3)),
        (6, (3, 0), (0, 0), (3, 0)),
    ],
)
def test_a_size_of_0_is_taken_from_the_operand(opset, shape, target, expected):
    result = _reshaped(shape, target, opset)
    assert result.outputs["y"].shape == expected
    assert result.diagnostics == []


@pytest.mark.parametrize(
    ("opset", "shape", "target", "message"),
    [
        (6, (2, 50), (1, 0, -1, 0), "before iOS17, 0 needs the rank of x"),
        (8, (0, 2), (0,), "cannot reshape"),
        (8, (4, 4), (-1, -1), "one -1 at most"),
        (8, (4, 4), (-2, 8), "nothing below it"),
    ],
)
def test_sizes_that_cannot_be(opset, shape, target, message):
    with pytest.raises(KernelError, match=message):
        _reshaped(shape, target, opset)


def test_what_is_left_beside_a_size_of_0_is_undocumented():
    result = _reshaped((0, 3), (-1, 0, 0), 8)
    assert result.outputs["y"].shape == (0, 0, 3)
    assert [d.kind for d in result.diagnostics] == ["undocumented"]


def test_reverse_sequence(bench):
    expected = X.copy()
    expected[0, :2] = X[0, [1, 0]]
    expected[1, :3] = X[1, [2, 1, 0]]
    bench.check(lambda x: mb.reverse_sequence(x=x, lengths=[2, 3], seq_axis=1, batch_axis=0), {"x": X}, expected)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"begin": [0, 1, 1], "end": [2, 3, 4]}, X[0:2, 1:3, 1:4]),
        ({"begin": [0, 0, 0], "end": [2, 3, -1], "stride": [1, 2, 2]}, X[:, ::2, 0:-1:2]),
        ({"begin": [0, 0, -1], "end": [0, 0, 0], "stride": [1, 1, -2], "begin_mask": [True, True, False],
          "end_mask": [True, True, True]}, X[:, :, ::-2]),
        ({"begin": [1, 0, 0], "end": [0, 3, 4], "squeeze_mask": [True, False, False]}, X[1]),
        ({"begin": [0, -2, 0], "end": [2, 3, 4]}, X[:, -2:]),
    ],
)  # fmt: skip
def test_slice_by_index(bench, parameters, expected):
    bench.check(lambda x: mb.slice_by_index(x=x, **parameters), {"x": X}, expected)


def test_slice_by_size_and_update(bench):
    update = np.float32([[[-1, -2]], [[-3, -4]]])
    changed = X.copy()
    changed[:, 1:2, 1:3] = update

    def build(x, update):
        return (
            mb.slice_by_size(x=x, begin=[0, -2, 1], size=[1, 2, -1]),
            mb.slice_update(x=x, update=update, begin=[0, 1, 1], end=[2, 2, 3]),
        )

    bench.check(build, {"x": X, "update": update}, X[0:1, 1:, 1:], changed)


def test_windows_blocks_and_channels(bench, rng):
    x = rng.standard_normal((2, 8, 4, 6), np.float32)
    depth, shuffled, unshuffled = np.empty((2, 2, 8, 12), np.float32), np.empty((2, 2, 8, 12)), np.empty((2, 32, 2, 3))
    for n, c, h, w in np.ndindex(2, 2, 8, 12):
        i, j = h % 2, w % 2
        depth[n, c, h, w] = x[n, (i * 2 + j) * 2 + c, h // 2, w // 2]
        shuffled[n, c, h, w] = x[n, c * 4 + i * 2 + j, h // 2, w // 2]
    for n, c, h, w in np.ndindex(2, 32, 2, 3):
        unshuffled[n, c, h, w] = x[n, c // 4, h * 2 + (c % 4) // 2, w * 2 + c % 2]

    def build(x):
        deep = mb.depth_to_space(x=x, block_size=2)
        return (
            deep,
            mb.space_to_depth(x=deep, block_size=2),
            mb.pixel_shuffle(x=x, upscale_factor=2),
            mb.pixel_unshuffle(x=x, downscale_factor=np.uint32(2)),
        )

    bench.check(build, {"x": x}, depth, x, shuffled, unshuffled)


def test_batches_of_blocks(bench, rng):
    x = rng.standard_normal((2, 3, 4, 5), np.float32)
    padded = np.pad(x, [(0, 0), (0, 0), (0, 0), (1, 0)])
    batches = np.empty((2 * 2 * 3, 3, 2, 2), np.float32)
    for i, j, n in np.ndindex(2, 3, 2):
        batches[(i * 3 + j) * 2 + n] = padded[n, :, i::2, j::3]

    def build(x):
        out = mb.space_to_batch(x=x, block_shape=[2, 3], paddings=[[0, 0], [1, 0]])
        return out, mb.batch_to_space(x=out, block_shape=[2, 3], crops=[[0, 0], [1, 0]])

    bench.check(build, {"x": x}, batches, x)


def test_sliding_windows_and_crop(bench, rng):
    x = rng.standard_normal((2, 7, 5), np.float32)
    windows = np.stack([x[:, s : s + 3] for s in (0, 2, 4)], 1)

    def build(x):
        return mb.sliding_windows(x=x, axis=1, size=3, stride=2), mb.crop(x=x, crop_height=[1, 2], crop_width=[0, 1])

    bench.check(build, {"x": x}, windows, x[:, 1:5, :4])


def test_joining_and_parting(bench):
    def build(x, y):
        return (
            mb.concat(values=[x, y], axis=-1),
            mb.concat(values=[x, y], axis=1, interleave=True),
            mb.stack(values=[x, y], axis=1),
            *mb.split(x=x, split_sizes=[1, 2], axis=1),
            *mb.split(x=x, num_splits=2, axis=2),
            mb.tile(x=x, reps=[1, 2, 3]),
        )

    y = -X
    mixed = np.empty((2, 6, 4), np.float32)
    mixed[:, 0::2], mixed[:, 1::2] = X, y
    bench.check(
        build,
        {"x": X, "y": y},
        np.concatenate([X, y], -1),
        mixed,
        np.array([[X[0], y[0]], [X[1], y[1]]]),
        X[:, :1],
        X[:, 1:],
        X[..., :2],
        X[..., 2:],
        np.tile(X, (1, 2, 3)),
    )


def test_reshape_like(bench):
    def build(x, a, b):
        return mb.reshape_like(x=x, ref_tensors=(a, b), begins=[0, 1], ends=[2, 0], end_masks=[False, True])

    inputs = {"x": X, "a": np.zeros((2, 3, 4), np.float32), "b": np.zeros((1, 2, 2), np.float32)}
    bench.check(build, inputs, X.reshape(2, 3, 2, 2))


def test_band_part_and_cumsum(bench):
    rows, columns = np.arange(3)[:, None], np.arange(4)[None]

    def build(x):
        return (
            mb.band_part(x=x, lower=0, upper=-1),
            mb.band_part(x=x, lower=1, upper=0),
            mb.cumsum(x=x, axis=1),
            mb.cumsum(x=x, axis=-1, exclusive=True),
            mb.cumsum(x=x, axis=2, reverse=True),
            mb.cumsum(x=x, axis=2, exclusive=True, reverse=True),
        )

    exclusive = np.stack([np.zeros((2, 3)), X[..., 0], X[..., :2].sum(-1), X[..., :3].sum(-1)], -1)
    backwards = np.stack([X[..., i:].sum(-1) for i in range(4)], -1)
    bench.check(
        build,
        {"x": X},
        np.where(rows <= columns, X, 0),
        np.where((rows >= columns) & (rows - columns <= 1), X, 0),
        np.stack([X[:, 0], X[:, 0] + X[:, 1], X.sum(1)], 1),
        exclusive,
        backwards,
        np.concatenate([backwards[..., 1:], np.zeros((2, 3, 1))], -1),
    )


def test_filling(bench):
    def build(x, shape):
        return (
            mb.fill(shape=shape, value=np.float32(2.5)),
            mb.fill_like(ref_tensor=x, value=np.int32(7)),
            mb.shape(x=x),
            mb.range_1d(start=np.float32(1), end=np.float32(2), step=np.float32(0.3)),
        )

    inputs = {"x": X, "shape": np.array([2, 1], np.int32)}
    bench.check(build, inputs, [[2.5], [2.5]], np.full((2, 3, 4), 7), [2, 3, 4], [1.0, 1.3, 1.6, 1.9])


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(bench, axis):
    indices = np.array([[0, 2], [1, 5]], np.int32)
    expected = np.full((2, 2, 3), -1.0)
    for i, j in ((0, 0), (0, 1), (1, 0)):
        expected[i, j, indices[i, j]] = 4.0

    def build(indices):
        return mb.one_hot(
            indices=indices, one_hot_vector_size=3, axis=axis, on_value=np.float32(4), off_value=np.float32(-1)
        )

    bench.check(build, {"indices": indices}, np.moveaxis(expected, -1, axis))


def test_non_zero(bench):
    bench.check(lambda x: mb.non_zero(x=x), {"x": np.float32([[0, 2], [-1, 0], [0, 3]])}, [[0, 1], [1, 0], [2, 1]])


@pytest.mark.parametrize(
    ("mode", "row"),
    [("constant", [5, 1, 2, 3, 5, 5]), ("reflect", [2, 1, 2, 3, 2, 1]), ("replicate", [1, 1, 2, 3, 3, 3])],
)
def test_pad(bench, mode, row):
    bench.check(
        lambda x: mb.pad(x=x, pad=[1, 2], mode=mode, constant_val=np.float32(5)), {"x": np.float32([[1, 2, 3]])}, [row]
    )


def test_order(bench):
    x = np.float32([[3, -1, 7, 2], [0, 9, -5, 4]])

    def build(x):
        return (
            mb.argsort(x=x, axis=-1),
            mb.argsort(x=x, axis=0, ascending=True),
            *mb.topk(x=x, k=2, axis=1),
            *mb.topk(x=x, k=3, axis=1, ascending=True),
        )

    bench.check(
        build, {"x": x}, [[2, 0, 3, 1], [1, 3, 0, 2]], [[1, 0, 1, 0], [0, 1, 0, 1]], [[7, 3], [9, 4]], [[2, 0], [1, 3]],
        [[-1, 2, 3], [-5, 0, 4]], [[1, 3, 0], [2, 0, 3]],
    )  # fmt: skip


def test_ties_are_said_to_be_undocumented(bench):
    result = bench.run(lambda x: mb.argsort(x=x, ascending=True), {"x": np.float32([2, 1, 2])})
    assert next(iter(result.outputs.values())).tolist() == [1, 0, 2]
    assert [d.kind for d in result.diagnostics] == ["undocumented"]


def test_gathers(bench):
    def build(x):
        return (
            mb.gather(x=x, indices=np.int32([[2, 0], [1, 1]]), axis=1),
            mb.gather(x=x, indices=np.int32([[3], [0]]), axis=2, batch_dims=1),
            mb.gather_along_axis(x=x, indices=np.int32([[[1, 0, 2, 1]], [[0, 0, 0, 2]]]), axis=1),
            mb.gather_nd(x=x, indices=np.int32([[1, 2], [0, 0]])),
            mb.gather_nd(x=x, indices=np.int32([[1], [0]]), batch_dims=1),
        )

    bench.check(
        build,
        {"x": X},
        X[:, [[2, 0], [1, 1]]],
        np.stack([X[0, :, [3]].T, X[1, :, [0]].T]),
        np.float32(
            [[[X[0, 1, 0], X[0, 0, 1], X[0, 2, 2], X[0, 1, 3]]], [[X[1, 0, 0], X[1, 0, 1], X[1, 0, 2], X[1, 2, 3]]]]
        ),
        [X[1, 2], X[0, 0]],
        [X[0, 1], X[1, 0]],
    )


def test_negative_index_depends_on_the_opset(bench):
    def build(x, i):
        return mb.gather(x=x, indices=i, axis=0)

    inputs = {"x": X, "i": np.array([-1], np.int32)}
    old, new = bench.run(build, inputs, opset="iOS16"), bench.run(build, inputs, opset="iOS18")
    assert not old.diagnostics
    assert [d.kind for d in new.diagnostics] == ["index_out_of_range"]
    for result in (old, new):
        np.testing.assert_array_equal(next(iter(result.outputs.values())), X[-1:])


COMBINE = {
    "update": lambda a, b: b,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "max": max,
    "min": min,
}


@pytest.mark.parametrize("mode", COMBINE)
def test_scatters(bench, mode):
    data, updates = np.arange(1, 13, dtype=np.float32).reshape(3, 4), np.float32([[9, -2, 4, 8], [2, 30, 5, 0.5]])
    rows, along, nd = data.copy(), data.copy(), data.copy()
    for i, row in enumerate((2, 0)):
        for j in range(4):
            rows[row, j] = COMBINE[mode](data[row, j], updates[i, j])
    index = [[0, 1, 2, 0], [2, 0, 1, 1]]
    for i, j in np.ndindex(2, 4):
        along[index[i][j], j] = COMBINE[mode](data[index[i][j], j], updates[i, j])
    for (i, j), value in (((0, 3), 9.0), ((2, 1), -2.0)):
        nd[i, j] = COMBINE[mode](data[i, j], np.float32(value))

    def build(data, updates):
        return (
            mb.scatter(data=data, indices=np.int32([2, 0]), updates=updates, axis=0, mode=mode),
            mb.scatter_along_axis(data=data, indices=np.int32(index), updates=updates, axis=0, mode=mode),
            mb.scatter_nd(data=data, indices=np.int32([[0, 3], [2, 1]]), updates=np.float32([9, -2]), mode=mode),
        )

    bench.check(build, {"data": data, "updates": updates}, rows, along, nd)


def test_duplicate_indices_are_noted_and_accumulate(bench):
    def build(x):
        return mb.scatter(data=x, indices=np.int32([1, 1]), updates=np.float32([10, 100]), axis=0, mode="add")

    result = bench.run(build, {"x": np.float32([1, 2])})
    assert next(iter(result.outputs.values())).tolist() == [1, 112]
    assert [d.kind for d in result.diagnostics] == ["duplicate_index"]


def test_a_scalar_has_no_axis_to_sort_along(bench):
    result = bench.run(lambda x: mb.argsort(x=mb.squeeze(x=x)), {"x": np.float32([3.5])})
    assert [v.ravel().tolist() for v in result.outputs.values()] == [[0]]
    assert [d.detail for d in result.diagnostics] == ["argsort of a scalar"]
