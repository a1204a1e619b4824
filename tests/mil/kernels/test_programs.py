"""Control flow, lists, states, compressed constants, quantisation, random numbers, classifiers."""

from __future__ import annotations

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from harness.mil import InputError, load
from harness.mil.context import Context
from harness.mil.kernels import KERNELS


def test_cond_takes_one_branch(bench):
    def build(x):
        large = mb.greater(x=mb.squeeze(x=x), y=np.float32(0))
        return mb.cond(
            pred=large, _true_fn=lambda: mb.mul(x=x, y=np.float32(2)), _false_fn=lambda: mb.sub(x=x, y=np.float32(1))
        )

    bench.check(build, {"x": np.float32([3])}, [6])
    bench.check(build, {"x": np.float32([-3])}, [-4])


def test_while_loop_counts(bench):
    def build(x):
        return mb.while_loop(
            _cond=lambda i, total: mb.less(x=mb.squeeze(x=i), y=np.float32(5)),
            _body=lambda i, total: (mb.add(x=i, y=np.float32(1)), mb.add(x=total, y=i)),
            loop_vars=(x, mb.mul(x=x, y=np.float32(0))),
        )

    bench.check(build, {"x": np.float32([1])}, [5], [1 + 2 + 3 + 4])


def test_lists(bench):
    def build(x):
        empty = mb.make_list(init_length=2, elem_shape=(2,), dtype="fp32", dynamic_length=False)
        one = mb.list_write(ls=empty, index=0, value=x)
        both = mb.list_scatter(ls=one, indices=[1], value=np.float32([[7, 8]]))
        return mb.list_read(ls=both, index=1), mb.list_gather(ls=both, indices=[1, 0]), mb.list_length(ls=both)

    bench.check(build, {"x": np.float32([1, 2])}, [7, 8], [[7, 8], [1, 2]], [2])


def _stateful(bench):
    @mb.program(
        input_specs=[mb.TensorSpec((2,), dtype=types.fp16), mb.StateTensorSpec((2,), dtype=types.fp16)],
        opset_version=ct.target.iOS18,
    )
    def program(x, memory):
        return mb.coreml_update_state(state=memory, value=mb.add(x=mb.read_state(input=memory), y=x))

    return load(bench.save(program))


def test_state_accumulates_and_is_the_callers(bench):
    model = _stateful(bench)
    x = np.float16([1, 2])
    first, second = model.make_state(), model.make_state()
    (name,) = first
    for expected in ([1, 2], [2, 4]):
        assert next(iter(model({"x": x}, state=first).values())).tolist() == expected
    assert first[name].tolist() == [2, 4]
    assert second[name].tolist() == [0, 0]
    with pytest.raises(InputError, match="state"):
        model({"x": x})


def test_quantize_and_dequantize(bench):
    x = np.float32([[-10, -0.75, 0.25, 0.75], [100, 1, 2, 3]])

    def build(x):
        kwargs = {"scale": np.float32([0.5, 0.25]), "zero_point": np.int8([1, -2]), "axis": 0}
        q = mb.quantize(input=x, output_dtype="int8", **kwargs)
        return q, mb.dequantize(input=q, **kwargs)

    integers = np.array([[-19, -1, 1, 3], [127, 2, 6, 10]])  # -0.75 / 0.5 and 0.75 / 0.5 are ties: to even
    bench.check(build, {"x": x}, integers, [(integers[0] - 1) * 0.5, (integers[1] + 2) * 0.25])


def kernel(name, **arguments):
    return KERNELS[name].function(Context("wide"), **arguments)


