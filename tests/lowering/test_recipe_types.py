"""What ExecuTorch's own recipes emit is what a recipe of the harness of the same meaning does, byte for byte."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import coremltools as ct
import pytest
import torch
from executorch.backends.apple.coreml.recipes import CoreMLRecipeType
from executorch.export import ExportRecipe, export
from torch import nn

from harness.cases.case import Built
from harness.evidence.recipe import Recipe
from harness.lowering import lower as lowering
from harness.lowering.graph import plan_of
from harness.lowering.program import LoweredProgram
from harness.lowering.quantize import calibration, linear_and_embedding, prepared

FILTER = {"filter_fn": linear_and_embedding}
#: The recipe of the same meaning, and keyword arguments of the recipe type.
SAME: dict[CoreMLRecipeType, tuple[str, dict[str, Any]]] = {
    CoreMLRecipeType.FP32: ("coreml_fp32", {}),
    CoreMLRecipeType.FP16: ("coreml_fp16", {}),
    CoreMLRecipeType.PT2E_INT8_STATIC: ("coreml_pt2e_int8_static", {}),
    CoreMLRecipeType.PT2E_INT8_WEIGHT_ONLY: ("coreml_pt2e_int8_weight_only", {}),
    **{kind: (kind.value, FILTER) for kind in CoreMLRecipeType if "torchao" in kind.value},
    CoreMLRecipeType.CODEBOOK_WEIGHT_ONLY: (
        "fp16-ios18-codebook4+unchecked",
        {"bits": 4, "block_size": [-1, 16], **FILTER},
    ),
}


@pytest.fixture(autouse=True)
def _few_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the quantizer's kinds of patterns: all of them take seconds to export."""
    from executorch.backends.apple.coreml.quantizer._coreml_quantizer import _AnnotationPatternRegistry

    kinds = {name: _AnnotationPatternRegistry.get_annotators()[name] for name in ("linear", "conv")}
    monkeypatch.setattr(_AnnotationPatternRegistry, "REGISTRY", kinds)


def built() -> Built:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16)).eval()
    return Built(module, (torch.randn(2, 64),), 0)


def words() -> Built:
    torch.manual_seed(0)
    return Built(nn.Sequential(nn.Embedding(16, 64), nn.Linear(64, 32)).eval(), (torch.tensor([[1, 2]]),), 0)


def packages(program: LoweredProgram, where: Path) -> list[tuple[str, bytes]]:
    """Files of the packages, without what no two lowerings have the same: identifiers in names and metadata."""
    files = []
    for number, delegate in enumerate(program.delegates):
        folder = where / str(number)
        folder.mkdir(parents=True)
        delegate.unpack(folder)
        found = sorted(path for path in folder.rglob("*") if path.suffix in (".mlmodel", ".bin"))
        files += [(f"{number}/{path.name}", path.read_bytes()) for path in found]
    return files


def by_harness(one: Built, name: str, where: Path) -> list[tuple[str, bytes]]:
    recipe = Recipe.parse(name)
    given = prepared(one, recipe.scheme, recipe.precision)[0] if recipe.scheme is not None else one
    result = lowering.lower(lowering.export(given), recipe)
    assert result.program is not None, result.failure
    return packages(result.program, where)


def by_recipe_type(one: Built, kind: CoreMLRecipeType, where: Path, **options: Any) -> list[tuple[str, bytes]]:
    samples = [sample.inputs for sample in calibration(one.own)]
    session = export(copy.deepcopy(one.module), samples, ExportRecipe.get_recipe(kind, **options))
    manager = session.get_edge_program_manager()
    return packages(plan_of(manager.exported_program(), "forward"), where)


def test_every_recipe_type_is_here() -> None:
    assert set(SAME) == set(CoreMLRecipeType)


@pytest.mark.parametrize("kind", SAME, ids=lambda kind: kind.value)
def test_a_recipe_type_emits_what_the_recipe_of_its_meaning_does(kind: CoreMLRecipeType, tmp_path: Path) -> None:
    name, options = SAME[kind]
    for case in (built, words):
        if case is words and "pt2e" in kind.value:
            continue
        mine = by_harness(case(), name, tmp_path / f"{case.__name__} here")
        theirs = by_recipe_type(case(), kind, tmp_path / f"{case.__name__} there", **options)
        assert [path for path, _ in mine] == [path for path, _ in theirs]
        assert mine == theirs


def test_a_recipe_type_keeps_the_target_of_a_plain_recipe(tmp_path: Path) -> None:
    mine = by_harness(built(), "fp16-ios17+unchecked", tmp_path / "here")
    kept = by_recipe_type(built(), CoreMLRecipeType.FP16, tmp_path / "there", minimum_deployment_target=ct.target.iOS17)
    assert mine == kept


def test_the_recipe_for_phones_is_the_static_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from executorch.export import target_recipes

    monkeypatch.setattr(target_recipes, "is_supported_platform_for_coreml_lowering", lambda: True)
    recipe = target_recipes.get_ios_recipe("ios-arm64-coreml-int8")
    one = built()
    session = export(one.module, [sample.inputs for sample in calibration(one.own)], recipe)
    manager = session.get_edge_program_manager()
    theirs = packages(plan_of(manager.exported_program(), "forward"), tmp_path / "there")
    assert theirs == by_harness(built(), "coreml_pt2e_int8_static", tmp_path / "here")
