"""Where a wrong value comes from: `coreml-harness explain CHECK-ID --localise`.

The check is lowered again. Each delegate is run alone on the inputs that eager gives it; the first MIL operator whose
result leaves the bound of its ATen node is named (`harness.diagnosis.nodes`), and by evaluating the program after each
pass of the conversion (`harness.diagnosis.replay`), the pass after which the results are wrong.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import logging
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import mil
from harness.cases.case import Case, CaseFault
from harness.diagnosis.eager import Answer, EagerUnit
from harness.diagnosis.nodes import (
    Culprit,
    Join,
    Judge,
    Node,
    Result,
    blamed,
    first_inaccurate,
    first_outside,
    made_of,
)
from harness.diagnosis.overflow import overflowed
from harness.diagnosis.replay import Conversion, Replay, State, conversions, converter_source, first_wrong, pass_source
from harness.evidence.check import Check
from harness.evidence.ids import UserCase, split_check_id
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import HarnessError, Outcome, Unit
from harness.lowering.graph import UnplannableGraph
from harness.lowering.lower import Exported, export, lower
from harness.lowering.program import Delegate, DelegateCall, LoweredProgram
from harness.lowering.quantize import prepared_by
from harness.mil.program import Literal, NamedType, Operation
from harness.units.base import (
    DelegateOpener,
    FallbackFailed,
    LoadFailed,
    NotRunnable,
    PredictFailed,
    ProgramContradiction,
)
from harness.units.boundary import to_feature
from harness.units.reference import ReferenceUnit
from harness.units.whole_program import run_program
from harness.verdict.judge import Question, judge, question
from harness.verdict.oracle import InvalidCase, truth
from harness.verdict.tolerance import FP16, format_of

# Stages, in the order in which a value can go wrong.
DECOMPOSITION = "decomposition"
FRONTEND = "frontend"
MIL_PASS = "MIL pass"
FP16_CAST = "fp16 cast"
EMISSION = "emission"
ASSEMBLY = "assembly"

#: By the pass after which the program is wrong; every other is a MIL pass.
_STAGES = {"": FRONTEND, "common::add_fp16_cast": FP16_CAST}
_WIDTH = 12


@dataclass(frozen=True)
class Localisation:
    """`stage` is empty when there is nothing to find, and `reason` says why.

    `widened` tells whether the delegate is right when every float is widened; None where it does not run so.
    `node` is the ATen node outside of its bound, `origin` those the operator was made from, `blamed` the overloads that
    this puts the wrong value down to, `source` where the converter of `node` is defined, `pass_source` the pass.
    `folded` are MIL operators that made the value, and that passes took out of the program since.
    `overflows` says that a constant of the program is infinite, and was a finite number beyond the range of fp16.
    `notes` tell of semantics the documentation leaves open. `eager_too` is the precision in which eager leaves its
    bounds as well, where it does.
    """

    outcome: str
    reason: str = ""
    stage: str = ""
    delegate: int = 0
    delegates: int = 0
    culprit: Culprit | None = None
    node: Node | None = None
    origin: tuple[Node, ...] = ()
    blamed: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    overflows: bool = False
    source: str = ""
    pass_name: str = ""
    pass_source: str = ""
    widened: bool | None = None
    states: tuple[State, ...] = ()
    passes: int = 0
    notes: tuple[str, ...] = ()
    eager_too: str = ""


def run(check_id: str) -> str:
    """The localisation of a check in words. Raises `HarnessError` when there is no such check."""
    case_id, recipe, unit = split_check_id(check_id)
    check = Check.of(_case(case_id), recipe, unit)
    torch.set_num_threads(1)
    return in_words(localise(check.case, check.recipe), str(check.unit))


def _case(case_id: str) -> Case:
    """A case of the suites, or of a user's file, of which the id has the name and not the folder."""
    from harness.cases import exported_file, find, user_file

    named = UserCase.of(case_id)
    if named is None:
        return find.find(case_id)
    paths = [Path(f"{named.stem}{suffix}") for suffix in (".py", exported_file.SUFFIX)]
    path = next(filter(Path.is_file, paths), None)
    if path is None:
        raise HarnessError(f"{case_id}: a case of your own file, and there is no {paths[0]} here: run in its folder")
    return user_file.load_case(path, case_id)