def test_blockwise_shift_scale_of_int4(bench):
    int4 = types.type_mapping.np_int4_dtype if hasattr(types.type_mapping, "np_int4_dtype") else types.np_int4_dtype
    data = np.arange(-8, 8, dtype=np.int8).reshape(2, 8)
    scale, offset = np.float32([[0.5, 2.0], [1.0, 0.25]]), np.int8([[1, 0], [-3, 2]])

    def build(x):
        w = mb.constexpr_blockwise_shift_scale(data=data.astype(int4), scale=scale, offset=offset.astype(int4))
        return mb.add(x=x, y=w)

    expected = np.array(
        [[scale[i, j // 4] * (int(data[i, j]) - int(offset[i, j // 4])) for j in range(8)] for i in range(2)]
    )
    bench.check(build, {"x": np.zeros((2, 8), np.float32)}, expected)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
def test_sub_byte_weights_in_the_weight_file(bench, rng, bits):
    dtype = getattr(types.type_mapping, f"np_uint{bits}_dtype")
    indices = rng.integers(0, 2**bits, (64, 33)).astype(np.uint8)
    lut = rng.standard_normal((2, 1, 2**bits, 1), np.float32)

    def build(x):
        return mb.add(x=x, y=mb.constexpr_lut_to_dense(indices=indices.astype(dtype), lut=lut))

    expected = np.array([[lut[i // 32, 0, k, 0] for k in row] for i, row in enumerate(indices)])
    bench.check(build, {"x": np.zeros((64, 33), np.float32)}, expected)


def test_lut_example_of_the_documentation():
    indices = np.uint8([[2, 3], [3, 0], [1, 0], [3, 0], [2, 1], [0, 3]])
    lut = np.float16([1, 5, 9, 13, 2, 10, 18, 26]).reshape(2, 1, 4, 1)
    dense = kernel("constexpr_lut_to_dense", indices=indices, lut=lut)
    assert dense.tolist() == [[9, 13], [13, 1], [5, 1], [26, 2], [18, 10], [2, 26]]


def test_vector_lut_example_of_the_documentation():
    indices = np.uint8([[[0, 0], [1, 0]], [[1, 1], [0, 0]]])
    lut = np.float16([[1, 2, 3], [4, 5, 6]]).reshape(1, 1, 1, 2, 3)
    by_rows = kernel("constexpr_lut_to_dense", indices=indices, lut=lut, vector_axis=1)
    by_columns = kernel("constexpr_lut_to_dense", indices=indices, lut=lut, vector_axis=2)
    assert by_rows[0].tolist() == [[1, 1], [2, 2], [3, 3], [4, 1], [5, 2], [6, 3]]
    assert by_columns[0].tolist() == [[1, 2, 3, 1, 2, 3], [4, 5, 6, 1, 2, 3]]


def test_packed_constants_of_ios16(bench):
    mask = np.packbits([0, 0, 1, 1, 0, 1], bitorder="little")

    def build(x):
        sparse = mb.constexpr_sparse_to_dense(nonzero_data=np.float32([5, 6, 7]), mask=mask, shape=np.uint32([2, 3]))
        lut = mb.constexpr_lut_to_dense(
            indices=np.uint8([0b11_10_01_00, 0b00_00_00_11]), lut=np.float32([10, 20, 30, 40]), shape=np.uint32([5])
        )
        affine = mb.constexpr_affine_dequantize(
            quantized_data=np.uint8([[1, 2], [3, 4]]), zero_point=np.uint8([1, 2]), scale=np.float32([2, 3]), axis=0
        )
        return mb.add(x=x, y=sparse), mb.mul(x=lut, y=np.float32(1)), mb.mul(x=affine, y=np.float32(1))

    expected = ([[0, 0, 5], [6, 0, 7]], [10, 20, 30, 40, 40], [[0, 2], [3, 6]])
    bench.check(build, {"x": np.zeros((2, 3), np.float32)}, *expected, opset="iOS16")


def test_sparse_examples_of_the_documentation():
    mask = np.uint8([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1], [0, 1, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0]])
    codes, lut = np.uint8([0, 1, 1, 0, 1, 1, 0, 0, 1]), np.float16([2, 3]).reshape(1, 1, 2, 1)
    same, values = kernel("constexpr_lut_to_sparse", indices_mask=mask, indices_nonzero_data=codes, lut=lut)
    assert (same == mask).all()
    assert values.tolist() == [2, 3, 3, 2, 3, 3, 2, 2, 3]
    mask = np.uint8([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]])
    _, values = kernel(
        "constexpr_sparse_blockwise_shift_scale",
        data_mask=mask,
        nonzero_data=np.int8([10, 11, 3, 4, 5, 6, 7, 8, 9]),
        scale=np.float32([[0.1, 0.2, 0.3, 0.4]]),
        offset=np.int8([[1, 2, 3, 4]]),
    )
    np.testing.assert_allclose(values, [0.9, 1.8, 0.2, 0.4, 0.6, 0.9, 1.2, 0.7, 1.4], rtol=1e-6)


def test_random_operators_have_their_range_and_say_so(bench):
    def build(x):
        return (
            mb.random_uniform(shape=[200], low=np.float32(2), high=np.float32(3)),
            mb.random_normal(shape=[400], mean=np.float32(5), stddev=np.float32(0.5)),
            mb.random_bernoulli(shape=[400], prob=np.float32(0.25)),
            mb.random_categorical(x=x, mode="probs", size=300),
        )

    result = bench.run(build, {"x": np.float32([[0.0, 0.5, 0.5]])})
    uniform, normal, bernoulli, categorical = result.outputs.values()
    assert uniform.min() >= 2
    assert uniform.max() < 3
    assert abs(normal.mean() - 5) < 0.2
    assert set(bernoulli.tolist()) == {0.0, 1.0}
    assert 0.1 < bernoulli.mean() < 0.4
    assert set(categorical.reshape(-1).tolist()) == {1.0, 2.0}
    assert [d.kind for d in result.diagnostics] == ["random"] * 4


def test_classifier():
    label, table = kernel("classify", probabilities=np.float32([[0.1, 0.7, 0.2]]), classes=("a", "b", "c"))
    assert label == "b"
    assert table == {"a": pytest.approx(0.1), "b": pytest.approx(0.7), "c": pytest.approx(0.2)}
