import pytest
import torch

from harness.cases import modules
from harness.cases.case import CaseFault
from harness.cases.find import find
from harness.cases.index.modules import FEW, SMOKE
from harness.evidence.vocabulary import HarnessError, Kind, Level

OF_TORCH = [case for case in modules.cases() if case.origin == "module_db"]


def test_ids_are_unique_and_say_the_module():
    ids = [case.id for case in modules.cases()]
    assert len(set(ids)) == len(ids) > 2400
    for case in OF_TORCH:
        suite, module, dtype, label = case.id.split("/", 3)
        assert (suite, module, dtype) == ("modules", case.api, case.dtype)
        assert not set(label) & set("@/ \n"), case.id
        assert case.kind is Kind.MODULE


def test_every_module_of_pytorch_has_a_case_and_a_dozen_are_at_smoke():
    from torch.testing._internal.common_modules import module_db

    names = {f"torch.{info.name}" for info in module_db}
    assert {case.api for case in OF_TORCH} == names
    at_standard = {case.api for case in OF_TORCH if case.level is not Level.FULL}
    assert names - at_standard == {name for name, most in FEW.items() if not most}
    assert sorted(case.api for case in OF_TORCH if case.level is Level.SMOKE) == sorted(SMOKE)


@pytest.mark.parametrize("case", OF_TORCH[::97], ids=lambda case: case.id)
def test_a_case_is_made_and_runs(case):
    built = case.build()
    with torch.no_grad():
        assert built.module(*built.inputs, **built.kwargs) is not None
    assert find(case.id) == case


def test_a_variant_that_moved_is_a_fault_of_the_index():
    with pytest.raises(CaseFault, match="run coreml-harness index modules"):
        modules.build("torch.nn.Conv2d", 1, "4,5,3-2x4x3x4")
    with pytest.raises(CaseFault, match="run coreml-harness index modules"):
        modules.build("torch.nn.Conv2d", 99, "4,5,3-2x4x3x4")


def test_a_torch_without_an_index_is_named(monkeypatch):
    monkeypatch.setattr(modules, "version_of", lambda _d: "0.0.1")
    with pytest.raises(HarnessError, match=r"no index of PyTorch's modules for torch 0\.0\.1"):
        modules._index.__wrapped__()
