import pytest
import torch

from harness.cases import blocks
from harness.cases.calls import Call, Ref, TensorSpec
from harness.cases.case import CaseFault

TEXT = """x0 = float32(2, 8)
c0 = float32(4, 8, low=-0.5, high=0.5, constant=True)
linear = aten.linear.default(x0, c0)
topk = aten.topk.default(linear, 2)
add = aten.add.Tensor(topk[0], linear, alpha=0)
return topk[1], add"""


def read(text=TEXT):
    return blocks.read_block(text.splitlines())


def test_a_block_is_its_text():
    assert str(read()) == TEXT
    assert list(read().inputs) == ["x0"]
    assert list(read().constants) == ["c0"]
    assert read().elements == 32


def test_its_module_makes_the_calls_on_what_is_drawn():
    built = blocks.build(
        TEXT.replace("add = aten.add.Tensor(topk[0], linear, alpha=0)", "add = aten.neg.default(linear)")
    )
    places, negative = built.module(*built.inputs)
    product = built.inputs[0] @ built.module.get_buffer("c0").T
    assert torch.allclose(negative, -product)
    assert torch.equal(places, product.topk(2)[1])


def test_the_same_text_draws_the_same_values():
    one, again = blocks.build(TEXT), blocks.build(TEXT)
    assert torch.equal(one.inputs[0], again.inputs[0])
    assert torch.equal(one.module.get_buffer("c0"), again.module.get_buffer("c0"))


def test_sizes_and_ranges_are_no_part_of_a_structure_but_options_are():
    larger = TEXT.replace("(2, 8)", "(3, 16)").replace("(4, 8, low=-0.5", "(4, 16, low=0.0")
    assert read(larger).structure == read().structure
    for other in (
        TEXT.replace("alpha=0", "alpha=1"),
        TEXT.replace(", constant=True", ""),
        TEXT.replace("(2, 8)", "(8)"),
    ):
        assert read(other).structure != read().structure


def test_names_are_those_of_the_block():
    tensors = {Ref("p"): TensorSpec("float32", (2,)), Ref("q"): TensorSpec("float32", (2,), constant=True)}
    made = {"a_7": Call("aten.add.Tensor", (Ref("p"), Ref("q"))), "b": Call("aten.add.Tensor", (Ref("a_7"), Ref("p")))}
    assert blocks.numbered(tensors, made, (Ref("b"),)).lines() == [
        "x0 = float32(2)",
        "c0 = float32(2, constant=True)",
        "add = aten.add.Tensor(x0, c0)",
        "add_1 = aten.add.Tensor(add, x0)",
        "return add_1",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x0 = float32(2)\ny = aten.nonsense.default(x0)\nreturn y", "no such operator"),
        ("x0 = float32(2)\ny = aten.neg.default(z)\nreturn y", "not an argument"),
        ("x0 = float32(2)", "returns nothing"),
    ],
)
def test_what_is_no_block_is_a_fault_of_the_case(text, message):
    with pytest.raises(CaseFault, match=message):
        blocks.build(text)
