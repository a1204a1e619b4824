"""What the pages say of support: by operator, by operator whatever the overload, by public function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.evidence.causes import Cause
from harness.evidence.universe import Universe
from harness.publish.known_defects import known_defects
from harness.publish.limits import Limit, general_causes, limits_of
from harness.publish.model import Matrix
from harness.publish.schema import Parameter, parameters
from harness.publish.support import By, Support, support_of


@dataclass(frozen=True)
class Views:
    """Support by name in each of three ways; the causes by their names, and the general limits that were met."""

    operators: Mapping[str, Support]
    packets: Mapping[str, Support]
    functions: Mapping[str, Support]
    causes: Mapping[str, Cause]
    limits: Sequence[Limit]


def views_of(matrix: Matrix, causes: Sequence[Cause], universe: Universe | None) -> Views:
    """Of the records by the usual recipes. `universe` tells the operators' parameters, where the versions have one."""
    by_name = {cause.cause: cause for cause in causes}
    hints = {cause.cause: cause.condition for cause in causes}
    general = general_causes(causes)
    known = known_defects(causes, {record.cause for record in matrix.shown if record.cause})

    def schema(operator: str) -> Sequence[Parameter]:
        known = universe.schema(operator) if universe else ""
        return parameters(known) if known else ()

    operators, packets, functions = [
        support_of(matrix.records, general, schema, by, hints, known) for by in (By.OPERATOR, By.PACKET, By.FUNCTION)
    ]
    return Views(operators, packets, functions, by_name, limits_of(matrix.records, by_name))
