from __future__ import annotations

import numpy as np
import pytest

from harness.mil.types import BITS, NUMPY, TensorType, decode, name_of, numpy_dtype, unpack_bits


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
def test_unpacking_is_least_significant_bit_first(bits):
    values = [i % (1 << bits) for i in range(1, 20)]
    number = sum(v << (bits * i) for i, v in enumerate(values))  # one big little-endian integer
    packed = np.frombuffer(number.to_bytes((bits * len(values) + 7) // 8, "little"), np.uint8)
    assert unpack_bits(packed, bits, len(values)).tolist() == values


def test_unpacking_too_few_bytes():
    with pytest.raises(ValueError, match="cannot hold"):
        unpack_bits(np.zeros(1, np.uint8), 4, 3)


def test_int4_is_twos_complement():
    assert decode(np.uint8([0x8F, 0x70]), "int4", 4).tolist() == [-1, -8, 0, 7]


@pytest.mark.parametrize("name", [n for n in NUMPY if BITS[n] >= 8])
def test_whole_bytes_are_viewed_in_place(name):
    values = np.array([0, 1, 1], NUMPY[name])
    raw = values.view(np.uint8)
    decoded = decode(raw, name, 3)
    assert decoded.dtype == NUMPY[name]
    assert decoded.tolist() == values.tolist()
    assert np.shares_memory(raw, decoded)


def test_names():
    assert name_of(np.dtype(np.float16)) == "fp16"
    assert name_of(np.dtype(np.bool_)) == "bool"
    assert numpy_dtype("float16") == numpy_dtype("fp16") == np.float16
    with pytest.raises(ValueError, match="complex"):
        numpy_dtype("complex64")


@pytest.mark.parametrize(
    ("declared", "shape", "accepted"),
    [((2, 3), (2, 3), True), ((2, 3), (3, 2), False), ((2, None), (2, 9), True), ((2, None), (2,), False),
     (None, (1, 2, 3), True), ((), (), True), ((), (1,), False)],
)  # fmt: skip
def test_declared_shapes(declared, shape, accepted):
    assert TensorType("fp32", declared).accepts_shape(shape) is accepted


def test_types_print_as_a_reader_expects():
    assert str(TensorType("fp16", (1, None))) == "fp16[1, ?]"
    assert str(TensorType("fp16", None)) == "fp16[...]"
