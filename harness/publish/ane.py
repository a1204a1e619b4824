"""What compute plans say of the Apple Neural Engine (ANE), counted for one operator.

Counted are checks that delegate the operator with the right result on a unit that may use the ANE. The operator's own
entry in a record's `aten_placement` counts. Core ML keeps tiny programs on the CPU, so cases that put the operator
between a convolution and a linear layer decide; where none tells, the others do, and the text says so. What decides is
that the plan lists the ANE as supported. A pass remains a pass with the ANE requested, whatever the plan says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.evidence.record import Record
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import DELEGATED, Outcome, Unit

#: How placements name it.
ANE = "ane"
#: Origin of the cases that attract it.
ATTRACTING = "ane"

NOT_ASKED = "not asked"
UNKNOWN = "unknown"
NO_ANE = "no ANE"
ORDINARY = "ordinary cases"

#: What stands in an ANE column, in words a page can print.
MEANINGS = {
    "supported 3/4": "of 4 checks whose compute plan tells of the operator, 3 list the ANE among the devices for it",
    "not placed 2": "the ANE was requested, and in 2 of these checks the plan runs the operator on another device",
    f"{UNKNOWN} 1": "the plan of 1 more check does not tell; alone, no plan does",
    f"({ORDINARY})": "no case made to attract the ANE tells; in small programs Core ML prefers the CPU",
    NO_ANE: "the machine has none, or does not offer it to Core ML (a virtual machine)",
    NOT_ASKED: "no check delegated it with the right result on a unit that may use the ANE",
}


@dataclass
class Tally:
    """Checks in all, and how many of their plans tell of the operator, list the ANE for it, and place it there."""

    asked: int = 0
    known: int = 0
    supported: int = 0
    placed: int = 0

    def add(self, entry: dict[str, Any] | None) -> None:
        """Count a check by the operator's entry in its placement, None where that has none."""
        self.asked += 1
        if entry and tells(entry):
            self.known += 1
            self.supported += ANE in entry.get("supported", ())
            self.placed += entry.get("preferred") == ANE

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.asked + other.asked,
            self.known + other.known,
            self.supported + other.supported,
            self.placed + other.placed,
        )

    @property
    def text(self) -> str:
        """`supported 4`, or `supported 3/4, not placed 2, unknown 1`; empty when no plan tells."""
        if not self.known:
            return ""
        parts = [f"supported {self.supported}" + ("" if self.supported == self.known else f"/{self.known}")]
        parts += [f"not placed {self.known - self.placed}"] if self.placed < self.known else []
        return ", ".join(parts + ([f"{UNKNOWN} {self.asked - self.known}"] if self.asked > self.known else []))


@dataclass
class Ane:
    """One operator: by cases made to attract the ANE, and by others. `absent` counts checks where there is none."""

    attracting: Tally = field(default_factory=Tally)
    ordinary: Tally = field(default_factory=Tally)
    absent: int = 0

    def __bool__(self) -> bool:
        return bool(self.asked or self.absent)

    def __add__(self, other: Ane) -> Ane:
        return Ane(self.attracting + other.attracting, self.ordinary + other.ordinary, self.absent + other.absent)

    def count(
        self,
        outcome: Outcome,
        record: Record,
        environment: dict[str, Any],
        entry: dict[str, Any] | None,
        *,
        attracting: bool,
    ) -> None:
        """Count a check that came to `outcome` for the operator, and the operator's entry in its placement."""
        if has_no_ane(record.unit, environment):
            self.absent += 1
        elif record.unit_spec.may_use_ane and outcome in DELEGATED:
            (self.attracting if attracting else self.ordinary).add(entry)

    @property
    def asked(self) -> int:
        return self.attracting.asked + self.ordinary.asked

    @property
    def text(self) -> str:
        """Empty where the ANE was not asked for."""
        if self.attracting.known:
            return self.attracting.text
        if self.ordinary.known:
            return f"{self.ordinary.text} ({ORDINARY})"
        return UNKNOWN if self.asked else NO_ANE if self.absent else ""


#: The layers around the operator in a case that attracts the ANE, and the reshaping between them.
LAYERS = frozenset({"aten.conv2d.default", "aten.linear.default", "aten.view_copy.default"})


def attracts(record: Record) -> bool:
    """Whether the record's case was made to give Core ML a reason to use the ANE."""
    return record.origin == ATTRACTING


def has_no_ane(unit: str, environment: dict[str, Any] | None) -> bool:
    """Whether the machine that `unit` ran on offers no ANE. An environment that lists no devices does not tell."""
    devices = {str(device).lower() for device in (environment or {}).get("devices") or []}
    return (
        UnitSpec.parse(unit).may_use_ane
        and UnitSpec.parse(unit).kind != Unit.DEVICE
        and bool(devices)
        and ANE not in devices
    )


def tells(entry: dict[str, Any]) -> bool:
    """False for an entry that names no device."""
    return bool(entry.get("preferred") or entry.get("supported"))


def whole(record: Record) -> dict[str, Any] | None:
    """What holds for all operators of a program, ATen's where the plan is joined to them; None where none is known."""
    known = [entry for entry in (record.aten_placement or record.placement).values() if tells(entry)]
    if not known:
        return None
    elsewhere = {entry.get("preferred") for entry in known} - {ANE}
    supported = set.intersection(*(set(entry.get("supported", ())) for entry in known))
    return {"preferred": min(map(str, elsewhere), default=ANE), "supported": sorted(supported)}


def ane_supported(record: Record) -> bool | None:
    """True when the compute plan lists the ANE as supported for every operator it knows; None without a plan."""
    entry = whole(record)
    return ANE in entry["supported"] if entry else None
