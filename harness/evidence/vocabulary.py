"""Outcomes, phases, units and levels: the words every record, id and page uses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, StrEnum, auto


class Phase(StrEnum):
    """The ladder a check climbs; a failing record names the rung it fell from."""

    EAGER = "eager"
    EXPORT = "export"
    EDGE = "edge"
    PARTITION = "partition"
    CONVERT = "convert"
    PACKAGE = "package"
    EMIT = "emit"
    LOAD = "load"
    PLAN = "plan"
    RUN = "run"
    SHAPE = "shape"
    DTYPE = "dtype"
    VALUE = "value"


class Kind(StrEnum):
    """What a case is about. `OF_OPERATORS` are made to try one operator."""

    OPERATOR = "operator"
    PARTITIONER = "partitioner"
    MODEL = "model"
    MODULE = "module"
    SHAPES = "shapes"
    STATE = "state"
    MULTIFUNCTION = "multifunction"
    QUANTIZATION = "quantization"
    OPTION = "option"
    PROGRAM = "program"
    DOCUMENTATION = "documentation"
    USER = "user"


#: Kinds whose cases try one operator; a program of several says too little about each of its own.
OF_OPERATORS: frozenset[Kind] = frozenset({Kind.OPERATOR, Kind.PARTITIONER})


#: Kinds whose cases are modules about no operator in particular: what fails in one is put down to one of its own.
OF_MODULES: frozenset[Kind] = frozenset({Kind.MODULE, Kind.USER})


#: Kinds whose cases are whole programs under names of their own.
OF_PROGRAMS: frozenset[Kind] = frozenset(
    {Kind.MODEL, Kind.SHAPES, Kind.STATE, Kind.MULTIFUNCTION, Kind.QUANTIZATION, Kind.DOCUMENTATION}
)


class Outcome(StrEnum):
    """What a check found; `OUTCOMES` tells what each means."""

    PASS = "pass"
    PARTIAL = "partial"
    FALLBACK = "fallback"
    NON_DETERMINISTIC = "non_deterministic"
    UNSUPPORTED = "unsupported"
    CONVERT_ERROR = "convert_error"
    INVALID_PROGRAM = "invalid_program"
    EMIT_ERROR = "emit_error"
    LOAD_ERROR = "load_error"
    RUN_ERROR = "run_error"
    NOT_REFUSED = "not_refused"
    CRASH = "crash"
    TIMEOUT = "timeout"
    WRONG_SHAPE = "wrong_shape"
    WRONG_DTYPE = "wrong_dtype"
    WRONG_VALUE = "wrong_value"
    OUT_OF_RANGE = "out_of_range"
    NOT_RUN = "not_run"
    INVALID_CASE = "invalid_case"


class Effect(StrEnum):
    """What an outcome comes to for the user: what pages sort by."""

    DELEGATED = "delegated"
    IN_PART = "delegated in part"
    LEFT_OUT = "left to ExecuTorch"
    UNSTABLE = "not the same twice"
    REFUSED = "refused before Core ML"
    FAILS = "fails to convert, load or run"
    CONTRADICTORY = "contradicts itself"
    OUT_OF_RANGE = "out of range"
    WRONG = "wrong"
    NOTHING = "judges nothing"


class Trait(Flag):
    """What may be said of an outcome.

    JUDGED: it says something of the backend. WORKS: the user's program works. ANSWERED: the program ran to its end.
    BOUNDED: a value that the backend computed was held against a bound. SETTLED: found in the program, so that it is
    the same on every unit. WRONG: the answer is not eager's. ROUNDING: the recipe's precision alone may be behind it.
    CAUSED: it may have a cause upstream. LIMITED: without a described cause it is taken for a limitation.
    """

    JUDGED = auto()
    WORKS = auto()
    ANSWERED = auto()
    BOUNDED = auto()
    SETTLED = auto()
    WRONG = auto()
    ROUNDING = auto()
    CAUSED = auto()
    LIMITED = auto()


@dataclass(frozen=True)
class OutcomeRow:
    """All that is known of an outcome; `meaning` is in words a page can print."""

    outcome: Outcome
    effect: Effect
    traits: Trait
    meaning: str


_WORKS = Trait.JUDGED | Trait.WORKS | Trait.ANSWERED
_FAILS = Trait.JUDGED | Trait.CAUSED
_ANSWERS = _FAILS | Trait.ANSWERED
_WRONG = _ANSWERS | Trait.WRONG

#: From best to worst for the user, then what judges nothing: that stands outside the order.
OUTCOMES: tuple[OutcomeRow, ...] = (
    OutcomeRow(
        Outcome.PASS,
        Effect.DELEGATED,
        _WORKS | Trait.BOUNDED,
        "everything delegated, result within bounds",
    ),
    OutcomeRow(
        Outcome.PARTIAL,
        Effect.IN_PART,
        _WORKS | Trait.BOUNDED | Trait.SETTLED | Trait.CAUSED | Trait.LIMITED,
        "some nodes delegated, the rest fell back, result within bounds",
    ),
    OutcomeRow(
        Outcome.FALLBACK,
        Effect.LEFT_OUT,
        _WORKS | Trait.SETTLED | Trait.CAUSED | Trait.LIMITED,
        "nothing delegated; ExecuTorch's own kernels run it",
    ),
    OutcomeRow(
        Outcome.NON_DETERMINISTIC,
        Effect.UNSTABLE,
        _ANSWERS | Trait.BOUNDED,
        "two equal predictions gave different answers, each within bounds",
    ),
    OutcomeRow(
        Outcome.UNSUPPORTED,
        Effect.REFUSED,
        _FAILS | Trait.SETTLED | Trait.LIMITED,
        "cleanly refused before Core ML (export or edge)",
    ),
    OutcomeRow(
        Outcome.CONVERT_ERROR,
        Effect.FAILS,
        _FAILS | Trait.SETTLED,
        "claimed by the partitioner, then conversion raised: the whole model fails to lower",
    ),
    OutcomeRow(Outcome.EMIT_ERROR, Effect.FAILS, _FAILS | Trait.SETTLED, "serialising the .pte failed"),
    OutcomeRow(Outcome.LOAD_ERROR, Effect.FAILS, _FAILS, "the emitted program does not load"),
    OutcomeRow(Outcome.RUN_ERROR, Effect.FAILS, _FAILS, "the program loads, then running it raises"),
    OutcomeRow(Outcome.TIMEOUT, Effect.FAILS, _FAILS, "no answer within the deadline of one check"),
    OutcomeRow(Outcome.CRASH, Effect.FAILS, _FAILS, "the process died; signal and the tail of stderr are kept"),
    OutcomeRow(
        Outcome.INVALID_PROGRAM,
        Effect.CONTRADICTORY,
        _FAILS,
        "the emitted program contradicts itself (declared shape or dtype, missing value) or what was asked for",
    ),
    OutcomeRow(
        Outcome.OUT_OF_RANGE,
        Effect.OUT_OF_RANGE,
        _WRONG | Trait.BOUNDED | Trait.ROUNDING,
        "reference finite, got inf, NaN or a saturated intermediate in the recipe's precision",
    ),
    OutcomeRow(
        Outcome.NOT_REFUSED,
        Effect.WRONG,
        _ANSWERS,
        "right, and answers a call that it has to refuse: of a shape that it was not lowered for",
    ),
    OutcomeRow(Outcome.WRONG_DTYPE, Effect.WRONG, _WRONG, "another dtype than eager's"),
    OutcomeRow(Outcome.WRONG_SHAPE, Effect.WRONG, _WRONG, "another shape than eager's"),
    OutcomeRow(Outcome.WRONG_VALUE, Effect.WRONG, _WRONG | Trait.BOUNDED | Trait.ROUNDING, "a value outside the bound"),
    OutcomeRow(
        Outcome.INVALID_CASE,
        Effect.NOTHING,
        Trait.SETTLED | Trait.CAUSED,
        "a fault of the case, not of the backend: eager fails, the result is random, or the form is not taken",
    ),
    OutcomeRow(
        Outcome.NOT_RUN,
        Effect.NOTHING,
        Trait(0),
        "this unit cannot judge it here; neither support nor the lack of it",
    ),
)


def outcomes_with(trait: Trait) -> frozenset[Outcome]:
    return frozenset(row.outcome for row in OUTCOMES if trait in row.traits)


def outcomes_of(*effects: Effect) -> frozenset[Outcome]:
    return frozenset(row.outcome for row in OUTCOMES if row.effect in effects)


OUTCOME_MEANINGS: dict[Outcome, str] = {row.outcome: row.meaning for row in OUTCOMES}

#: From best to worst for the user; a move to the right is a regression. What judges nothing stands outside.
SEVERITY: tuple[Outcome, ...] = tuple(row.outcome for row in OUTCOMES if Trait.JUDGED in row.traits)
#: Places in `SEVERITY`.
RANK: dict[Outcome, int] = {outcome: rank for rank, outcome in enumerate(SEVERITY)}
#: Best first; those that judge nothing last.
ORDER: tuple[Outcome, ...] = tuple(row.outcome for row in OUTCOMES)

#: Outcomes in which the user's program works: `harness check` exits 0 on these alone.
WORKING: frozenset[Outcome] = outcomes_with(Trait.WORKS)
#: Outcomes that carry no judgement of the backend.
UNJUDGED: frozenset[Outcome] = frozenset(Outcome) - outcomes_with(Trait.JUDGED)
#: Outcomes that say something is wrong with the backend.
FAILING: frozenset[Outcome] = frozenset(SEVERITY) - WORKING
#: The delegates gave the right result.
DELEGATED: frozenset[Outcome] = outcomes_of(Effect.DELEGATED, Effect.IN_PART)
#: Found by comparing values: the reason says what was got, and no two of these are equal.
BY_VALUE: frozenset[Outcome] = outcomes_with(Trait.ANSWERED) - WORKING

#: Outcomes settled before anything runs; they are the same on every unit.
BEFORE_RUNNING: frozenset[Phase] = frozenset(
    {Phase.EAGER, Phase.EXPORT, Phase.EDGE, Phase.PARTITION, Phase.CONVERT, Phase.PACKAGE, Phase.EMIT}
)


class Unit(StrEnum):
    """A place to run a lowered program. `executorch` and `device` may take a parameter: `executorch:cpu_only`."""

    REFERENCE = "reference"
    CPU_ONLY = "cpu_only"
    CPU_AND_GPU = "cpu_and_gpu"
    CPU_AND_NE = "cpu_and_ne"
    ALL = "all"
    EXECUTORCH = "executorch"
    DEVICE = "device"


#: What each runs, in words a page can print.
UNIT_MEANINGS: dict[Unit, str] = {
    Unit.REFERENCE: "interpreter of the emitted ML Program",
    Unit.CPU_ONLY: "Core ML, CPU only",
    Unit.CPU_AND_GPU: "Core ML, CPU and GPU allowed",
    Unit.CPU_AND_NE: "Core ML, CPU and ANE allowed",
    Unit.ALL: "Core ML, every device allowed",
    Unit.EXECUTORCH: "the .pte on the ExecuTorch runtime",
    Unit.DEVICE: "Core ML on a connected iPhone or iPad",
}

#: Core ML's own units, through coremltools on this machine.
HARDWARE_UNITS: tuple[Unit, ...] = (Unit.CPU_ONLY, Unit.CPU_AND_GPU, Unit.CPU_AND_NE, Unit.ALL)


#: The stage of what Core ML itself gets wrong, in records and in causes.
RUNTIME = "runtime"


class Level(StrEnum):
    """How much is run: one sample of each operator, a varied handful, everything."""

    SMOKE = "smoke"
    STANDARD = "standard"
    FULL = "full"


class ToleranceClass(StrEnum):
    """How a value is judged; NUMERICS chapter of the documentation gives the bounds."""

    EXACT = "EXACT"
    ULP = "ULP"
    ABS_ERROR = "ABS_ERROR"
    DOT_PRODUCT = "DOT_PRODUCT"
    REDUCE_PRODUCT = "REDUCE_PRODUCT"
    COMPOSED = "COMPOSED"
    SQNR = "SQNR"


class HarnessError(Exception):
    """The command itself could not be carried out: one clear line on stderr, exit code 2."""