def localise(case: Case, recipe: Recipe, exported: Exported | None = None) -> Localisation:
    """Lower `case` again, nothing cached but what it was `exported` to by this recipe's quantization, where that is
    given, and find where its value goes wrong.

    Raises `HarnessError` where the case has no truth or does not lower to a program that can be run.
    """
    with _quiet():
        try:
            built, judged = prepared_by(case.build(), recipe)
            right = truth(judged.module, judged.inputs, judged.kwargs)
        except (CaseFault, InvalidCase) as error:
            raise HarnessError(f"{case.id}: no truth to compare with: {error}") from None
        # Asked again at each state, and slow: few CPUs compute in fp16.
        right.in_precision = functools.cache(right.in_precision)  # type: ignore[method-assign]
        with conversions() as made:
            lowered = lower(exported or export(built), recipe)
        if lowered.failure is not None:
            return Localisation(str(lowered.failure.outcome), f"no program: {lowered.failure.error.message}")
        if lowered.program is None:
            raise HarnessError(f"{case.id}: {lowered.unplannable}")
        if any(delegate.function for delegate in lowered.program.delegates):
            raise HarnessError(f"{case.id}: a package of several functions is not told apart operator by operator")
        asked = question(case, judged, right, recipe, lowered, lowered.program)
        return _Search(lowered.program, asked, made).found()


class _Search:
    def __init__(self, program: LoweredProgram, asked: Question, conversions: Sequence[Conversion]) -> None:
        self.program, self.asked = program, asked
        self.conversions = [next(c for c in conversions if c.processed == d.processed) for d in program.delegates]

    def found(self) -> Localisation:
        outcome, reason, notes = self._judged(ReferenceUnit())
        undocumented = tuple(dict.fromkeys(str(note) for note in notes if note.code is NoteCode.UNDOCUMENTED))
        base = Localisation(str(outcome), reason, delegates=len(self.program.delegates), notes=undocumented)
        if outcome in (Outcome.PASS, Outcome.NOT_RUN):
            return base
        base = replace(base, eager_too=self._fails_in_eager())
        try:
            eager = EagerUnit(self.program, self.conversions, self.asked.rule, self.asked.precision)
            alone, why, _ = self._judged(eager)
        except (UnplannableGraph, InvalidCase, RuntimeError) as error:
            raise HarnessError(f"the delegated graph cannot be run node by node: {error}") from None
        if alone is Outcome.INVALID_PROGRAM:  # what the package says of itself contradicts the graph
            return replace(base, reason=why, stage=EMISSION)
        if alone in (Outcome.RUN_ERROR, Outcome.NOT_RUN):
            return replace(base, reason=why)
        if alone is not Outcome.PASS:
            return replace(base, reason=why, stage=DECOMPOSITION)
        for number in dict.fromkeys(s.delegate for s in self.program.steps if isinstance(s, DelegateCall)):
            inputs, judge = eager.inputs[number], eager.judges[number]

            def right(answer: Answer, number: int = number) -> bool:
                return self._judged(eager.instead(number, answer))[0] is Outcome.PASS

            found = _Site(self.program.delegates[number], self.conversions[number], judge, right).found(inputs)
            if found is None:
                continue
            if outcome is Outcome.OUT_OF_RANGE and found.get("widened") is False:
                base = replace(base, outcome=str(Outcome.WRONG_VALUE))  # it leaves the range because it is wrong
            return replace(base, delegate=number, **found)
        return replace(base, stage=ASSEMBLY)

    def _fails_in_eager(self) -> str:
        """The precision in which eager itself is judged wrong; empty where it is right, or does not compute in it."""
        dtype = format_of(self.asked.precision).dtype
        right = self.asked.truth
        narrow = right.in_precision(dtype) if dtype is not torch.float32 else None
        if narrow is None:
            return ""
        given = [value.to(as_in.dtype) for value, as_in in zip(narrow, right.outputs, strict=True)]
        wrong = judge(self.asked, given).verdict.outcome is not Outcome.PASS
        return str(dtype).removeprefix("torch.") if wrong else ""

    def _judged(self, unit: DelegateOpener) -> tuple[Outcome, str, list[Note]]:
        """Outcome, reason and notes of the whole program on a unit."""
        try:
            result = run_program(self.program, unit, self.asked.built.leaves)
        except ProgramContradiction as error:
            return Outcome.INVALID_PROGRAM, str(error), []
        except (LoadFailed, PredictFailed, FallbackFailed) as error:
            return Outcome.RUN_ERROR, str(error), []
        except NotRunnable as error:
            return Outcome.NOT_RUN, str(error), []
        verdict = judge(self.asked, result.outputs, result.buffers).verdict
        return verdict.outcome, verdict.reason, result.notes


