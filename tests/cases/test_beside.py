import pytest
import torch

from harness.cases import beside
from harness.cases.find import find
from harness.evidence.universe import read_universe

CASES = beside.cases()
#: What the exported program has where the operator itself is not written, or does not stay.
STANDS_FOR = {
    "aten.sym_constrain_range.default": ["aten._assert_scalar.default"],
    "aten.sym_constrain_range_for_size.default": ["aten._assert_scalar.default"],
    "dim_order_ops._empty_dim_order.default": ["aten.empty.memory_format"],
}


@pytest.mark.parametrize("case", CASES, ids=[case.op for case in CASES])
def test_the_program_runs_in_eager_and_gives_one_finite_tensor(case):
    built = case.build()
    result = built.module(*built.inputs)
    assert isinstance(result, torch.Tensor)
    assert torch.isfinite(result).all()
    assert torch.equal(result, case.build().module(*case.build().inputs))


@pytest.mark.parametrize(
    "case", [case for case in CASES if "quantize" not in case.op], ids=lambda case: case.op.split(".")[1]
)
def test_the_exported_program_calls_the_operator_or_states_what_it_stands_for(case):
    built = case.build()
    program = torch.export.export(built.module, built.inputs, dynamic_shapes=built.dynamic_shapes)
    calls = {str(node.target) for node in program.graph.nodes}
    assert calls & {case.op, *STANDS_FOR.get(case.op, ())}


def test_each_is_a_row_of_the_universe_and_is_found():
    for case in CASES:
        assert case.op in read_universe().operators
        assert find(case.id) is case


def test_a_broken_guard_is_seen():
    """The assertion is part of the program: eager refuses a number that is not positive."""
    (case,) = [case for case in CASES if case.op == "aten._assert_async.msg"]
    built = case.build()
    with pytest.raises(RuntimeError, match="the number is positive"):
        built.module(torch.tensor(-1), built.inputs[1])
