import doctest

import pytest

from harness.evidence import names
from harness.evidence.names import OpName, by_packet, same_operator


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("aten.gelu.default", OpName("aten", "gelu", "default")),
        ("aten::gelu", OpName("aten", "gelu")),
        ("torch.ops.aten.add_.Tensor", OpName("aten", "add_", "Tensor")),
        ("gelu", OpName("", "gelu")),
        ("", OpName("", "")),
    ],
)
def test_parse(text, name):
    assert OpName.parse(text) == name
    assert OpName.parse(str(name)) == name


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(names).failed == 0


@pytest.mark.parametrize(
    ("text", "is_operator"),
    [("aten.gelu.default", True), ("torch.conj", False), ("operator.getitem", False), ("gelu", False), ("", False)],
)
def test_what_is_an_operator(text, is_operator):
    assert OpName.parse(text).is_operator is is_operator


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
        assert OpName.parse(named).key == OpName.parse(in_graph).key  # what makes looking them up by packet complete


def test_by_packet():
    assert by_packet(["aten.view_copy.default", "aten.add.Tensor", "aten.add.Scalar"]) == {
        "aten.view": {"aten.view_copy.default"},
        "aten.add": {"aten.add.Tensor", "aten.add.Scalar"},
    }


@pytest.mark.parametrize(
    ("operator", "short"),
    [
        ("aten.gelu.default", "gelu"),
        ("aten.add.Tensor", "add.Tensor"),
        ("quantized.add.default", "quantized.add"),
        ("aten.add", "add"),
    ],
)
def test_short(operator, short):
    assert OpName.parse(operator).short == short


@pytest.mark.parametrize(
    ("text", "functional"),
    [
        ("aten::pow.Tensor_Scalar_out", "aten.pow.Tensor_Scalar"),
        ("aten.asinh.out", "aten.asinh.default"),
        ("aten.add_.Tensor", "aten.add.Tensor"),
    ],
)
def test_functional(text, functional):
    assert str(OpName.parse(text).functional) == functional


def test_the_copying_variant_of_a_view():
    view = OpName.parse("aten.permute.default")
    assert str(view.copying) == "aten.permute_copy.default"
    assert (view.is_copy, view.copying.is_copy) == (False, True)
    assert view.copying.key == view.key == view.packet_name == "aten.permute"


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [("aten.add.Tensor", True), ("aten.add", True), ("aten.a*", True), ("add", False), ("aten.add.Scalar", False)],
)
def test_matches(pattern, matches):
    assert OpName.parse("aten.add.Tensor").matches(pattern) is matches
