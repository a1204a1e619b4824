import pytest

from harness.publish.naming import (
    RecipeName,
    group_by_packet,
    is_operator_case,
    may_fill,
    operators_of,
    packet_of,
    parse_recipe,
    same_operator,
    short_operator,
    subject,
    system_name,
    without_kernel,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fp16-ios18", RecipeName("fp16", "ios18", "")),
        ("fp16-ios17-pt2e-int8", RecipeName("fp16", "ios17", "pt2e-int8")),
    ],
)
def test_parse_recipe(text, name):
    assert parse_recipe(text) == name


@pytest.mark.parametrize(
    ("named", "in_graph", "same"),
    [
        ("aten.gelu.default", "aten.gelu.default", True),
        ("aten.gelu", "aten.gelu.default", True),
        ("aten.permute.default", "aten.permute_copy.default", True),
        ("aten.permute_copy.default", "aten.permute.default", False),
        ("aten.add.Scalar", "aten.add.Tensor", False),
        ("aten.add.Tensor", "aten.addmm.default", False),
        ("aten.add.Tensor", "quantized.add.Tensor", False),
    ],
)
def test_same_operator(named, in_graph, same):
    assert same_operator(named, in_graph) is same
    if same:
        assert packet_of(named) == packet_of(in_graph)  # what makes looking them up by packet complete


def test_group_by_packet():
    assert group_by_packet(["aten.view_copy.default", "aten.add.Tensor", "aten.add.Scalar"]) == {
        "aten.view": {"aten.view_copy.default"},
        "aten.add": {"aten.add.Tensor", "aten.add.Scalar"},
    }


@pytest.mark.parametrize(
    ("operator", "short"),
    [("aten.gelu.default", "gelu"), ("aten.add.Tensor", "add.Tensor"), ("quantized.add.default", "quantized.add")],
)
def test_short_operator(operator, short):
    assert short_operator(operator) == short


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


def test_operator_cases(record):
    assert is_operator_case(record())
    assert not is_operator_case(record(case="models/vit/float32"))
    assert not is_operator_case(record(case="state/total/float32/seed-0"))
    assert not is_operator_case(record(case="check/mine/f"))
    assert not is_operator_case(record(op="a.b", api="").with_(op=""))


def test_subject(record):
    assert subject(record()) == "aten.gelu.default"
    assert subject(record().with_(op="")) == "gelu"
    assert subject(record(case="models/vit/float32")) == "vit"
    assert subject(record(case="state/total/float32/seed-0")) == "state/total"
    assert subject(record(case="check/mine/f").with_(op="", api="")) == "check/mine"


@pytest.mark.parametrize(
    ("unit", "environment", "may"),
    [
        ("reference", {"os": "linux 6"}, True),
        ("cpu_only", {"os": "linux 6"}, False),
        ("cpu_only", {"os": "macos 15.2"}, True),
        ("cpu_only", {"os": "macos 15.2", "simulated": True}, False),
        ("reference", {"os": "macos 15.2", "simulated": True}, False),
        ("cpu_only", None, False),
    ],
)
def test_may_fill(unit, environment, may):
    assert may_fill(unit, environment) is may


def test_system_name_keeps_the_macos_release_only():
    assert system_name({"os": "macos 15.2"}) == "macos 15.2"
    assert system_name({"os": "linux 6.1.0-custom"}) == "linux"
    assert system_name({}) == ""
