"""Ids put together and taken apart again, in the one place that does."""

import ast

import pytest

from harness.evidence.ids import (
    UserCase,
    case_of_item,
    check_id,
    check_of_item,
    explored_call,
    explored_id,
    part_of_id,
    split_check_id,
    suite_of,
)
from harness.evidence.vocabulary import HarnessError


def test_a_check_id_comes_apart_as_it_was_put_together():
    parts = ("ops/aten.gelu.default/float32/approximate=tanh", "fp16-ios18", "executorch:cpu_only")
    assert split_check_id(check_id(*parts)) == parts


@pytest.mark.parametrize("text", ["", "case", "case@recipe", "case@recipe@", "@recipe@unit", "a@b@c@d"])
def test_what_is_no_check_id_is_one_line(text):
    with pytest.raises(HarnessError, match="expected <case>@<recipe>@<unit>"):
        split_check_id(text)


def test_a_case_names_its_suite():
    assert suite_of("models/mobilenet_v2") == "models"


def test_a_users_case_holds_the_stem_and_the_function():
    assert UserCase.of(UserCase("mine", "mlp").id) == UserCase("mine", "mlp")
    assert UserCase.of("check/nested/mine/mlp") == UserCase("nested/mine", "mlp")


@pytest.mark.parametrize("case", ["ops/aten.gelu.default/float32/seed", "checks/mine/mlp"])
def test_other_cases_are_no_users(case):
    assert UserCase.of(case) is None


@pytest.mark.parametrize("case", ["check", "check/mine", "check/mine/"])
def test_a_users_case_without_its_function_is_one_line(case):
    with pytest.raises(HarnessError, match="expected check/<file>/<function>"):
        UserCase.of(case)


def test_an_explored_case_holds_its_call():
    call = "aten.div.Tensor(float32[2, 3], 2.0)"
    assert explored_call(explored_id(call)) == call
    assert explored_call("ops/aten.div.Tensor/float32/seed") is None


@pytest.mark.parametrize(
    ("item", "check"),
    [
        (
            "suites/ops/test_ops.py::test_op[ops/aten.a.b/float32/x@fp16-ios18@reference]",
            "ops/aten.a.b/float32/x@fp16-ios18@reference",
        ),
        ("tests/test_x.py::test_x[a-b]", None),
        ("suites/ops/test_ops.py::test_explore[aten.a.b@fp16-ios18@reference]", None),
        ("tests/test_x.py::test_x", None),
    ],
)
def test_the_item_of_a_check_names_it_and_no_other_does(item, check):
    assert check_of_item(item) == check


def test_items_of_one_case_share_what_they_are_scheduled_by():
    one = "suites/ops/test_ops.py::test_op[ops/a/b@fp16-ios18@reference]"
    assert case_of_item(one) == case_of_item(one.replace("fp16", "fp32"))
    assert case_of_item(one) != case_of_item(one.replace("ops/a/b", "ops/a/c"))


def test_a_text_may_stand_in_an_id():
    assert part_of_id("a @ b", "matmul") == "a matmul b"
    assert split_check_id(check_id(part_of_id("f(x@y)"), "fp16-ios18", "reference"))[0] == "f(xy)"


def test_no_other_module_splits_at_the_signs_of_an_id(pytestconfig):
    """Whatever splits a text at `@` or counts it takes an id apart, and belongs to `harness/evidence/ids.py`."""
    places = []
    for path in sorted((pytestconfig.rootpath / "harness").rglob("*.py")):
        if path.name == "ids.py":
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            sign = node.args[0]
            if isinstance(sign, ast.Constant) and sign.value == "@" and node.func.attr != "join":
                places.append(f"{path.name}:{node.lineno}")
    assert not places
