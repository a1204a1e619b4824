"""Outcomes, phases, units and levels: the words every record, id and page uses."""

from __future__ import annotations

from enum import StrEnum


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
    STATE = "state"
    MULTIFUNCTION = "multifunction"
    USER = "user"


#: Kinds whose cases try one operator; a program of several says too little about each of its own.
OF_OPERATORS: frozenset[Kind] = frozenset({Kind.OPERATOR, Kind.PARTITIONER})


class Outcome(StrEnum):
    """What a check found. The meanings are in `OUTCOME_MEANINGS`, in words a page can print."""

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
    CRASH = "crash"
    TIMEOUT = "timeout"
    WRONG_SHAPE = "wrong_shape"
    WRONG_DTYPE = "wrong_dtype"
    WRONG_VALUE = "wrong_value"
    OUT_OF_RANGE = "out_of_range"
    NOT_RUN = "not_run"
    INVALID_CASE = "invalid_case"


OUTCOME_MEANINGS: dict[Outcome, str] = {
    Outcome.PASS: "everything delegated, result within bounds",
    Outcome.PARTIAL: "some nodes delegated, the rest fell back, result within bounds",
    Outcome.FALLBACK: "nothing delegated; ExecuTorch's own kernels run it",
    Outcome.NON_DETERMINISTIC: "two equal predictions gave different answers, each within bounds",
    Outcome.UNSUPPORTED: "cleanly refused before Core ML (export or edge)",
    Outcome.CONVERT_ERROR: "claimed by the partitioner, then conversion raised: the whole model fails to lower",
    Outcome.INVALID_PROGRAM: "the emitted program contradicts itself (declared shape or dtype, missing value)",
    Outcome.EMIT_ERROR: "serialising the .pte failed",
    Outcome.LOAD_ERROR: "the emitted program does not load",
    Outcome.RUN_ERROR: "the program loads, then running it raises",
    Outcome.CRASH: "the process died; signal and the tail of stderr are kept",
    Outcome.TIMEOUT: "no answer within the deadline of one check",
    Outcome.WRONG_SHAPE: "another shape than eager's",
    Outcome.WRONG_DTYPE: "another dtype than eager's",
    Outcome.WRONG_VALUE: "a value outside the bound",
    Outcome.OUT_OF_RANGE: "reference finite, got inf, NaN or a saturated intermediate in the recipe's precision",
    Outcome.NOT_RUN: "this unit cannot judge it here; neither support nor the lack of it",
    Outcome.INVALID_CASE: "eager itself fails, or the operator is random: a fault of the case, not of the backend",
}

#: From best to worst for the user; a move to the right is a regression. `not_run` and
#: `invalid_case` say nothing about the backend and stand outside the order.
SEVERITY: tuple[Outcome, ...] = (
    Outcome.PASS,
    Outcome.PARTIAL,
    Outcome.FALLBACK,
    Outcome.NON_DETERMINISTIC,
    Outcome.UNSUPPORTED,
    Outcome.CONVERT_ERROR,
    Outcome.EMIT_ERROR,
    Outcome.LOAD_ERROR,
    Outcome.RUN_ERROR,
    Outcome.TIMEOUT,
    Outcome.CRASH,
    Outcome.INVALID_PROGRAM,
    Outcome.OUT_OF_RANGE,
    Outcome.WRONG_DTYPE,
    Outcome.WRONG_SHAPE,
    Outcome.WRONG_VALUE,
)

#: Outcomes in which the user's program works: `harness check` exits 0 on these alone.
WORKING: frozenset[Outcome] = frozenset({Outcome.PASS, Outcome.PARTIAL, Outcome.FALLBACK})

#: Outcomes that carry no judgement of the backend.
UNJUDGED: frozenset[Outcome] = frozenset({Outcome.NOT_RUN, Outcome.INVALID_CASE})

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
