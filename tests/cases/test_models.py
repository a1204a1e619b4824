import contextlib
import copy
import importlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from harness.cases import models
from harness.cases.case import CaseFault
from harness.cases.models import MODELS, Model, build, cases
from harness.cases.torchvision_ops import import_torchvision
from harness.evidence.vocabulary import Level


def test_models_are_cases_of_level_standard_or_full():
    assert {case.id.split("/")[1] for case in cases()} >= {"mobilenet_v2", "resnet18", "vit", "bert", "llama"}
    assert [name for name, rows in Counter(model.name for model in MODELS).items() if rows > 1] == [], "two rows"
    for case in cases():
        assert case.level in (Level.STANDARD, Level.FULL)
        assert case.whole_model


def test_small_weights_of_most_models_wait_for_level_full():
    by_name = {case.id.split("/")[1]: case for case in cases()}
    assert not models.QUANTIZED - by_name.keys(), "named, and no model"
    for name, scheme in models.ALSO_QUANTIZED:
        assert f"fp16-ios18-{scheme}" in by_name[name].recipes
    for model in MODELS:
        case = by_name[model.name]
        assert (*case.recipes, *case.at_full) == model.recipes or model.name not in models.QUANTIZED
        assert sorted((*case.recipes, *case.at_full)) == sorted(model.recipes)
        assert bool(case.at_full) <= (model.name not in models.QUANTIZED)
        assert "fp16-ios18" in case.recipes


#: Below this many parameters a model is built again to see that it is the same.
_BUILT_TWICE = 500_000


@pytest.mark.slow  # each of the models is built and run
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_model_is_seeded_on_the_fp16_grid_in_eval_mode_and_says_something_of_its_input(model):
    torch.manual_seed(77)
    built = build(model)
    tensors = dict(built.module.state_dict())
    for key, value in tensors.items():
        if value.is_floating_point():
            assert torch.equal(value.half().to(value.dtype), value), key
    assert not any(module.training for module in built.module.modules())
    if sum(value.numel() for value in tensors.values()) < _BUILT_TWICE:
        again = build(model)
        assert tensors.keys() == again.module.state_dict().keys()
        for key, value in again.module.state_dict().items():
            assert torch.equal(value, tensors[key]), key
        leaves = [tree_leaves((one.inputs, dict(one.kwargs))) for one in (built, again)]
        for one, other in zip(*leaves, strict=True):
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    mirrored = tree_map_only(torch.Tensor, _mirrored, (built.inputs, dict(built.kwargs)))
    with torch.no_grad():
        results, others = (
            [leaf for leaf in tree_leaves(copy.deepcopy(built.module)(*args, **kwargs)) if _is_measured(leaf)]
            for args, kwargs in ((built.inputs, built.kwargs), mirrored)
        )
    assert results
    for number, (result, other) in enumerate(zip(results, others, strict=True)):
        assert torch.isfinite(result).all(), number
        assert 0.01 < result.std() < 100, number  # of a size that makes a comparison worth something
        assert (result - other).abs().max() > 0.05 * result.std(), f"output {number} hardly depends on the input"


def _mirrored(tensor: torch.Tensor) -> torch.Tensor:
    """The other way round; a single token is the next one."""
    if tensor.dim() and tensor.shape[-1] == 1 and not tensor.is_floating_point():
        return tensor + 1
    return tensor.flip(-1).contiguous() if tensor.dim() else tensor


def _is_measured(leaf: object) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and leaf.numel() > 1


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


@pytest.mark.slow  # a process of its own
@pytest.mark.parametrize("package", sorted({model.api.partition(".")[0] for model in MODELS} - {"torch"}))
def test_a_model_of_each_package_is_built_in_a_process_that_built_no_other(package):
    """Most import torchvision by themselves, which fails beside a CPU-only torch unless prepared."""
    name = next(model.name for model in MODELS if model.api.partition(".")[0] == package)
    code = f"from harness.cases.models import cases; [c.build() for c in cases() if '/{name}/' in c.id]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


#: Imports of packages that are torchvision or import it.
_PREPARED = {
    *(("import", package) for package in ("timm", "transformers", "diffusers", "torchvision")),
    *(("from", package) for package in ("timm", "transformers", "diffusers", "torchvision")),
}


def test_packages_that_import_torchvision_are_imported_prepared():
    """Elsewhere an import of them would depend on which model was built before."""
    for path in Path(models.__file__).parent.glob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if tuple(line.split()[:2]) in _PREPARED:
                assert "import_torchvision()" in "".join(lines[max(0, number - 3) : number]), f"{path.name}: {line}"
