import pytest

from harness.cases import axes
from harness.cases.axes import AXES, Parameter, label_of, replaced, variants
from harness.cases.calls import TensorSpec, parse

T = Parameter("self", "Tensor", False)
OTHER = Parameter("other", "Tensor", False)
ADD = (T, OTHER, Parameter("alpha", "number", True, 1, True))
SUM = (T, Parameter("dim", "int[]?", False), Parameter("keepdim", "bool", True, False))
CONV = (
    Parameter("input", "Tensor", False),
    Parameter("weight", "Tensor", False),
    Parameter("bias", "Tensor?", True, None),
    Parameter("stride", "int[]", True, [1, 1]),
    Parameter("groups", "int", True, 1),
)
add = parse("aten.add.Tensor(float32(2, 3), float32(2, 3))")
conv = parse("aten.conv2d.default(float32(1, 4, 6, 6), float32(8, 4, 3, 3), float32(8))")


def labelled(axis, call, signature):
    return {label: str(variant) for label, variant in getattr(axes, axis)(call, signature)}


def test_an_option_is_set_where_it_stands_and_by_keyword_where_it_does_not():
    call = parse("aten.sum.dim_IntList(float32(2, 3), [1])")
    assert str(replaced(call, SUM, "dim", [0])) == "aten.sum.dim_IntList(float32(2, 3), [0])"
    assert str(replaced(call, SUM, "keepdim", True)) == "aten.sum.dim_IntList(float32(2, 3), [1], keepdim=True)"


def test_every_optional_argument_is_moved_from_its_default():
    found = labelled("options", conv, CONV)
    assert {label.partition("=")[0] for label in found} == {"bias", "stride", "groups"}
    assert found["bias=None"] == "aten.conv2d.default(float32(1, 4, 6, 6), float32(8, 4, 3, 3), None)"
    assert "stride=[2, 2]" in found["stride=2x2"]


def test_dims_are_tried_from_the_back_as_well_and_all_at_once():
    found = labelled("options", parse("aten.sum.dim_IntList(float32(2, 3), [1])"), SUM)
    assert {"dim=0", "dim=-1", "dim=-2", "dim=0x1", "dim=empty", "dim=None", "keepdim=True"} <= set(found)


def test_pairs_set_both_options():
    found = labelled("option_pairs", conv, CONV)
    assert found["stride=2x2,groups=2"].endswith("groups=2, stride=[2, 2])")
    assert all(label.count("=") == 2 for label in found)


def test_the_same_number_as_int_float_and_bool():
    found = labelled("scalars", add, ADD)
    assert {"alpha=2", "alpha=2.0", "alpha=True", "alpha=-1"} <= set(found)


def test_dtypes_change_all_then_one():
    found = labelled("dtypes", add, ADD)
    assert found["int32"] == "aten.add.Tensor(int32(2, 3), int32(2, 3))"
    assert found["tensor1-int32"] == "aten.add.Tensor(float32(2, 3), int32(2, 3))"


def test_ranks_from_0_to_6():
    found = labelled("ranks", add, ADD)
    assert sorted(found) == ["rank0", "rank1", "rank3", "rank4", "rank5", "rank6"]
    assert found["rank0"] == "aten.add.Tensor(float32(), float32())"


def test_broadcasting_in_every_position():
    found = labelled("broadcasts", add, ADD)
    assert set(found) == {f"tensor{n}-{kind}" for n in (0, 1) for kind in ("ones", "row", "column", "scalar")}


def test_kernels_as_large_as_the_input_and_depthwise():
    found = labelled("geometry", conv, CONV)
    assert "float32(8, 4, 6, 6)" in found["kernel=input"]
    assert found["kernel=multiplier"].endswith("float32(8, 1, 3, 3), float32(8), groups=4)")
    assert found["kernel=depthwise"].endswith("float32(4, 1, 3, 3), float32(4), groups=4)")


def test_value_sets_lengthen_what_is_too_short_for_them():
    found = labelled("values", add, ADD)
    assert found["values-ladder"] == (
        "aten.add.Tensor(float32(2, 12, values='ladder'), float32(2, 12, values='ladder'))"
    )
    assert "values='quadrants0'" in found["values-quadrants"]
    integers = labelled("values", parse("aten.add.Tensor(int64(2, 3), int64(2, 3))"), ADD)
    assert set(integers) == {"values-int15", "values-int24", "values-int31", "values-beyond31"}


def test_each_tensor_as_a_constant_but_never_all():
    found = labelled("constants", conv, CONV)
    assert set(found) == {"tensor0-constant", "tensor1-constant", "tensor2-constant", "constants"}
    assert all(any(not t.constant for t in parse(text).tensors()) for text in found.values())


def test_batches_change_all_that_share_the_leading_size():
    found = labelled("batches", add, ADD)
    assert found["batch9"] == "aten.add.Tensor(float32(9, 3), float32(9, 3))"


@pytest.mark.parametrize("axis", sorted(AXES))
def test_an_axis_has_nothing_to_say_to_a_call_without_tensors_or_options(axis):
    assert list(AXES[axis](parse("aten.x.y()"), ())) == []


def test_variants_are_all_different_and_labels_fit_in_an_id():
    found = list(variants(conv, CONV))
    assert len({str(call) for _, _, call in found}) == len(found)
    assert len({label for _, label, _ in found}) == len(found)
    assert not any(set(label) & set(" @/[]'\"") for _, label, _ in found)
    assert str(conv) not in {str(call) for _, _, call in found}


def test_labels():
    assert [label_of(v) for v in ([], [1, -1], TensorSpec("bool", (2, 3)), TensorSpec("bool", ()), "tanh")] == [
        "empty",
        "1x-1",
        "2x3tensor",
        "scalar-tensor",
        "tanh",
    ]
