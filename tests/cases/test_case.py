import pytest
import torch

from harness.cases.case import Built, Case, at_level, matches_op, require_match
from harness.evidence.vocabulary import HarnessError, Kind, Level


def case(op="aten.add.Tensor", api="add", level=Level.SMOKE):
    return Case(
        id=f"ops/{op}/float32/opinfo-0",
        kind=Kind.OPERATOR,
        op=op,
        api=api,
        dtype="float32",
        origin="opinfo",
        level=level,
        build=None,
    )


def test_a_level_holds_the_lower_ones_in_order():
    cases = [case(level=Level.FULL), case(level=Level.SMOKE), case(level=Level.STANDARD)]
    assert at_level(cases, Level.SMOKE) == cases[1:2]
    assert at_level(cases, Level.STANDARD) == cases[1:]
    assert at_level(cases, Level.FULL) == cases


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("aten.add.Tensor", True),
        ("aten.add", True),
        ("add", True),
        ("aten.*", True),
        ("aten.ad[cd]*", True),
        ("aten.add.Scalar", False),
        ("aten.ad", False),
        ("Add", False),
        ("", False),
    ],
)
def test_a_glob_names_overload_packet_or_api(pattern, matches):
    assert matches_op(case(), pattern) is matches


def test_a_name_of_two_parts_is_no_overload():
    """`model.bert` and `torch.item` have no overload to leave out: `model` names no operator."""
    assert matches_op(case("model.bert", "transformers.BertModel"), "model.bert")
    assert not matches_op(case("model.bert", "transformers.BertModel"), "model")


def test_the_first_pattern_that_names_nothing_is_refused():
    require_match((c for c in [case()]), ["aten.add", "add"])
    with pytest.raises(HarnessError, match="--op tea: "):
        require_match([case()], ["add", "tea", "milk"])


@pytest.mark.parametrize(
    ("inputs", "kwargs", "dtype"),
    [
        ((torch.ones(2), (torch.zeros(1), 3)), {}, "float32"),
        ((torch.ones(2),), {"mask": torch.ones(2, dtype=torch.bool)}, "mixed"),
        ((), {"ids": torch.ones(2, dtype=torch.int64)}, "int64"),
        ((3,), {}, "mixed"),
    ],
)
def test_the_data_type_of_a_call_is_that_of_all_its_tensors(inputs, kwargs, dtype):
    assert Built(torch.nn.Identity(), inputs, 0, kwargs=kwargs).dtype == dtype