@dataclass
class _Ran:
    """What came of running a program: results of its operators in order, its answer or the error that ended it."""

    results: list[Result] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)
    error: mil.MilError | None = None


class _Site:
    """One delegate, alone."""

    def __init__(
        self, delegate: Delegate, conversion: Conversion, judge: Judge, right: Callable[[Answer], bool]
    ) -> None:
        """`right` tells whether the check passes with this answer of the delegate, all others being eager's."""
        self.delegate, self.conversion, self.judge, self.right = delegate, conversion, judge, right
        #: The program that the frontend left, and what came of running it, where it runs.
        self.frontend: tuple[mil.Model, _Ran] | None = None

    def found(self, inputs: Sequence[torch.Tensor]) -> dict[str, Any] | None:
        """The fields of a `Localisation`, or None when the delegate's results are right."""
        with tempfile.TemporaryDirectory(prefix="coreml-harness-") as directory:
            try:
                unpacked = self.delegate.unpack(Path(directory))
                model = mil.load(unpacked.package)
                features = ReferenceUnit().open(unpacked).features
            except (mil.MilError, ProgramContradiction, LoadFailed, ValueError, KeyError) as error:
                return {"stage": EMISSION, "reason": str(error)}
            arrays = [to_feature(value, feature)[0] for value, feature in zip(inputs, features, strict=True)]
            ran = _run(model, arrays, unpacked.input_names, unpacked.output_names)
            if self._right(ran):
                return None
            exact = _run(model, arrays, unpacked.input_names, unpacked.output_names, mil.EXACT)
            replay = Replay(self.conversion, lambda snapshot: self._snapshot(snapshot, arrays))
            constants, operations = _constants(model), list(model.function().block.walk())
            made = [constant.operation for constant in constants] + operations
            join = Join(self.judge.edge, made, unpacked.debug_info.get("debugSymbolToHandles", {}), replay.names)
            culprit = self._broken(ran.error, operations, join) if ran.error is not None else None
            results = constants + ran.results
            culprit = culprit or first_outside(self.judge, join, results, len(operations))
            culprit = culprit or first_inaccurate(self.judge, join, results, len(operations))
            folded: tuple[str, ...] = ()
            if earlier := self._in_frontend(replay.names, culprit):
                culprit, made_by = earlier
                folded = tuple(sorted(made_by - {operation.type for operation in operations}))
            if culprit is not None and self._right(exact):
                culprit = overflowed(self.judge, join, results, culprit) or culprit
            found = blamed(culprit, join, operations) if culprit is not None else ()
        nodes = self.judge.edge.nodes
        node = nodes[culprit.node] if culprit is not None and culprit.node is not None else None
        wrong = first_wrong(replay.states)
        pass_name = wrong.name if wrong is not None else ""
        return {
            "stage": EMISSION if wrong is None else _STAGES.get(pass_name, MIL_PASS),
            "culprit": culprit,
            "node": node,
            "origin": tuple(nodes[n] for n in culprit.nodes) if culprit is not None else (),
            "blamed": found,
            "folded": folded,
            "overflows": self._overflows(model),
            "source": converter_source(node.kind) if node is not None else "",
            "pass_name": pass_name,
            "pass_source": pass_source(pass_name),
            "widened": self._right(exact) if exact.error is None else None,
            "states": tuple(replay.states),
            "passes": replay.passes,
        }

    def _right(self, ran: _Ran) -> bool:
        return ran.error is None and self.right(ran.answer)

    def _snapshot(self, model: mil.Model, arrays: Sequence[np.ndarray]) -> tuple[bool | None, str]:
        """Whether a program in the middle of its conversion is right; None with the reason where it does not run."""
        missing = model.missing_kernels()
        if missing:
            return None, f"it holds {', '.join(missing)}"
        ran = _run(model, arrays)
        self.frontend = self.frontend or (model, ran)
        if isinstance(ran.error, mil.InvalidProgram):
            return False, str(ran.error)
        if ran.error is not None:
            return None, str(ran.error)
        return self._right(ran), ""

    def _in_frontend(
        self, names: Mapping[str, Sequence[int]], culprit: Culprit | None
    ) -> tuple[Culprit, frozenset[str]] | None:
        """The culprit of the program that the frontend left, and the types of the operators its node became: what
        passes fold into constants are operators there yet. None where that program has none before `culprit`."""
        if self.frontend is None:
            return None
        model, ran = self.frontend
        constants, operations = _constants(model), list(model.function().block.walk())
        join = Join(self.judge.edge, [*(one.operation for one in constants), *operations], {}, names)
        found = first_outside(self.judge, join, constants + ran.results, len(operations))
        if found is None or found.place < 0 or found.node is None:
            return None
        if culprit is not None and culprit.place >= 0 and (culprit.node is None or culprit.node <= found.node):
            return None
        return found, made_of(found, join, operations)

    def _overflows(self, model: mil.Model) -> bool:
        """Whether a constant of the emitted program became infinite by the passes."""
        before = np.concatenate(_floats(self.frontend[0])) if self.frontend is not None else np.empty(0)
        large = np.isfinite(before) & (np.abs(before) > FP16.largest)
        return bool(large.any()) and bool(np.isinf(np.concatenate(_floats(model))).any())

    def _broken(self, error: mil.MilError, operations: Sequence[Operation], join: Join) -> Culprit | None:
        """The operator that ended the run."""
        output = getattr(error, "output", None)
        for place, operation in enumerate(operations):
            if output is not None and output in (operation.name, *(item.name for item in operation.outputs)):
                nodes = join.nodes_of(operation)
                node = nodes[-1] if nodes else None
                return Culprit(operation.type, output, place, len(operations), node, nodes, str(error))
        return None


