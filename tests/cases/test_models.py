import contextlib
import importlib
import subprocess
import sys
from collections import Counter

import pytest
import torch

from harness.cases.case import CaseFault
from harness.cases.models import MODELS, Model, build, cases
from harness.cases.models.settle import settled
from harness.cases.torchvision_ops import import_torchvision
from harness.evidence.vocabulary import Level


def test_models_are_cases_of_level_standard():
    assert {case.id.split("/")[1] for case in cases()} >= {"mobilenet_v2", "resnet18", "vit", "bert", "llama"}
    assert [name for name, rows in Counter(model.name for model in MODELS).items() if rows > 1] == [], "two rows"
    for case in cases():
        assert (case.level, case.whole_model) == (Level.STANDARD, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", [model.name for model in MODELS])
def test_a_model_is_seeded_on_the_fp16_grid_and_in_eval_mode(name):
    (case,) = [case for case in cases() if case.id.split("/")[1] == name]
    torch.manual_seed(77)
    first, again = case.build(), case.build()
    tensors = dict(first.module.state_dict())
    assert tensors.keys() == again.module.state_dict().keys()
    for key, value in again.module.state_dict().items():
        assert torch.equal(value, tensors[key]), key
        if value.is_floating_point():
            assert torch.equal(value.half().to(value.dtype), value), key
    assert all(torch.equal(a, b) for a, b in zip(first.inputs, again.inputs, strict=True))
    assert not first.module.training
    with torch.no_grad():
        result = first.module(*first.inputs)
    assert torch.isfinite(result).all()
    assert 0.01 < result.std() < 100  # of a size that makes a comparison worth something


def test_batch_normalisation_gets_the_statistics_of_its_own_activations():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4))
    with torch.no_grad():
        model[0].weight.mul_(0.05)
    with torch.no_grad():
        out = settled(model).eval()(torch.randn(2, 3, 224, 224))
    assert 0.9 < out.std() < 1.1
    assert out.mean().abs() < 0.1


def test_a_model_whose_package_is_missing_is_a_fault_of_the_case():
    def make():
        raise ImportError("transformers is not installed")

    with pytest.raises(CaseFault, match="transformers is not installed"):
        build(Model("m", "m", "vision", make))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_api_of_a_model_is_what_it_is_made_of(model):
    """Pages name it so, and a user looks for it under that name."""
    with contextlib.suppress(ImportError):
        import_torchvision()
    module, _, name = model.api.rpartition(".")
    assert hasattr(importlib.import_module(module), name), f"{model.name}: there is no {model.api}"


@pytest.mark.slow
@pytest.mark.parametrize("name", [model.name for model in MODELS if model.api.startswith("transformers.")])
def test_a_model_is_built_in_a_process_that_built_no_other(name):
    """transformers imports torchvision by itself, which fails beside a CPU-only torch unless prepared."""
    code = f"from harness.cases.models import cases; [c.build() for c in cases() if '/{name}/' in c.id]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
