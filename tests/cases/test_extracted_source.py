import ast

import pytest
import torch

from harness.cases import user_file
from harness.cases.blocks import read_block
from harness.cases.calls import parse
from harness.cases.extracted_source import alone, source_of
from harness.cases.tally import Tallied, Tally

BLOCK = """x0 = float32(2, 6)
x1 = bool([[True, False], [False, True]])
c0 = float32(4, 6, low=-0.5, high=0.5, constant=True)
linear = aten.linear.default(x0, c0)
and_ = aten.__and__.Tensor(x1, x1)
topk = aten.topk.default(linear, 2)
masked_fill = aten.masked_fill.Scalar(topk[0], and_, -inf)
to = aten.to.dtype(masked_fill, float16)
return to, topk[1]"""


def file_of(calls=(), blocks=()):
    tally = Tally()
    for text in calls:
        tally.calls[text] = Tallied(parse(text), 3, ["mine"])
    for name, text in blocks:
        block = read_block(text.splitlines())
        tally.blocks[block.structure] = Tallied(block, 2, ["mine"])
        tally.blocks[block.structure].kinds[name] = 2
    return source_of(tally, "mine.py")


def test_it_imports_torch_alone_and_names_what_it_is_from():
    source = file_of(["aten.relu.default(float32(3))"])
    assert ast.get_docstring(ast.parse(source)) == (
        "Cases extracted from mine.py: 1 distinct calls of 3, of 1 operators, and 0 blocks."
    )
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert [name.name for node in imports for name in node.names] == ["torch"]


def test_each_is_a_function_that_check_takes(tmp_path):
    path = tmp_path / "mine_cases.py"
    calls = [
        "aten.conv2d.default(float32(1, 3, 5, 5), float32(2, 3, 3, 3, low=0.0, high=0.5, constant=True), None, [2])",
        "aten.conv2d.default(float32(1, 3, 6, 6), float32(2, 3, 3, 3, constant=True))",
        "aten.add.Tensor(float32(40, values='mask'), int64(40, low=0, high=32), alpha=2)",
        "aten.index.Tensor(float32(5, 4), [None, int64([0, 3], constant=True)])",
        "aten.__and__.Tensor(bool(20), bool(20, low=1.0, high=1.0))",
        "aten.clamp.default(float32(3), nan, inf)",
    ]
    path.write_text(file_of(calls, [("torch.nn.MultiHeadThing", BLOCK)]))
    cases = user_file.load(path)
    names = ["conv2d_1", "conv2d_2", "add_1", "index_1", "and_1", "clamp_1", "multi_head_thing_1"]
    assert [case.api for case in cases] == names
    results = {}
    for case in cases:
        built, again = case.build(), case.build()
        results[case.api] = built.module(*built.inputs)
        assert all(torch.equal(one, other) for one, other in zip(built.inputs, again.inputs, strict=True))
    assert results["conv2d_1"].shape == (1, 2, 2, 2)
    assert results["index_1"].shape == (5, 2)
    filled, places = results["multi_head_thing_1"]
    assert filled.dtype == torch.float16
    assert torch.isinf(filled).tolist() == [[True, False], [False, True]]
    assert places.shape == (2, 2)


def test_constants_are_held_and_ranges_kept(tmp_path):
    path = tmp_path / "held_cases.py"
    path.write_text(
        file_of(["aten.mul.Tensor(float32(500, low=0.0, high=16.0), float32(500, low=2.0, high=2.0, constant=True))"])
    )
    built = user_file.load(path)[0].build()
    assert len(built.inputs) == 1
    assert 0 <= built.inputs[0].min() < 1
    assert 15 < built.inputs[0].max() <= 16
    assert torch.equal(built.module.get_buffer("c0"), torch.full((500,), 2.0))
    assert torch.equal(built.inputs[0], built.inputs[0].half().float())


def test_the_same_gives_the_same_text():
    assert file_of(["aten.relu.default(float32(3))"]) == file_of(["aten.relu.default(float32(3))"])


def test_a_docstring_holds_any_call():
    source = file_of(['aten.gelu.default(float32(3), approximate=\'a\\\\"""\')'])
    assert "def gelu_1" in source
    ast.parse(source)


@pytest.mark.parametrize("text", ["aten.cat.default([float32(2), float32(2, constant=True)], 0)"])
def test_a_call_alone_is_a_block_of_one(text):
    block = alone(parse(text))
    assert block.lines() == [
        "x0 = float32(2)",
        "c0 = float32(2, constant=True)",
        "cat = aten.cat.default([x0, c0], 0)",
        "return cat",
    ]
