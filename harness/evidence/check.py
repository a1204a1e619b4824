"""`Check`: a case by a recipe on a unit, one value from the door to the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.evidence.ids import check_id
from harness.evidence.recipe import Recipe
from harness.evidence.unit import UnitSpec
from harness.evidence.usage import UNUSED, Usage
from harness.evidence.vocabulary import Kind


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is checked, as records tell it.

    `id` is stable across runs, machines and shards. `op` is the ATen overload it is about (`aten.gelu.default`), `api`
    the public function it was reached through; `call` is the call as text, empty where there is none to show.
    `family` is what a model is for (`vision`, `language`, ...), `usage` which models make the call, and how often.
    """

    id: str
    kind: Kind
    op: str
    api: str
    dtype: str
    origin: str
    call: str = ""
    family: str = ""
    usage: Usage = UNUSED


SubjectT = TypeVar("SubjectT", bound=Subject)


@dataclass(frozen=True)
class Check(Generic[SubjectT]):
    """One thing to find out, and one record. `str` of it is its id, `<case>@<recipe>@<unit>`."""

    case: SubjectT
    recipe: Recipe
    unit: UnitSpec

    @classmethod
    def of(cls, case: SubjectT, recipe: Recipe | str, unit: UnitSpec | str) -> Check[SubjectT]:
        """A check of a recipe and a unit given by their names; raises `HarnessError` for unknown ones."""
        return cls(
            case,
            Recipe.parse(recipe) if isinstance(recipe, str) else recipe,
            UnitSpec.parse(unit) if isinstance(unit, str) else unit,
        )

    def __str__(self) -> str:
        return check_id(self.case.id, self.recipe.name, str(self.unit))
