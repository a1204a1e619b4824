import subprocess
import sys

import pytest
import torch

from harness.cases import extracted, find
from harness.cases.calls import parse
from harness.evidence.vocabulary import Kind, Level

STANDARD = [*extracted.cases(Level.STANDARD), *extracted.block_cases(Level.STANDARD)]


def test_ids_are_unique_and_name_operator_and_dtype():
    cases = [*extracted.cases(), *extracted.block_cases()]
    assert len({case.id for case in cases}) == len(cases)
    assert all(case.id.startswith(f"ops/{case.op}/{case.dtype}/extracted-") for case in extracted.cases())
    assert all(case.id.startswith(f"modules/{case.op}/{case.dtype}/") for case in extracted.block_cases())


def test_they_are_found_by_their_ids_and_say_which_models_they_are_from():
    for case in (extracted.cases()[0], extracted.block_cases()[0]):
        assert find.find(case.id) is case or find.find(case.id) == case
        assert case.origin == "extracted"
        assert case.usage.models
        assert case.usage.calls >= len(case.usage.models)


def test_there_are_both_levels_and_none_at_smoke():
    assert not extracted.cases(Level.SMOKE)
    assert not extracted.block_cases(Level.SMOKE)
    assert 0 < len(extracted.cases(Level.STANDARD)) < len(extracted.cases())
    assert 0 < len(extracted.block_cases(Level.STANDARD)) < len(extracted.block_cases())


def test_calls_are_of_their_operator_and_take_an_input():
    calls, _ = extracted.read_index()
    for row in calls[::10]:
        call = parse(row.text)
        assert (call.op, call.dtype) == (row.name, row.dtype)
        assert any(not tensor.constant for tensor in call.tensors())


@pytest.mark.parametrize("case", STANDARD[:: len(STANDARD) // 30], ids=lambda case: case.id)
def test_eager_runs_them(case):
    built = case.build()
    with torch.no_grad():
        result = built.module(*built.inputs)
    assert isinstance(result, (torch.Tensor, tuple, list))
    assert case.kind is (Kind.MODULE if case.id.startswith("modules/") else Kind.OPERATOR)


def test_listing_them_imports_no_torch():
    code = "import sys; from harness.cases.extracted import cases; print(len(cases()) > 100, 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True False"
