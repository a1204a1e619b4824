import pytest

from harness.cases.alternatives import BY_NAME, alternatives
from harness.cases.calls import Name, TensorSpec

FIRST = TensorSpec("float32", (2, 4, 6))


@pytest.mark.parametrize(
    ("name", "kind", "value", "among"),
    [
        ("keepdim", "bool", False, [True]),
        ("approximate", "str", "none", ["tanh"]),
        ("rounding_mode", "str?", "floor", ["trunc", None]),
        ("dim", "int", 1, [-1, 0, -3]),
        ("dim", "int[]?", [1], [[0], [-1], [0, 1, 2], [], None]),
        ("permute", "int[]", [0, 2, 1], []),
        ("dims", "int[]", [0, 2, 1], [[2, 1, 0], [0, -1], [2, 1, 0]]),
        ("stride", "int[]", [1, 1], [[2, 2], [4, 4], [], [1, 2], [2, 1]]),
        ("kernel_size", "int[]", [2], [[6], [1], [3]]),
        ("padding", "str", "valid", ["same"]),
        ("dtype", "ScalarType?", None, [Name("float16"), Name("int32"), Name("bool")]),
        ("eps", "float", 1e-5, [1e-3]),
        ("anything", "number", 1, [2, 0.5, -1.5]),
        ("size", "int[]", [2, 4, 6], [[-1, 4, 6], [1, 2, 4, 6]]),
    ],
)
def test_what_is_tried(name, kind, value, among):
    found = alternatives(name, kind, value, [FIRST])
    assert all(wanted in found for wanted in among)
    assert value not in found


def test_an_absent_weight_is_tried_in_the_shapes_of_weights():
    shapes = {t.shape for t in alternatives("weight", "Tensor?", None, [FIRST])}
    assert {(4,), (6,), (2,), (), (2, 4, 6)} <= shapes


def test_a_present_optional_tensor_is_left_out_and_a_required_one_is_not():
    assert alternatives("bias", "Tensor?", FIRST, [FIRST]) == [None]
    assert alternatives("other", "Tensor", FIRST, [FIRST]) == []


def test_a_bool_is_no_integer():
    assert not any(isinstance(v, bool) for v in alternatives("k", "int", 0, [FIRST]))


def test_rows_are_not_of_one_value():
    assert all(row for row in BY_NAME.values())