def _constants(model: mil.Model) -> list[Result]:
    """The constants of a program as results of operators before the first."""
    return [
        Result(Operation("const", name, {}, (NamedType(name, literal.type),)), 0, literal.value, -1)
        for name, literal in model.function().block.constants.items()
    ]


def _floats(model: mil.Model) -> list[np.ndarray]:
    """The numbers among the constants of a program and the arguments given in place; never an empty list."""
    block = model.function().block
    arguments = (one for operation in block.walk() for one in operation.inputs.values())
    given = (one for argument in arguments for one in (argument if isinstance(argument, tuple) else (argument,)))
    literals = (*block.constants.values(), *(one for one in given if isinstance(one, Literal)))
    values = (np.asarray(literal.value) for literal in literals)
    return [np.empty(0), *(value.reshape(-1).astype(np.float64) for value in values if value.dtype.kind == "f")]


def _run(
    model: mil.Model,
    arrays: Sequence[np.ndarray],
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    mode: str = mil.WIDE,
) -> _Ran:
    """Run a program on arrays by position of the names, or of the function's own inputs and outputs."""
    ran = _Ran()
    declared = {item.name: item.type for item in model.function().inputs if isinstance(item.type, mil.TensorType)}
    names = list(declared) if inputs is None else list(inputs)
    arguments = {}
    for name, array in zip(names, arrays, strict=False):
        shape = declared[name].shape
        fixed = [size for size in shape or () if size is not None]
        fits = shape is not None and len(fixed) == len(shape) and math.prod(fixed) == array.size
        arguments[name] = array.reshape(fixed) if fits else array

    places = {id(operation): place for place, operation in enumerate(model.function().block.walk())}

    def observe(operation: Operation, results: tuple[Any, ...]) -> None:
        place = places[id(operation)]
        ran.results += [Result(operation, output, value, place) for output, value in enumerate(results)]

    try:
        state = model.make_state()
        found = model.run(arguments, mode=mode, state=state, observer=observe)
        ran.answer = Answer([found.outputs[name] for name in (outputs or found.outputs)], state)
    except mil.MilError as error:
        ran.error = error
    return ran


