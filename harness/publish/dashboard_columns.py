"""Tables by column, as the dashboard's page reads them: a text that stands in many rows is written once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: What stands for an infinite number, which JSON has not: an exact result fits into its bound so often.
INFINITE = -1


def texts(values: Iterable[str]) -> dict[str, list[Any]]:
    """`{"values": [...], "index": [...]}`: the different texts in the order they are met, and of each row its place."""
    places: dict[str, int] = {}
    index = [places.setdefault(value, len(places)) for value in values]
    return {"values": list(places), "index": index}


def number(value: float | None, digits: int = 4) -> float | int | None:
    """A number that is not negative, as JSON: rounded, `INFINITE` for inf, None for None and NaN."""
    if value is None or math.isnan(value):
        return None
    return INFINITE if math.isinf(value) else float(f"{value:.{digits}g}")


def table(rows: Sequence[Mapping[str, Any]], numbers: Iterable[str] = ()) -> dict[str, Any]:
    """Rows of the same keys by column: `numbers` as they are, the others as `texts`. None for no rows."""
    if not rows:
        return {}
    plain = set(numbers)
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return {key: values if key in plain else texts(values) for key, values in columns.items()}
