import math

import pytest

from harness.cases.calls import Call, Name, TensorSpec, leaves, parse, read_calls, render
from harness.evidence.vocabulary import HarnessError

TEXTS = [
    "aten.add.Tensor(float32(2, 3), float32(3), alpha=2)",
    "aten.embedding.default(float32(10, 4), int64([[0, 3], [9, 1]]))",
    "aten.sum.dim_IntList(float32(2, 3, low=-1.5, high=2.0, values='ladder', layout='transposed'), [-1], True)",
    "aten.full.default([2, 3], -inf, dtype=float16)",
    "aten.cat.default([float32(), bool(0, 2, constant=True)], -1)",
    "aten.clone.default(float32(1, 2, 3, 4), memory_format=channels_last)",
    "aten.add.Tensor(complex64(2), complex64(2), alpha=(1+2j))",
    "aten.index.Tensor(float32(5, 4), [None, int64([0, 3])])",
    "quantized_decomposed.quantize_per_tensor.default(float32(2, 3), 0.05, 3, -128, 127, int8)",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_call_is_written_as_it_is_read(text):
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


def test_not_a_number_is_read_and_written():
    value = parse("aten.full.default([2], nan)").args[1]
    assert math.isnan(value)
    assert render(value) == "nan"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("aten.add.Tensor", "not a call"),
        ("aten.add.Tensor(", "not a call"),
        ("aten.add.Tensor(float32(2, -3))", "not a shape"),
        ("aten.add.Tensor(float33(2))", "not an argument"),
        ("aten.add.Tensor(float32(2, sort='x'))", "no option sort"),
        ("aten.add.Tensor(__import__('os'))", "not an argument"),
        ("aten.add.Tensor([i for i in x])", "not an argument"),
    ],
)
def test_what_is_no_call_is_named(text, says):
    with pytest.raises(HarnessError, match=says):
        parse(text)


def test_tensors_are_numbered_through_lists_and_keywords():
    call = parse("aten.x.y([float32(1), float32(2)], 3, mask=bool(4))")
    assert [t.shape for t in call.tensors()] == [(1,), (2,), (4,)]
    changed = call.change([1, 2], dtype="int32")
    assert [t.dtype for t in changed.tensors()] == ["float32", "int32", "int32"]
    assert call.tensors()[1].dtype == "float32"


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("aten.x.y(int32(1), float32(2))", "int32"),
        ("aten.full.default([2], 1, dtype=float16)", "float16"),
        ("aten.full.default([2], 1)", "float32"),
    ],
)
def test_a_call_is_of_its_first_tensors_dtype(text, dtype):
    assert parse(text).dtype == dtype


def test_a_table_has_comments_and_empty_lines():
    calls = read_calls("# head\n\naten.abs.default(float32(2))\n  # more\naten.neg.default(float32(2))\n")
    assert [call.op for call in calls] == ["aten.abs.default", "aten.neg.default"]


def test_leaves_of_nested_lists():
    assert list(leaves([1, [TensorSpec("bool", ()), [Name("strided")]]])) == [
        1,
        TensorSpec("bool", ()),
        Name("strided"),
    ]


def test_floating_dtypes():
    assert [TensorSpec(d, ()).is_floating for d in ("bfloat16", "float8_e5m2", "int8", "complex64")] == [
        True,
        True,
        False,
        False,
    ]
    assert Call("a.b.c").tensors() == []
