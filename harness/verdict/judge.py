"""The one judgement: what a lowered program gave against what is right, wherever it ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from harness.cases.case import Built, Case
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering.lower import Lowered
from harness.lowering.program import LoweredProgram
from harness.verdict.agreement import agreement
from harness.verdict.budget import within_budget
from harness.verdict.buffers import both, judge_buffers
from harness.verdict.compare import Verdict, compare
from harness.verdict.difference import difference, worse
from harness.verdict.oracle import Truth, truth_of_buffers
from harness.verdict.promises import Asked
from harness.verdict.propagate import bounds
from harness.verdict.readings import nearest
from harness.verdict.table import MODEL, rule_for
from harness.verdict.tolerance import Rule, effective_precision, format_of


@dataclass(frozen=True)
class Question:
    """What the results of one program are judged by: the truth, a rule, a precision, the buffers it writes to, what it
    was asked to be, and whether its first output may be scores, as a whole model's."""

    truth: Truth
    built: Built
    rule: Rule
    precision: str
    written: tuple[str, ...]
    asked: Asked | None = None
    scores: bool = False


class Answer(Protocol):
    """What a program gave: its outputs, and what it left in buffers, where that can be told."""

    @property
    def outputs(self) -> list[Any]: ...
    @property
    def buffers(self) -> dict[str, Tensor] | None: ...


@dataclass(frozen=True)
class Judgement:
    """The verdict, and the answer it is about: of two different ones the worse, as tensors."""

    verdict: Verdict
    outputs: list[Tensor]


def question(
    case: Case, built: Built, right: Truth, recipe: Recipe, lowered: Lowered, program: LoweredProgram
) -> Question:
    """What is asked of a case's program, on every unit alike.

    The types of an ML Program say what each operator computes in at least: a unit without float32, the Neural Engine,
    is not given an operator in float32, and one that computes wider stays within the bounds.
    Source: the guide of Core ML Tools, "Typed Execution". A state is float16 in every program: there is no other.
    Source: the same guide, "Stateful Models". A whole model is judged as its operators are, and by its signal-to-noise
    ratio where running it again for its bounds would take too long, or leads nowhere.
    """
    operators = [op for op, count in lowered.exported_ops.items() for _ in range(count)]
    rule = rule_for(case.op, operators)
    states = [torch.empty(0, dtype=torch.float16)] if any(d.buffers for d in program.delegates) else []
    inputs = [leaf for leaf in built.leaves if isinstance(leaf, Tensor)]
    precision = effective_precision(recipe.precision, program.delegates, inputs, right.reference, states)
    if case.whole_model and (not within_budget(right) or not bounds(right, rule, format_of(precision)).whole):
        rule = MODEL
    held = [name for name, _ in (*built.module.named_parameters(), *built.module.named_buffers())]
    asked = Asked.of(recipe, built.partitioning, held, several=bool(built.beside))
    return Question(right, built, rule, precision, program.written, asked, scores=case.whole_model)


def judge(
    asked: Question,
    outputs: Sequence[Any],
    buffers: Mapping[str, Tensor] | None = None,
    again: Sequence[Any] | None = None,
) -> Judgement:
    """Judge the outputs of a call and what it left in buffers, where the unit can tell; `again` are the outputs of a
    second, equal call, None where they were the same.

    Raises `InvalidCase` where eager does not tell what buffers hold.
    """
    first = as_tensors(outputs)
    verdict = _compare(first, asked)
    if buffers is not None and asked.written:
        built, right = asked.built, asked.truth
        found = judge_buffers(
            buffers,
            asked.written,
            built.module,
            built.inputs,
            asked.rule,
            asked.precision,
            kwargs=built.kwargs,
            before=right.before,
        )
        verdict = both(verdict, found)
    if again is None:
        return Judgement(_with_agreement(verdict, first, asked), first)
    second = as_tensors(again)
    apart = difference(second, first, asked.precision)
    verdict, second_rules = worse(verdict, _compare(second, asked), apart)
    ruling = second if second_rules else first
    return Judgement(_with_agreement(verdict, ruling, asked), ruling)


def _with_agreement(verdict: Verdict, outputs: list[Tensor], asked: Question) -> Verdict:
    if not asked.scores or verdict.numerics is None or verdict.phase is not Phase.VALUE:
        return verdict
    found: dict[str, Any] = {**agreement(outputs, asked.truth, asked.rule, format_of(asked.precision))}
    return replace(verdict, numerics=replace(verdict.numerics, **found))


def _compare(got: list[Tensor], asked: Question) -> Verdict:
    """The verdict on one answer. Where eager itself is wrong by float64, further than rounding explains, there are two
    programs: what a dtype decides (a kernel of its own, an epsilon) is another in float64, and undefined inputs have no
    answer at all. What agrees with eager as the user runs it is right then."""
    right, rule = asked.truth, asked.rule
    verdict = compare(got, right, rule, asked.precision)
    if verdict.outcome is not Outcome.WRONG_VALUE or not right.exact or rule is MODEL:
        return verdict
    inputs = [leaf for leaf in asked.built.leaves if isinstance(leaf, Tensor)]
    own = effective_precision("fp32", True, inputs, right.reference)
    if compare(right.reference, right, rule, own).outcome is not Outcome.WRONG_VALUE:
        return verdict
    by_eager = compare(got, right.in_own_dtype("float64 gives another result"), rule, asked.precision)
    return by_eager if by_eager.outcome is Outcome.PASS else verdict


def undocumented(verdict: Verdict, notes: Sequence[Note]) -> Note | None:
    """What a value on the reference executor may hang on, be it right or wrong: semantics that no documentation
    settles."""
    found = [note for note in notes if note.code is NoteCode.UNDOCUMENTED]
    return found[0] if found and verdict.phase is Phase.VALUE else None


def judge_readings(asked: Question, first: Answer, others: Sequence[Answer], filled: Sequence[Answer]) -> Judgement:
    """Judge a program by its most favourable reading, element by element: `others` are its answers by other readings of
    what is undocumented, `filled` those with something arbitrary where no reading is known.

    What fails is wrong by every reading; what passes hangs on the reading.
    """

    def by(group: Sequence[Answer]) -> list[list[Tensor]]:
        return [as_tensors(answer.outputs) for answer in group]

    outputs = nearest(as_tensors(first.outputs), by(others), by(filled), asked.truth.outputs)
    names = [name for name in asked.written if name in (first.buffers or {})]
    if not names:
        return judge(asked, outputs, first.buffers)

    def held(group: Sequence[Answer]) -> list[list[Tensor]]:
        return [[(answer.buffers or {})[name] for name in names] for answer in group]

    built = asked.built
    right = truth_of_buffers(built.module, built.inputs, names, built.kwargs, asked.truth.before).outputs
    buffers = nearest(held([first])[0], held(others), held(filled), right)
    return judge(asked, outputs, dict(zip(names, buffers, strict=True)))


def as_tensors(outputs: Sequence[Any]) -> list[Tensor]:
    """What is compared of a program's outputs: a number is a tensor of rank 0, None is nothing."""
    return [value if isinstance(value, Tensor) else torch.tensor(value) for value in outputs if value is not None]