def in_words(found: Localisation, unit: str = Unit.REFERENCE) -> str:
    """The localisation as lines of a name and a fact, as `explain` writes them; `unit` is the check's."""
    facts = [("localised", _headline(found))]
    if unit != Unit.REFERENCE:
        facts.append(("unit", f"judged by the documented semantics of the program, on {Unit.REFERENCE}, not on {unit}"))
    if found.delegates > 1 and found.culprit is not None:
        facts.append(("delegate", f"{found.delegate + 1} of {found.delegates}"))
    culprit, node = found.culprit, found.node
    if culprit is not None:
        where = f"operator {culprit.place + 1} of {culprit.of}" if culprit.place >= 0 else "a constant"
        how = "contradict its declared type" if found.outcome == Outcome.INVALID_PROGRAM else "leave its bound"
        how = "leave the range of its precision" if culprit.range_left else how
        how += ", on the inputs it was given" if culprit.local else ""
        facts.append(("MIL", f"{culprit.operator} -> {culprit.output}, {where}, is the first to {how}"))
    if node is not None:
        facts.append(("ATen", _described(node)))
    others = [_described(other) for other in found.origin if other != node]
    facts.append(("or one of", "\n".join(others)))
    if culprit is not None:
        facts.append(("values", culprit.reason))
    elif found.stage in (FRONTEND, MIL_PASS, FP16_CAST):  # no operator's value is wrong: a state is not written
        facts.append(("values", found.reason))
    facts += [("converter", found.source), ("pass", found.pass_source)]
    facts.append(("passes", _steps(found)))
    if found.stage and found.widened is not None:
        text = "right" if found.widened else "still wrong"
        facts.append(("precision", f"{text} when every float is widened"))
    facts += [("note", note) for note in found.notes]
    indented = ((name, text.replace("\n", "\n" + " " * _WIDTH)) for name, text in facts if text)
    return "\n".join(f"{name:<{_WIDTH}}{text}" for name, text in indented)


def _headline(found: Localisation) -> str:
    meanings = {
        DECOMPOSITION: f"wrong before Core ML: the edge program itself gives other values; {found.reason}",
        FRONTEND: "wrong from the frontend on",
        MIL_PASS: f"wrong after the MIL pass {found.pass_name}, right before it",
        FP16_CAST: f"wrong after the fp16 cast ({found.pass_name}), right before it",
        EMISSION: f"the program is right after the last pass, wrong as it was emitted; {found.reason}",
        ASSEMBLY: f"each delegate alone gives results that are right, together they do not: {found.reason}",
    }
    if found.stage:
        return meanings[found.stage]
    if found.outcome == Outcome.PASS:
        return "nothing wrong: the results are within their bounds"
    return f"nothing to compare: {found.outcome}; {found.reason}"


def _described(node: Node) -> str:
    handle = f", debug handle {node.handle}" if node.handle is not None else ""
    return f"{node.target} ({node.name}{handle})"


def _steps(found: Localisation) -> str:
    if not found.states:
        return ""
    changed = [state for state in found.states if state.name]
    lines = [f"{found.passes} run, {len(changed)} changed the program"]
    words = {True: "right", False: "wrong"}
    known = [state for state in found.states if state.right is not None]
    turns = known[:1] + [after for before, after in itertools.pairwise(known) if before.right != after.right]
    if len(turns) > 2:  # back and forth
        lines.append(", ".join(f"{words[bool(state.right)]} after {state.name or 'the frontend'}" for state in turns))
    unknown = [state for state in found.states if state.right is None]
    lines += [f"{state.name or 'frontend'} left a program that cannot be run: {state.why}" for state in unknown]
    return "\n".join(lines)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the log lines and progress bars of the measured packages."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)
