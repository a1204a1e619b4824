"""Names of recipes as records spell them, taken apart."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RecipeName:
    """`fp16-ios17-pt2e-int8` as precision `fp16`, target `ios17`, quantization `pt2e-int8` (empty when none)."""

    precision: str
    target: str
    quantization: str


def parse_recipe(recipe: str) -> RecipeName:
    precision, _, rest = recipe.partition("-")
    target, _, quantization = rest.partition("-")
    return RecipeName(precision, target, quantization)
