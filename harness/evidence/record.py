"""`Record`: what one check found, one JSON object per line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from harness.evidence.check import Check
from harness.evidence.division import Division
from harness.evidence.ids import check_id
from harness.evidence.names import OpName
from harness.evidence.notes import Note, NoteCode
from harness.evidence.remedy import Remedy
from harness.evidence.unit import UnitSpec
from harness.evidence.usage import UNUSED, Usage
from harness.evidence.vocabulary import OF_PROGRAMS, HarnessError, Kind, Outcome, Phase

SCHEMA = 2


@dataclass(frozen=True)
class ErrorInfo:
    """An exception as evidence.

    `signature` is the message with everything removed that changes from run to run
    (names of values, sizes, addresses, paths), so that equal faults group together.
    """

    type: str
    message: str
    signature: str

    @property
    def text(self) -> str:
        """Type and signature; the type once, where the signature begins with it."""
        text = self.signature or self.message
        return text if text.startswith(self.type) else f"{self.type}: {text}"


@dataclass(frozen=True)
class Numerics:
    """How close the result came.

    `limit` and `worst` are absolute errors at the element that came closest to its bound (`at`, its
    index, prefixed by the output's number), `headroom` is limit / worst (inf when exact), `max_ulp` in
    units of the last place of the recipe's precision, `sqnr_db` in decibel. Of whole models, and of their first
    floating output of two or three dimensions: `top1` is the share of rows, along the last dimension, whose largest
    element is where the truth has it, `tied` the share of those where it is not and the two are equal within their
    bounds, `top5` the share of the truth's five largest that are among the five largest.
    """

    tolerance_class: str
    limit: float | None = None
    worst: float | None = None
    headroom: float | None = None
    max_ulp: float | None = None
    max_abs: float | None = None
    sqnr_db: float | None = None
    at: str | None = None
    top1: float | None = None
    tied: float | None = None
    top5: float | None = None


@dataclass(frozen=True)
class Record:
    """One check: case x recipe x unit.

    `family` is what a model is for (`vision`, `language`, ...); `usage` tells of a call taken from models which of them
    make it, and how often.
    Counts are of nodes: `delegated` and `fallback` by ATen overload, `mil_ops` by MIL operator type.
    `placement` maps a MIL operator to `{"preferred": device, "supported": [devices], "cost": share}`; an absent
    operator is unknown, and so is an absent cost, the share of the estimated work of a program of one delegate.
    `aten_placement` is the same by ATen overload, joined through the package's debug information.
    `stage` is where a wrong answer arose, as a cause's stage; `against_reference` tells how the reference executor
    judged the same program and how far this unit's answer is from its. `missing_kernels` are fallback operators for
    which ExecuTorch's registry has no kernel.
    `against_float` is what quantization costs: `sqnr_db` of the worst output against the module as it was before, and
    `size` is in bytes, of all packages together; `division` is how the program is divided between Core ML and
    ExecuTorch. None of them is recorded of operators. `lowering_s` are the seconds that lowering took, of models, to
    one digit, so that most runs say the same.
    `timing` is in seconds by part; `total` is of the whole check, as the process saw it that had it done.
    `environment` names the block at the head of the file.
    """

    case: str
    recipe: str
    unit: str
    outcome: Outcome
    phase: Phase
    kind: Kind = Kind.OPERATOR
    op: str = ""
    api: str = ""
    dtype: str = ""
    origin: str = ""
    call: str = ""
    family: str = ""
    usage: Usage = UNUSED
    reason: str = ""
    error: ErrorInfo | None = None
    cause: str | None = None
    remedy: Remedy | None = None
    delegated: dict[str, int] = field(default_factory=dict)
    fallback: dict[str, int] = field(default_factory=dict)
    missing_kernels: list[str] = field(default_factory=list)
    mil_ops: dict[str, int] = field(default_factory=dict)
    placement: dict[str, dict[str, Any]] = field(default_factory=dict)
    aten_placement: dict[str, dict[str, Any]] = field(default_factory=dict)
    stage: str = ""
    against_reference: dict[str, Any] = field(default_factory=dict)
    numerics: Numerics | None = None
    against_float: dict[str, float] = field(default_factory=dict)
    size: int | None = None
    division: Division | None = None
    lowering_s: float | None = None
    notes: list[Note] = field(default_factory=list)
    timing: dict[str, float] = field(default_factory=dict)
    seed: int | None = None
    environment: str = ""
    schema: int = SCHEMA

    @classmethod
    def of(cls, check: Check[Any], outcome: Outcome, phase: Phase, **fields: Any) -> Record:
        """A record of a check, with what it is about and whatever else is known."""
        case = check.case
        return cls(
            case=case.id,
            recipe=check.recipe.name,
            unit=str(check.unit),
            outcome=outcome,
            phase=phase,
            kind=case.kind,
            op=case.op,
            api=case.api,
            dtype=case.dtype,
            origin=case.origin,
            call=case.call,
            family=case.family,
            usage=case.usage,
            **fields,
        )

    @property
    def unit_spec(self) -> UnitSpec:
        """The unit, understood; raises `HarnessError` when it is none."""
        return UnitSpec.parse(self.unit)

    @property
    def check_id(self) -> str:
        return check_id(self.case, self.recipe, self.unit)

    @property
    def subject(self) -> str:
        """What a reader looks it up by: the operator, else the API entry, else the case; a whole program's own name."""
        if self.kind not in OF_PROGRAMS:
            return self.op or self.api or self.case
        program = OpName.parse(self.op)
        return program.packet if self.kind is Kind.MODEL else f"{program.namespace}/{program.packet}"

    @property
    def load_rules(self) -> list[str]:
        """Names of the rules of Core ML's loader that the program breaks, as the reference executor found them."""
        return self._noted(NoteCode.LOAD_RULE) or list(self.against_reference.get("load_rules", ()))

    @property
    def blamed(self) -> list[str]:
        """The ATen overloads that the failure is put down to; empty where none was found."""
        return self._noted(NoteCode.OPERATOR)

    @property
    def mil_made(self) -> list[str]:
        """The MIL operators of the program, and those that made a constant of it wrong."""
        return [*self.mil_ops, *self._noted(NoteCode.FOLDED)]

    @property
    def dtype_changed(self) -> list[str]:
        """The ATen overloads whose results have another kind of dtype in the program than in the graph, where they
        made a conversion fail."""
        return self._noted(NoteCode.DTYPE_CHANGED)

    @property
    def note_codes(self) -> list[str]:
        return [str(note.code) for note in self.notes]

    def _noted(self, code: NoteCode) -> list[str]:
        return [note.detail for note in self.notes if note.code is code]

    @property
    def is_harness_fault(self) -> bool:
        """True when the harness itself failed: no judgement, and red all the same."""
        return self.outcome is Outcome.NOT_RUN and self.error is not None

    def with_(self, **changes: Any) -> Record:
        """As `dataclasses.replace`, of which reading evidence would take half its time."""
        if unknown := changes.keys() - _NAMES:
            raise TypeError(f"a record has no {', '.join(sorted(unknown))}")
        copy = object.__new__(Record)
        copy.__dict__.update(self.__dict__, **changes)
        return copy

    def to_json(self) -> dict[str, Any]:
        """The record as plain JSON types; empty fields are left out."""
        data: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None or value == "" or value == {} or value == [] or value == UNUSED:
                continue
            if f.name == "error":
                value = {"type": value.type, "message": value.message, "signature": value.signature}
            elif f.name == "numerics":
                value = _numerics_to_json(value)
            elif f.name in ("remedy", "usage", "division"):
                value = value.to_json()
            elif f.name == "notes":
                value = [{"code": str(note.code), "detail": note.detail} for note in value]
            elif f.name in ("outcome", "phase", "kind"):
                value = str(value)
            data[f.name] = value
        return data

    def to_line(self) -> str:
        # ASCII: a lone surrogate (in an undecodable path, say) has no UTF-8, and U+2028 ends a line for some readers.
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Raises `HarnessError` naming what is wrong when `data` is not a record of this schema."""
        if not isinstance(data, dict):
            raise HarnessError(f"not a record: {type(data).__name__}")
        if data.get("schema") != SCHEMA:
            raise HarnessError(f"record schema {data.get('schema')!r}, this harness reads {SCHEMA}")
        if unknown := data.keys() - _NAMES:
            raise HarnessError(f"record has unknown fields {', '.join(sorted(unknown))}")
        if missing := _NEEDED - data.keys():
            raise HarnessError(f"record lacks {', '.join(sorted(missing))}")
        values = dict(data)
        try:
            values["outcome"] = Outcome(values["outcome"])
            values["phase"] = Phase(values["phase"])
            values["kind"] = Kind(values["kind"])
            if "error" in values:
                values["error"] = ErrorInfo(**values["error"])
                _require_types(values["error"])
            if "remedy" in values:
                values["remedy"] = Remedy.from_json(values["remedy"])
            if "usage" in values:
                values["usage"] = Usage.from_json(values["usage"])
            if "division" in values:
                values["division"] = Division.from_json(values["division"])
            if "notes" in values:
                values["notes"] = [Note(NoteCode(note["code"]), str(note["detail"])) for note in values["notes"]]
            if "numerics" in values:
                values["numerics"] = _numerics_from_json(values["numerics"])
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise HarnessError(f"record {data.get('case')!r}: {error}") from None
        record = cls(**values)
        _require_types(record)
        return record


#: What JSON gives for the fields' annotations; the other fields are read by functions of their own.
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int | None": (int, type(None)),
    "float | None": (float, int, type(None)),
    "dict": (dict,),
    "list": (list,),
}


#: Without them there is no record.
_NEEDED = frozenset({"case", "recipe", "unit", "outcome", "phase", "kind"})


def _expected(kind: type[Record] | type[ErrorInfo]) -> list[tuple[str, tuple[type, ...], str]]:
    """Name, types that JSON gives for it, and annotation of each field that has such types."""
    named = [(f.name, _JSON_TYPES.get(str(f.type).partition("[")[0]), str(f.type)) for f in fields(kind)]
    return [(name, types, annotation) for name, types, annotation in named if types is not None]


# Evidence has tens of thousands of records: what is the same for each is made once.
_NAMES = frozenset(f.name for f in fields(Record))
_EXPECTED = {"Record": _expected(Record), "ErrorInfo": _expected(ErrorInfo)}


def _require_types(item: Record | ErrorInfo) -> None:
    for name, types, annotation in _EXPECTED[type(item).__name__]:
        value = getattr(item, name)
        if not isinstance(value, types):
            raise HarnessError(f"record field {name!r} is {value!r}, expected {annotation}")


def sort_records(records: Iterable[Record]) -> list[Record]:
    """Records in the stable order of committed evidence: by case, recipe, unit; numbers in ids by value."""
    return sorted(records, key=lambda r: (natural_key(r.case), r.recipe, r.unit))


_RUNS = re.compile("[0-9]+|[^0-9]+")


def natural_key(text: str) -> list[tuple[int, int | str]]:
    """Sort key in which `opinfo-10` follows `opinfo-9`."""
    return [(0, int(part)) if "0" <= part[0] <= "9" else (1, part) for part in _RUNS.findall(text)]


# JSON has no inf and nan; `headroom` of an exact result is infinite.
def _number_to_json(value: Any) -> Any:
    if isinstance(value, float):
        if value != value:
            return "nan"
        if value in (float("inf"), float("-inf")):
            return "inf" if value > 0 else "-inf"
        return float(f"{value:.6g}")
    return value


def _numerics_to_json(numerics: Numerics) -> dict[str, Any]:
    data = {"class": numerics.tolerance_class}
    for f in fields(numerics):
        value = getattr(numerics, f.name)
        if f.name != "tolerance_class" and value is not None:
            data[f.name] = _number_to_json(value)
    return data


def _numerics_from_json(data: dict[str, Any]) -> Numerics:
    values = {k: v if k == "at" else float(v) for k, v in data.items() if k != "class"}
    return Numerics(tolerance_class=str(data.get("class", "")), **values)  # type: ignore[arg-type]
