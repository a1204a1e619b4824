from __future__ import annotations

import pytest

from harness.evidence.recipe import (
    DEFAULT_RECIPES,
    NO_TARGET,
    OPTIONS,
    PRECISIONS,
    QUANTIZATIONS,
    TARGETS,
    Recipe,
)
from harness.evidence.vocabulary import HarnessError


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_a_name_says_everything(precision: str, target: str) -> None:
    recipe = Recipe.parse(f"{precision}-{target}")
    assert (recipe.precision, recipe.target) == (precision, TARGETS[target].name)
    assert recipe.name == f"{precision}-{target}"


@pytest.mark.parametrize("head", ["default", "fp16-none", "fp32-ios15", "fp16-ios18"])
@pytest.mark.parametrize("quantization", ["", *QUANTIZATIONS])
@pytest.mark.parametrize("options", ["", *(f"+{option}" for option in OPTIONS), "+" + "+".join(OPTIONS)])
def test_every_name_is_the_name_of_what_it_is_read_as(head: str, quantization: str, options: str) -> None:
    name = head + (f"-{quantization}" if quantization else "") + options
    recipe = Recipe.parse(name)
    assert recipe.name == name
    assert (recipe.scheme is None) == (not quantization)
    assert recipe.unchecked == ("unchecked" in options)
    assert recipe.bare == (head == "default")


def test_the_default_recipes_are_recipes() -> None:
    assert [Recipe.parse(name).name for name in DEFAULT_RECIPES] == list(DEFAULT_RECIPES)


def test_options_have_one_order() -> None:
    assert Recipe.parse("fp16-ios18+no_passes+unchecked").name == "fp16-ios18+unchecked+no_passes"


@pytest.mark.parametrize(
    ("recipe_type", "name"),
    [
        ("coreml_fp32", "fp32-none+unchecked"),
        ("coreml_fp16", "fp16-none+unchecked"),
        ("coreml_pt2e_int8_static", "fp16-ios17-pt2e_int8_static+unchecked"),
        ("coreml_torchao_int4_weight_only_per_group", "fp16-ios18-torchao_int4_group32+unchecked"),
        ("coreml_torchao_int8_weight_only_per_channel", "fp16-ios16-torchao_int8_channel+unchecked"),
    ],
)
def test_a_recipe_type_of_executorch_is_known_by_its_value(recipe_type: str, name: str) -> None:
    assert Recipe.parse(recipe_type).name == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("coreml_fp16_ne", "--recipe coreml_fp16 --unit cpu_and_ne"),
        ("coreml_codebook_weight_only", "fp16-ios18-codebook4"),
        ("coreml_int2", "coreml_fp32"),
    ],
)
def test_what_names_no_recipe_says_which_does(name: str, told: str) -> None:
    with pytest.raises(HarnessError, match=told.replace("+", r"\+")):
        Recipe.parse(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "fp16",
        "fp8-ios18",
        "fp16-ios99",
        "fp16-iOS18",
        "ios18-fp16",
        "fp16-ios18-int8",
        "fp16-ios18-",
        "default-",
        "default-ios18",
        "fp16-ios18+",
        "fp16-ios18+fast",
        "fp16-ios18-codebook9",
    ],
)
def test_an_unknown_name_is_refused_with_the_known_parts(name: str) -> None:
    with pytest.raises(HarnessError) as caught:
        Recipe.parse(name)
    message = str(caught.value)
    assert repr(name) in message
    assert any(known in message for known in ("fp16", "codebook4", "+unchecked", "only unchecked"))
    assert "\n" not in message


def test_without_a_target_the_lowest_systems_load_it() -> None:
    assert Recipe.parse("default").loaded_as is TARGETS["ios15"]
    assert Recipe.parse(f"fp16-{NO_TARGET}").loaded_as is TARGETS["ios15"]
    assert Recipe.parse("fp32-ios26").loaded_as is TARGETS["ios26"]


def test_compile_specs_are_what_the_name_says() -> None:
    assert Recipe.parse("default").compile_specs == {}
    assert Recipe.parse("fp32-none").compile_specs == {"compute_precision": "ct.precision.FLOAT32"}
    assert Recipe.parse("fp16-ios17").compile_specs == {
        "compute_precision": "ct.precision.FLOAT16",
        "minimum_deployment_target": "ct.target.iOS17",
    }
    assert Recipe.parse("default+no_passes").compile_specs == {"pass_names": "[]"}
    assert "per_block" in Recipe.parse("fp16-ios18-op_linear_int4_group32").compile_specs["op_linear_quantizer_config"]


@pytest.mark.parametrize("name", ["default", "fp16-ios18-codebook4+unchecked"])
def test_another_precision_or_target_leaves_the_rest(name: str) -> None:
    recipe = Recipe.parse(name)
    assert recipe.with_target("iOS17").name == f"fp16-ios17{name.removeprefix('default').removeprefix('fp16-ios18')}"
    assert recipe.with_precision("fp32").precision == "fp32"
    assert not recipe.with_precision("fp32").bare
