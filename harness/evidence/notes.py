"""`Note`: what a reader of a record should know beside its outcome; a code for programs, a detail for people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NoteCode(StrEnum):
    """What a note is about."""

    #: Values that changed on their way into or out of a delegate.
    INPUT_CHANGED = "input_changed"
    OUTPUT_LOST = "output_lost"
    #: The verdict hangs on semantics that the documentation leaves open.
    UNDOCUMENTED = "undocumented"
    #: What the reference executor saw while it ran.
    NON_FINITE = "non_finite"
    DUPLICATE_INDEX = "duplicate_index"
    CORE_ML_WARNING = "core_ml_warning"
    NON_DETERMINISTIC = "non_deterministic"
    PLACEMENT_UNKNOWN = "placement_unknown"
    PLAN_INCOMPLETE = "plan_incomplete"
    NOT_ON_ANE = "not_on_ane"
    #: How exact the truth is, where it is not eager in float64.
    TRUTH = "truth"
    #: An operator without a row in the table of tolerances.
    NO_ROW = "no_row"
    #: A rule of Core ML's loader that the program breaks, by its name: it is not loaded.
    LOAD_RULE = "load_rule"
    #: A rule that only systems newer than the deployment target have.
    REFUSED_BY_NEWER_SYSTEMS = "refused_by_newer_systems"
    NOTHING_COMPARED = "nothing_compared"
    THRESHOLD_LOWERED = "threshold_lowered"
    #: What a run with every float widened tells of a value out of bounds.
    RIGHT_WHEN_WIDENED = "right_when_widened"
    STILL_WRONG = "still_wrong"
    NOT_WIDENED = "not_widened"
    #: What a failure is put down to: the ATen overload, or the user's input, by its name; its place in the user's
    #: source.
    OPERATOR = "operator"
    INPUT = "input"
    SOURCE = "source"
    #: A MIL operator that the program lacks: passes folded what it made wrong into a constant.
    FOLDED = "folded"
    #: The program has a constant that is infinite, and a finite number beyond the range of fp16 before the passes.
    CONSTANT_OVERFLOWS = "constant_overflows"
    #: Eager computing in the recipe's precision is as wrong.
    EAGER_TOO = "eager_too"
    #: The ATen overload whose result has another kind of dtype in the program than in the graph, where it fails.
    DTYPE_CHANGED = "dtype_changed"
    #: The scheme of a recipe that quantizes nothing in the module.
    NOTHING_QUANTIZED = "nothing_quantized"
    #: A buffer of the module that the program writes to, and that begins with another value than zero.
    STATE_NOT_ZERO = "state_not_zero"
    #: A promise that the program breaks, by its name (`harness.verdict.promises`).
    BROKEN_PROMISE = "broken_promise"
    #: What is not to be lowered was refused, with the error it is to end with.
    REFUSED_AS_EXPECTED = "refused_as_expected"


#: What a reader is told of details that are a name or a place alone.
_IN_WORDS = {
    NoteCode.OPERATOR: "at operator {}",
    NoteCode.INPUT: "at input {}",
    NoteCode.SOURCE: "in your source: {}",
    NoteCode.FOLDED: "computed while converting, by MIL operator {}",
    NoteCode.DTYPE_CHANGED: "{} has another dtype in the program than in the graph",
    NoteCode.BROKEN_PROMISE: "breaks the promise {}",
    NoteCode.REFUSED_AS_EXPECTED: "refused as expected, {}",
    NoteCode.NOTHING_QUANTIZED: "{} quantizes nothing in this module",
    NoteCode.STATE_NOT_ZERO: "buffer {} begins with another value than zero",
}


@dataclass(frozen=True)
class Note:
    """`str` of it is one line: the detail, in words."""

    code: NoteCode
    detail: str

    def __str__(self) -> str:
        return _IN_WORDS.get(self.code, "{}").format(self.detail)
