import pytest

from harness.evidence.record import Numerics
from harness.publish.graphs import graph_of, nothing_compared, operators_of, without_kernel


def test_operators_of_leaves_python_functions_out():
    assert operators_of({"operator.getitem": 3, "aten.topk.default": 1}) == {"aten.topk.default": 1}


@pytest.mark.parametrize(
    ("fallback", "kernel", "operator"),
    [
        ("aten.asinh.default", "aten::asinh.out", "aten.asinh.default"),
        ("aten.add.Tensor", "aten::add.out", "aten.add.Tensor"),
        ("aten.permute.default", "aten::permute_copy.out", "aten.permute.default"),
        ("aten.sin.default", "aten::cos.out", "aten::cos.out"),
    ],
)
def test_a_missing_kernel_is_put_down_to_its_operator(record, fallback, kernel, operator):
    assert without_kernel(record(outcome="fallback", fallback={fallback: 1}, missing_kernels=[kernel])) == {operator}


def test_a_missing_kernel_of_one_overload_is_not_put_down_to_another(record):
    fallback = {"aten.pow.Tensor_Scalar": 1, "aten.pow.Scalar": 1}
    one = record(outcome="fallback", fallback=fallback, missing_kernels=["aten::pow.Tensor_Scalar_out"])
    assert without_kernel(one) == {"aten.pow.Tensor_Scalar"}


def test_a_graph_is_what_was_delegated_and_what_was_not(record):
    one = record(delegated={"aten.b.default": 1}, fallback={"aten.a.default": 2, "operator.getitem": 1})
    assert graph_of(one) == ["aten.a.default", "aten.b.default"]


def test_empty_outputs_show_no_value(record):
    assert nothing_compared(record(numerics=Numerics("EXACT")))
    assert not nothing_compared(record(numerics=Numerics("EXACT", limit=0.0, worst=0.0)))
    assert not nothing_compared(record("aten.a.default", "wrong_shape", numerics=Numerics("EXACT")))
    assert not nothing_compared(record())
