from __future__ import annotations

import copy

import pytest
import torch

from harness.cases import find, multifunction
from harness.evidence.vocabulary import Level


def test_each_method_of_a_program_is_a_case() -> None:
    ids = [case.id for case in multifunction.cases()]
    assert len(set(ids)) == len(ids) == sum(len(program.methods) for program in multifunction.PROGRAMS)
    assert find.find("multifunction/attention/float32/prefill").id in ids
    assert {case.level for case in multifunction.cases()} <= {Level.STANDARD, Level.FULL}


@pytest.mark.parametrize("program", multifunction.PROGRAMS, ids=lambda program: program.name)
def test_the_cases_of_a_program_build_the_same_methods(program: multifunction.Program) -> None:
    """Same names, weights and inputs: lowered for one method or for another, it is one program."""
    seen = []
    for method in program.methods:
        built = multifunction._build(program, method)
        assert not built.module.training
        methods = {built.method: (built.module, built.inputs)}
        methods |= {other.name: (other.module, other.inputs) for other in built.beside}
        assert sorted(methods) == sorted(program.methods)
        copy.deepcopy(built.module)(*built.inputs)  # it may write to its buffers
        seen.append(methods)
    for methods in seen[1:]:
        for name, (module, inputs) in methods.items():
            first, given = seen[0][name]
            torch.testing.assert_close(inputs, given, rtol=0, atol=0)
            torch.testing.assert_close(module.state_dict(), first.state_dict(), rtol=0, atol=0)
