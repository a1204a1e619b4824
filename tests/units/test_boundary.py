import numpy as np
import pytest
import torch

from harness.evidence.notes import Note, NoteCode
from harness.lowering.program import TensorSpec
from harness.units.base import Feature
from harness.units.boundary import from_feature, to_feature

#: What a program declares for a torch input, at the fp16 recipe and target iOS17 or later.
DECLARED = [
    (torch.float32, "float32"),
    (torch.float64, "float32"),
    (torch.float16, "float16"),
    (torch.bfloat16, "float32"),
    (torch.bool, "float32"),
    (torch.int16, "int32"),
    (torch.int32, "int32"),
    (torch.int64, "int32"),
]


def feature(dtype, shape=(2, 3)):
    return Feature("x", dtype, shape)


@pytest.mark.parametrize(("torch_dtype", "declared"), DECLARED)
def test_a_tensor_becomes_an_array_of_the_declared_type_and_comes_back(torch_dtype, declared):
    tensor = torch.tensor([[0, 1, 2], [3, 100, 5]]).to(torch_dtype)
    array, notes = to_feature(tensor, feature(declared))
    assert array.dtype == np.dtype(declared)
    assert array.shape == (2, 3)
    assert notes == []
    assert array.tolist() == tensor.double().tolist()
    spec = TensorSpec(str(torch_dtype).removeprefix("torch."), (2, 3))
    back, notes = from_feature(array, spec, "y")
    assert notes == []
    assert back.dtype is torch_dtype
    assert torch.equal(back, tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3),
        torch.arange(6.0).reshape(3, 2).T,
        torch.arange(12.0).reshape(2, 6)[:, ::2],
        torch.arange(3.0).expand(2, 3),
        torch.arange(6.0).reshape(2, 3).requires_grad_(),
    ],
    ids=["plain", "transposed", "strided", "broadcast", "with gradient"],
)
def test_the_array_is_fresh_contiguous_and_writable(tensor):
    """Core ML reads the caller's memory and mishandles strides, so the array must be nobody else's."""
    array, _ = to_feature(tensor, feature("float32"))
    assert array.flags["C_CONTIGUOUS"]
    assert array.flags["WRITEABLE"]
    before = tensor.detach().clone()
    assert array.tolist() == before.tolist()
    array[...] = -1
    assert torch.equal(tensor.detach(), before)


def test_a_scalar_is_an_array_of_one():
    array, _ = to_feature(torch.tensor(2.5), feature("float32", (1,)))
    assert (array.shape, array.tolist()) == ((1,), [2.5])
    back, _ = from_feature(array, TensorSpec("float32", ()), "y")
    assert back.shape == ()
    assert back.item() == 2.5


@pytest.mark.parametrize(("value", "declared"), [(3, "int32"), (2.5, "float32"), (True, "float32")])
def test_a_python_number_is_a_feature_too(value, declared):
    array, notes = to_feature(value, feature(declared, (1,)))
    assert (array.tolist(), array.dtype, notes) == ([value], np.dtype(declared), [])


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3)])
def test_an_empty_tensor_keeps_its_shape(shape):
    array, notes = to_feature(torch.empty(shape), feature("float32", shape))
    assert array.shape == shape
    back, _ = from_feature(array, TensorSpec("float32", shape), "y")
    assert (back.shape, notes) == (shape, [])


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**62])
def test_an_integer_beyond_int32_is_noted(value):
    array, (note,) = to_feature(torch.tensor([1, value]), feature("int32", (2,)))
    assert note == Note(NoteCode.INPUT_CHANGED, "input x: int64 to int32 changed a value")
    assert array[0] == 1
    assert array[1] != value


@pytest.mark.parametrize("value", [2**31 - 1, -(2**31)])
def test_the_ends_of_int32_go_through(value):
    array, notes = to_feature(torch.tensor([value]), feature("int32", (1,)))
    assert (array.tolist(), notes) == ([value], [])


def test_special_values_go_through_as_floats():
    tensor = torch.tensor([float("inf"), float("-inf"), float("nan"), -0.0, 65504.0, 1e30])
    array, _ = to_feature(tensor, feature("float16", (6,)))
    assert np.array_equal(array, np.array([np.inf, -np.inf, np.nan, -0.0, 65504, np.inf], np.float16), equal_nan=True)
    assert np.signbit(array[3])


@pytest.mark.parametrize("shape", [(1,), (2, 3), (1, 1)])
def test_a_wrong_shape_is_left_for_the_verdict_to_see(shape):
    back, _ = from_feature(np.zeros(shape, np.float32), TensorSpec("float32", (7,)), "y")
    assert back.shape == shape
    if shape != (1,):
        assert from_feature(np.zeros(shape, np.float32), TensorSpec("float32", ()), "y")[0].shape == shape


@pytest.mark.parametrize("value", [0.5, -1.25, 1e30, float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_a_float_that_is_no_such_integer_is_noted(value, dtype):
    _, (note,) = from_feature(np.array([1.0, value], np.float32), TensorSpec(dtype, (2,)), "y")
    assert note == Note(NoteCode.OUTPUT_LOST, f"output y: torch.float32 to torch.{dtype} lost a value")


@pytest.mark.parametrize(("value", "dtype"), [(40_000, "int16"), (300, "uint8"), (-1, "uint8"), (128, "int8")])
def test_an_integer_beyond_the_declared_type_is_noted(value, dtype):
    _, (note,) = from_feature(np.array([value], np.int32), TensorSpec(dtype, (1,)), "y")
    assert note == Note(NoteCode.OUTPUT_LOST, f"output y: torch.int32 to torch.{dtype} lost a value")


def test_whole_floats_become_integers_silently():
    back, notes = from_feature(np.array([1.0, -2.0], np.float16), TensorSpec("int64", (2,)), "y")
    assert (back.tolist(), back.dtype, notes) == ([1, -2], torch.int64, [])


def test_any_number_but_zero_is_true():
    back, notes = from_feature(np.array([0.0, 1.0, 0.5, -0.0], np.float32), TensorSpec("bool", (4,)), "y")
    assert (back.tolist(), notes) == ([False, True, True, False], [])


def test_without_a_declaration_the_value_stays_as_it_came():
    back, notes = from_feature(np.array([1.5], np.float16), None, "y")
    assert (back.dtype, back.tolist(), notes) == (torch.float16, [1.5], [])


def test_a_read_only_or_strided_result_is_copied():
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    array.flags.writeable = False
    back, _ = from_feature(array, TensorSpec("float32", (3, 2)), "y")
    back.add_(1)
    assert back.is_contiguous()
    assert array[0, 0] == 0
