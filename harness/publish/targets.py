"""The lowest deployment target at which calls of a name came out right."""

from __future__ import annotations

from collections.abc import Iterable

from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import Kind, Outcome
from harness.publish.graphs import nothing_compared
from harness.publish.support import NAMED, By, calls_itself


def lowest_targets(records: Iterable[Record], by: By) -> dict[str, str]:
    """By the name that is called, the lowest target at which all of a call was delegated with the right result, as
    coremltools calls it. A recipe that quantizes, or asks for no target, says nothing of it."""
    found: dict[str, Recipe] = {}
    for record in records:
        recipe = Recipe.parse(record.recipe)
        if record.outcome is not Outcome.PASS or recipe.quantization or not recipe.target or nothing_compared(record):
            continue
        if record.kind is not Kind.OPERATOR or (by is not By.FUNCTION and not calls_itself(record)):
            continue
        name = NAMED[by](record)
        if name not in found or recipe.loaded_as.specification < found[name].loaded_as.specification:
            found[name] = recipe
    return {name: recipe.target for name, recipe in found.items() if name}
