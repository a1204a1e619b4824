from __future__ import annotations

import pytest
import torch

from harness.evidence.vocabulary import ToleranceClass as C
from harness.verdict import table
from harness.verdict.table import RULES, lookup, rule_for


def test_every_row_has_a_reason_and_a_bound():
    for name, rule in RULES.items():
        assert rule.op == name
        assert rule.reason, name
        if rule.cls in (C.ULP, C.COMPOSED):
            assert min(rule.factor) > 0 or name in {"aten.frac", "aten.fmod"}, name
        if rule.cls is C.ABS_ERROR:
            assert rule.error is not None, name
        if rule.cls in (C.DOT_PRODUCT, C.REDUCE_PRODUCT):
            assert rule.length is not None, name


def test_two_rows_for_one_operator_are_refused():
    with pytest.raises(ValueError, match=r"aten\.add has two rows"):
        table.exact("add", "again")


#: Random operators, and memory left uninitialised, have no right answer; backward passes are not run.
NOT_JUDGED = {"rand", "randn", "randperm", "native_dropout", "resize_"}


def test_core_aten_is_covered():
    # From the dispatcher: `dir(torch.ops.aten)` lists only what somebody has used before.
    names = [name.removeprefix("aten::") for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")]
    missing = []
    for packet_name, _, overload_name in (name.partition(".") for name in names):
        if packet_name.endswith("backward") or packet_name in NOT_JUDGED:
            continue
        overload = getattr(getattr(torch.ops.aten, packet_name), overload_name or "default")
        if torch.Tag.core in overload.tags and not lookup(f"aten.{packet_name}.{overload_name or 'default'}").listed:
            missing.append(str(overload))
    assert missing == []


@pytest.mark.parametrize(
    ("written", "row"),
    [
        ("aten.add.Tensor", "aten.add"),
        ("aten::add_.Tensor", "aten.add"),
        ("torch.ops.aten.add.Tensor", "aten.add"),
        ("gelu", "aten.gelu"),
        ("aten.view_copy.default", "aten.view"),
        ("aten.div.Tensor_mode", "aten.div.Tensor_mode"),
        ("aten.div_.Tensor_mode", "aten.div.Tensor_mode"),
        ("aten.div.Tensor", "aten.div"),
        ("aten._to_copy.default", "aten._to_copy"),
        ("prims.mul.default", "aten.mul"),
    ],
)
def test_lookup_finds_the_row(written: str, row: str):
    assert lookup(written).op == row


@pytest.mark.parametrize("op", ["aten.frobnicate.default", "torchvision.nms.default", "aten.addmmm.default"])
def test_what_has_no_row_is_visible_and_never_exact(op: str):
    rule = lookup(op)
    assert rule.label == "COMPOSED (unlisted)"
    assert rule.op == op
    assert min(rule.factor) > 0


def test_rule_for_takes_the_row_of_the_primary_alone():
    rule = rule_for("aten.gelu.default", ["aten.view.default", "aten.gelu.default", "aten.permute.default"])
    assert (rule.op, rule.cls) == ("aten.gelu", C.ABS_ERROR)


def test_rule_for_takes_the_row_of_the_one_operator_behind_a_wrapper():
    rule = rule_for("aten.reshape.default", ["aten.view.default", "aten.mul.Tensor"])
    assert rule.op == "aten.mul"


def test_rule_for_composes_several_and_says_so():
    rule = rule_for("aten.mul.Tensor", ["aten.mul.Tensor", "aten.mul.Tensor", "aten.div.Tensor", "aten.view.default"])
    assert rule.cls is C.COMPOSED
    assert rule.factor == (4.5, 4.5)
    assert "2 x aten.mul" in rule.reason
    assert "aten.div" in rule.reason
    assert rule.label == "COMPOSED"


def test_rule_for_is_unlisted_when_a_part_is():
    rule = rule_for("aten.mul.Tensor", ["aten.mul.Tensor", "aten.frobnicate.default"])
    assert rule.label == "COMPOSED (unlisted)"


def test_non_operators_of_a_graph_do_not_count():
    assert rule_for("aten.topk.default", ["aten.topk.default", "_operator.getitem"]).cls is C.EXACT
