from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.evidence.vocabulary import HarnessError
from harness.lowering.recipe import DEFAULT_RECIPES, PRECISIONS, TARGETS, Recipe


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_name_says_everything(precision: str, target: str) -> None:
    recipe = Recipe.parse(f"{precision}-{target}")
    assert (recipe.precision, recipe.target) == (precision, TARGETS[target])
    assert recipe.name == f"{precision}-{target}"


def test_the_default_recipes_are_recipes() -> None:
    assert [Recipe.parse(name).name for name in DEFAULT_RECIPES] == list(DEFAULT_RECIPES)


@pytest.mark.parametrize("name", ["", "fp16", "fp8-ios18", "fp16-ios99", "fp16-iOS18", "ios18-fp16", "fp16-ios18-int8"])
def test_an_unknown_name_is_refused_with_the_known_parts(name: str) -> None:
    with pytest.raises(HarnessError) as caught:
        Recipe.parse(name)
    message = str(caught.value)
    assert repr(name) in message
    assert "fp16" in message
    assert "ios18" in message
    assert "\n" not in message


@pytest.mark.parametrize(("name", "precision", "target"), [("fp16-ios17", "FLOAT16", 8), ("fp32-ios18", "FLOAT32", 9)])
def test_compile_specs_carry_precision_and_target(name: str, precision: str, target: int) -> None:
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    specs = Recipe.parse(name).compile_specs()
    assert CoreMLBackend.model_compute_precision_from_compile_specs(specs).name == precision
    # The specification version: iOS17 is 8, iOS18 is 9.
    assert int(CoreMLBackend.min_deployment_target_from_compile_specs(specs)) == target


def test_a_target_that_this_coremltools_does_not_have_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import coremltools as ct

    monkeypatch.setattr(ct, "target", SimpleNamespace(iOS18=ct.target.iOS18))
    monkeypatch.setattr(ct, "__version__", "8.3.0")
    with pytest.raises(HarnessError, match=r"^recipe fp16-ios26: coremltools 8\.3\.0 has no deployment target iOS26$"):
        Recipe.parse("fp16-ios26").compile_specs()
    assert Recipe.parse("fp16-ios18").compile_specs()
