"""What a program leaves in the module's buffers, judged like its outputs: the next call depends on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harness.cases.case import Arguments
from harness.evidence.notes import Note, NoteCode
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering.program import LoweredProgram
from harness.verdict.compare import Verdict, compare
from harness.verdict.oracle import truth_of_buffers
from harness.verdict.tolerance import Rule


def judge_buffers(
    got: Mapping[str, Tensor],
    written: Sequence[str],
    module: torch.nn.Module,
    inputs: tuple[Any, ...],
    rule: Rule,
    precision: str,
    *,
    kwargs: Mapping[str, Any] | None = None,
    before: Sequence[Arguments] = (),
) -> Verdict:
    """The buffers `written` after a call of the program, `got`, against those of `module(*inputs, **kwargs)`, called
    with each of `before` first; it is not changed. A value comes as the unit holds it, a state in float16, and is
    compared in the buffer's own dtype.

    A state that lost its buffer is a wrong value. Raises `InvalidCase` as `truth_of_buffers` does.
    """
    lost = [name for name in written if name not in got]
    if lost:
        reason = f"buffer {lost[0]}: what is written to it is lost, the package has no state for it"
        return Verdict(Outcome.WRONG_VALUE, Phase.VALUE, reason=reason)
    truth = truth_of_buffers(module, inputs, written, kwargs, before)
    values = [got[name].to(expected.dtype) for name, expected in zip(written, truth.reference, strict=True)]
    verdict = compare(values, truth, rule, precision)
    numerics = verdict.numerics
    if numerics is not None and numerics.at is not None:
        numerics = replace(numerics, at=_named(f"output {numerics.at}", written))
    notes = [replace(note, detail=_named(note.detail, written)) for note in verdict.notes]
    return replace(verdict, reason=_named(verdict.reason, written), numerics=numerics, notes=notes)


def both(outputs: Verdict, buffers: Verdict) -> Verdict:
    """The verdict on a program: that on its outputs, unless they are right and its buffers are not."""
    if outputs.outcome is not Outcome.PASS or buffers.outcome is Outcome.PASS:
        return outputs
    return replace(buffers, notes=outputs.notes + buffers.notes)


def begun(module: torch.nn.Module, program: LoweredProgram) -> list[Note]:
    """A note for each buffer that the program writes to, and that begins with another value than zero."""
    states = set(program.written)
    return [
        Note(NoteCode.STATE_NOT_ZERO, name) for name, value in module.named_buffers() if name in states and value.any()
    ]


def _named(text: str, names: Sequence[str]) -> str:
    """`output 1: ...` is about the second buffer."""
    return re.sub(r"\boutput (\d+)", lambda match: f"buffer {names[int(match[1])]}", text)
