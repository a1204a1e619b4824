"""`Usage`: how often models make a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.evidence.vocabulary import HarnessError


@dataclass(frozen=True)
class Usage:
    """The `models` that make a call, by name and sorted, and how many `calls` of it their graphs hold together.

    False where no model is known to make it.
    """

    models: tuple[str, ...] = ()
    calls: int = 0

    def __bool__(self) -> bool:
        return bool(self.models)

    def to_json(self) -> dict[str, Any]:
        return {"models": list(self.models), "calls": self.calls}

    @classmethod
    def from_json(cls, data: Any) -> Usage:
        """Raises `HarnessError` for what is no usage."""
        if not isinstance(data, Mapping) or data.keys() != {"models", "calls"}:
            raise HarnessError(f"usage is {data!r}, expected its models and calls")
        models, calls = data["models"], data["calls"]
        if not isinstance(models, list) or not all(isinstance(name, str) for name in models) or type(calls) is not int:
            raise HarnessError(f"usage is {data!r}, expected names of models and a number of calls")
        return cls(tuple(models), calls)


#: Of what no model is known to call.
UNUSED = Usage()
