import math

import pytest
import torch

from harness.cases.calls import TensorSpec
from harness.cases.drawing import LAYOUTS, MADE, SETS, draw
from harness.evidence.vocabulary import HarnessError


def drawn(dtype="float32", shape=(4, 12), seed=0, **options):
    return draw(TensorSpec(dtype, shape, **options), torch.Generator().manual_seed(seed))


def same(a, b):
    return torch.equal(a.nan_to_num(7.0, 8.0, -8.0), b.nan_to_num(7.0, 8.0, -8.0))


@pytest.mark.parametrize("values", [*SETS, *MADE, ""])
def test_shape_dtype_and_repeatability_of_every_value_set(values):
    tensor = drawn(values=values)
    assert tensor.dtype == torch.float32
    assert tensor.shape == (4, 12)
    assert same(tensor, drawn(values=values))
    assert values in ("mask", "tiny") or not same(tensor, drawn(values=values, seed=1))


@pytest.mark.parametrize("values", [*SETS, *MADE, ""])
def test_values_are_on_the_fp16_grid(values):
    tensor = drawn(values=values).nan_to_num(0.0, 0.0, 0.0)
    if not values.startswith(("int", "beyond")):
        assert torch.equal(tensor, tensor.half().float())


@pytest.mark.parametrize("values", ["ladder", "special", "ties", "powers", "int15"])
def test_every_value_of_a_set_comes_up(values):
    expected = {v for v in SETS[values] if not math.isnan(v)}
    wide = drawn("float64", (len(SETS[values]),), values=values)
    seen = {v for v in wide.tolist() if not math.isnan(v)}
    # On the fp16 grid 0.001 and 0.1 are their neighbours.
    assert len(seen) == len({float(torch.tensor(v).half()) for v in expected})


def test_a_set_keeps_to_the_domain():
    tensor = drawn(values="ladder", low=0.25, high=4.0)
    assert tensor.min() >= 0.25
    assert tensor.max() <= 4.0


def test_range_of_uniform_draws():
    integers = drawn("int64", (200,), low=2, high=5)
    assert (integers.min(), integers.max()) == (2, 5)
    assert drawn("int32", (200,), low=0.25, high=4.0).min() == 1
    floats = drawn(low=0.25, high=1.0)
    assert floats.min() >= 0.25
    assert floats.max() <= 1.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "uint8", "int16", "bool", "complex64"])
def test_every_dtype_is_drawn(dtype):
    tensor = drawn(dtype)
    assert tensor.dtype == getattr(torch, dtype)
    assert len(set(tensor.flatten().tolist())) > 1


def test_two_tensors_meet_in_all_four_quadrants():
    one, other = drawn(values="quadrants0"), drawn(values="quadrants1", seed=1)
    signs = set(zip(one.sign().flatten().tolist(), other.sign().flatten().tolist(), strict=True))
    assert signs == {(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)}


def test_distinct_values_have_no_ties():
    tensor = drawn(values="distinct")
    assert len(tensor.unique()) == tensor.numel()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_changes_strides_and_no_value(layout):
    shape = {"channels_last_3d": (2, 3, 2, 4, 5)}.get(layout, (2, 3, 4, 5))
    plain, laid = drawn(shape=shape), drawn(shape=shape, layout=layout)
    assert laid.shape == plain.shape
    assert laid.stride() != plain.stride()
    if layout != "expanded":
        assert torch.equal(plain, laid)


def test_literal_data_is_taken_as_it_is():
    assert drawn("int64", (2,), data=(3, 70000)).tolist() == [3, 70000]


@pytest.mark.parametrize("options", [{"values": "nonsense"}, {"layout": "nonsense"}])
def test_unknown_names_are_refused(options):
    with pytest.raises(HarnessError, match=r"unknown .* 'nonsense': one of"):
        drawn(**options)


def test_an_empty_tensor_and_rank_0():
    assert drawn(shape=(0, 3), values="ladder").numel() == 0
    assert drawn(shape=(), values="ladder").shape == ()
