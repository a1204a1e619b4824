import subprocess
import sys

import pytest
import torch

from harness.cases import find, generated
from harness.cases.calls import parse
from harness.cases.case import CaseFault
from harness.evidence.universe import read_universe
from harness.evidence.vocabulary import HarnessError, Level


def test_ids_are_unique_among_all_operator_cases_and_name_operator_and_dtype():
    cases = generated.cases()
    assert len({case.id for case in find.operators()}) == len(find.operators())
    assert all(case.id.startswith(f"ops/{case.op}/{case.dtype}/") for case in cases)


def test_operators_of_the_universe_that_can_be_called_have_cases_at_standard():
    universe = read_universe().operators
    standard = {case.op for case in generated.cases() if case.level is Level.STANDARD}
    assert standard <= set(universe)
    assert len(standard) > 0.9 * len(universe)


def test_listing_them_imports_no_torch():
    code = "import sys; from harness.cases.generated import cases; print(len(cases()) > 10000, 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True False"


def test_the_module_makes_the_call_on_inputs_and_constants():
    call = parse("aten.add.Tensor(float32(2, 3), float32(3, constant=True), alpha=2)")
    module, inputs = generated.module_and_inputs(call, seed=1)
    assert [t.shape for t in inputs] == [(2, 3)]
    assert torch.equal(module(*inputs), inputs[0] + 2 * module.get_buffer("constant0"))


def test_lists_dtypes_and_absent_tensors_are_passed_on():
    module, inputs = generated.module_and_inputs(
        parse("aten.index.Tensor(float32(5, 4), [None, int64([0, 3], constant=True)])"), seed=0
    )
    assert torch.equal(module(*inputs), inputs[0][:, [0, 3]])
    module, inputs = generated.module_and_inputs(parse("aten.sum.default(float32(2, 3), dtype=float64)"), seed=0)
    assert module(*inputs).dtype == torch.float64


def test_a_case_draws_the_same_values_each_time_and_another_case_others():
    one, again = generated.build("aten.abs.default(float32(9))"), generated.build("aten.abs.default(float32(9))")
    other = generated.build("aten.neg.default(float32(9))")
    assert torch.equal(one.inputs[0], again.inputs[0])
    assert not torch.equal(one.inputs[0], other.inputs[0])


def test_an_unknown_operator_is_a_fault_of_the_case():
    with pytest.raises(CaseFault, match=r"torch has no operator aten\.nonsense\.default"):
        generated.build("aten.nonsense.default(float32(2))")


def test_an_explored_case_is_found_by_the_call_in_its_id():
    case = find.find("explore/aten.add.Tensor(float32(2, 3), float32(3), alpha=2)")
    assert (case.op, case.dtype, case.origin) == ("aten.add.Tensor", "float32", "explored")
    assert case.build().inputs[1].shape == (3,)
    with pytest.raises(HarnessError, match="not a call"):
        find.find("explore/nonsense")


def test_operators_of_random_values_are_not_explored():
    names = {case.op for case in generated.explorable()}
    assert "aten.add.Tensor" in names
    assert not names & {"aten.rand.default", "aten.randn.default"}
