import ast

import pytest
import torch
from torch.utils._pytree import tree_leaves

from harness.cases import find, functional
from harness.cases.functional import SMOKE, read, table
from harness.evidence.vocabulary import HarnessError, Level

NAMES = "x = float32(2, 3)\nw = float32(3, low=-1, high=1, constant=True)\n"


def only(line, names=NAMES):
    (written,) = read(f"{names}{line}\n")
    return written


def test_ids_are_the_lines_and_hold_nothing_that_ends_a_case():
    ids = [one.id for one in table()]
    assert len(set(ids)) == len(ids) > 600
    assert all("@" not in name and name.startswith("modules/functional/") for name in ids)
    assert only("x @ w").id == "modules/functional/float32/x matmul w"
    assert find.find("modules/functional/float32/F.elu(x, alpha=0.5)").call == "F.elu(x, alpha=0.5)"


@pytest.mark.parametrize("one", table()[::7], ids=lambda one: one.text)
def test_a_line_does_in_a_module_what_it_says(one):
    built = functional.build(one)
    (names,) = (dict(zip(one.inputs, built.inputs, strict=True)) | dict(built.module.state_dict()),)
    copies = {name: value.clone() for name, value in names.items()}
    *before, result = one.text.replace("self.training", "False").split("; ")
    scope = {"torch": torch, "F": torch.nn.functional, **copies}
    exec("\n".join(before), scope)
    expected = tree_leaves(eval(result, scope))
    with torch.no_grad():
        got = tree_leaves(built.module(*(value.clone() for value in built.inputs)))
    assert not built.module.training
    for one_value, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one_value, other, rtol=0, atol=0, equal_nan=True)


def test_every_line_gives_finite_tensors_the_same_each_time():
    for one in table():
        first, again = functional.build(one), functional.build(one)
        with torch.no_grad():
            results = [tree_leaves(built.module(*built.inputs)) for built in (first, again)]
        assert results[0], one.text
        assert all(torch.equal(a, b) for a, b in zip(*results, strict=True)), one.text
        assert all(torch.isfinite(t).all() for t in results[0]), one.text


def test_the_values_of_a_line_are_on_the_fp16_grid():
    built = functional.build(only("F.linear(x, w)"))
    for tensor in (*built.inputs, *built.module.parameters()):
        assert torch.equal(tensor, tensor.half().float())
        assert tensor.unique().numel() > 1


@pytest.mark.parametrize(
    ("line", "api"),
    [
        ("F.elu(x, alpha=0.5)", "torch.nn.functional.elu"),
        ("torch.cat((x, x))", "torch.cat"),
        ("torch.linalg.norm(x)", "torch.linalg.norm"),
        ("x.mean(1)", "torch.Tensor.mean"),
        ("x.max(1).values", "torch.Tensor.max"),
        ("torch.max(x, 1)[1]", "torch.max"),
        ("x.mT", "torch.Tensor.mT"),
        ("x[:, 0]", "torch.Tensor.__getitem__"),
        ("2 - x", "torch.Tensor.__rsub__"),
        ("x - 2", "torch.Tensor.__sub__"),
        ("-7 % x", "torch.Tensor.__rmod__"),
        ("-x", "torch.Tensor.__neg__"),
        ("abs(x)", "torch.Tensor.__abs__"),
        ("x > 0", "torch.Tensor.__gt__"),
        ("z = x + 0; z[:, 0] = 1; z", "torch.Tensor.__setitem__"),
        ("z = x + 0; z += 1; z", "torch.Tensor.__iadd__"),
        ("y = x + 1; F.relu(y)", "torch.nn.functional.relu"),
    ],
)
def test_what_a_line_is_about(line, api):
    assert only(line).api == api


def test_inputs_come_in_the_order_of_the_line_and_constants_are_none():
    written = only("torch.where(c, x, w)", NAMES + "c = bool(2, 3)\n")
    assert (written.inputs, written.constants, written.dtype) == (["c", "x"], ["w"], "bool")
    assert [name for name, _ in functional.build(written).module.named_parameters()] == ["w"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("F.relu(x", "was never closed"),
        ("torch.ones(2)", "uses no tensor"),
        ("x + 1\nx + 1", "is there twice"),
    ],
)
def test_a_line_that_is_no_case_is_refused(line, says):
    with pytest.raises(HarnessError, match=says):
        list(read(f"{NAMES}{line}\n"))


def test_levels():
    assert only("x + 1").level is Level.STANDARD
    assert only("x + 1  # full").level is Level.FULL
    assert {one.text for one in table() if one.level is Level.SMOKE} == set(SMOKE)


def test_every_tensor_of_the_table_is_used():
    lines = functional.PATH.read_text(encoding="utf-8").splitlines()
    assigned = [ast.parse(line).body for line in lines if line and not line.startswith("#")]
    named = {body[0].targets[0].id for body in assigned if len(body) == 1 and isinstance(body[0], ast.Assign)}
    assert named == {name for one in table() for name, _ in one.names}
