"""Comparison of a result with the truth: number, shapes, dtypes, then values under the rule's bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import Numerics
from harness.evidence.vocabulary import Outcome, Phase
from harness.evidence.vocabulary import ToleranceClass as C
from harness.verdict.freedom import settle
from harness.verdict.oracle import Truth
from harness.verdict.propagate import Bounds, Choice, bounds
from harness.verdict.signal import judge_output
from harness.verdict.table import NO_ROW
from harness.verdict.tolerance import (
    DOT_VARIANCE,
    SQNR_THRESHOLD_DB,
    Format,
    Rule,
    dot_statistic,
    flushed,
    format_of,
    sqnr,
)

_WORST_FIRST = (Outcome.WRONG_VALUE, Outcome.OUT_OF_RANGE)

#: The note of a pass that says nothing about values.
NOTHING_COMPARED = Note(NoteCode.NOTHING_COMPARED, "no value compared: every output is empty")


def nothing_compared(outputs: list[Tensor], f: Format, several: bool) -> Note | None:
    """The note of a pass whose outputs say little of a program, None where they say something.

    Empty ones; a signal that has died away to numbers below those of `f`; and, of `several` operators, one number
    throughout, as a last layer whose weights are 0 makes it.
    """
    if all(t.numel() == 0 for t in outputs):
        return NOTHING_COMPARED
    if not all(_is_float(t) for t in outputs):
        return None
    largest = max(float(_computable(t).abs().nan_to_num(math.inf).max()) for t in outputs if t.numel())
    if 0 < largest < f.smallest_normal:
        text = f"0 is right for all, {largest:.3g} at most; {f.name} begins at {f.smallest_normal:.3g}"
    elif several and all(t.numel() != 1 and bool((t.flatten() == t.flatten()[:1]).all()) for t in outputs):
        text = f"every output is {', '.join(f'{t.flatten()[0].item():.6g}' for t in outputs if t.numel())} throughout"
    else:
        return None
    return Note(NoteCode.NOTHING_COMPARED, f"no value compared: {text}")


@dataclass(frozen=True)
class Verdict:
    """What the comparison found: `pass`, or the outcome, the rung it fell from and one line of reason."""

    outcome: Outcome
    phase: Phase
    numerics: Numerics | None = None
    reason: str = ""
    notes: list[Note] = field(default_factory=list)


def compare(got: list[Tensor], truth: Truth, rule: Rule, precision: str) -> Verdict:
    """Judge `got`, one tensor per tensor of the truth, under `rule` at the recipe's `precision` (`fp16`, `fp32`).

    Raises `HarnessError` for another precision.
    """
    f = format_of(precision)
    if len(got) != len(truth.reference):
        reason = f"{len(got)} outputs, expected {len(truth.reference)}"
        return Verdict(Outcome.WRONG_SHAPE, Phase.SHAPE, reason=reason)
    for i, (g, ref) in enumerate(zip(got, truth.reference, strict=True)):
        if g.shape != ref.shape:
            reason = f"output {i}: shape {list(g.shape)}, expected {list(ref.shape)}"
            return Verdict(Outcome.WRONG_SHAPE, Phase.SHAPE, reason=reason)
    for i, (g, ref) in enumerate(zip(got, truth.reference, strict=True)):
        if g.dtype != ref.dtype:
            reason = f"output {i}: dtype {_dtype(g)}, expected {_dtype(ref)}"
            return Verdict(Outcome.WRONG_DTYPE, Phase.DTYPE, reason=reason)
    got = [g.detach().cpu().resolve_conj().resolve_neg() for g in got]
    if rule.cls is C.SQNR:
        return _compare_model(got, truth, rule, f)
    return _compare_values(got, truth, rule, f)


@dataclass
class _Worst:
    """The running extremes over outputs and elements."""

    ratio: float = -1.0
    limit: float | None = None
    worst: float | None = None
    at: str | None = None
    max_ulp: float | None = None
    max_abs: float | None = None
    signal: float = 0.0
    noise: float = 0.0

    def numerics(self, label: str) -> Numerics:
        headroom = None
        if self.worst is not None and self.limit is not None:
            headroom = self.limit / self.worst if self.worst > 0 else math.inf
        db = None
        if self.max_abs is not None:
            db = math.inf if self.noise == 0 else -math.inf
            if self.noise > 0 and self.signal > 0:
                db = 10 * math.log10(self.signal / self.noise)
        return Numerics(label, self.limit, self.worst, headroom, self.max_ulp, self.max_abs, db, self.at)


@dataclass(frozen=True)
class _Fault:
    outcome: Outcome
    reason: str


def _computable(value: Tensor) -> Tensor:
    """Floats of eight bits as float32, exactly: torch has no arithmetic on them."""
    return value.float() if value.is_floating_point() and value.element_size() == 1 else value


def _compare_values(got: list[Tensor], truth: Truth, rule: Rule, f: Format) -> Verdict:
    b = bounds(truth, rule, f)
    label = _label(rule, b)
    got = settle(got, truth.outputs, b.freedoms)
    worst = _Worst()
    faults: list[_Fault] = []
    for i, (g, ref) in enumerate(zip(got, truth.outputs, strict=True)):
        other = b.rounded[i] if b.rounded is not None else None
        bound = b.bound[i]
        if bound is None:
            faults += _judge_integers(i, g, ref, _alternatives(i, other, truth, b), b.choices, worst)
        else:
            g, ref, bound, reference = map(_computable, (g, ref, bound, truth.reference[i]))
            faults += _judge_floats(
                i, g, ref, None if other is None else _computable(other), bound, f, label, b, worst, reference
            )
    notes = _notes(truth, b)
    numerics = worst.numerics(label)
    if not faults:
        nothing = nothing_compared(truth.outputs, f, several=len(b.calls) > 1)
        return Verdict(Outcome.PASS, Phase.VALUE, numerics, notes=notes + ([nothing] if nothing is not None else []))
    fault = min(faults, key=lambda x: _WORST_FIRST.index(x.outcome))
    outcome, reason = fault.outcome, fault.reason
    if outcome is Outcome.WRONG_VALUE and b.peak > f.largest and _finite(truth.outputs, f):
        outcome = Outcome.OUT_OF_RANGE
        reason += f"; an intermediate reaches {b.peak:.6g}, above the largest {f.name} value {f.largest:.6g}"
    return Verdict(outcome, Phase.VALUE, numerics, reason, notes)


def _label(rule: Rule, b: Bounds) -> str:
    """The class applied: of the one operator that computes, COMPOSED of several, the rule's own where none does."""
    if b.without_row:
        return NO_ROW.label
    if not b.calls:
        return rule.label
    if len(b.calls) == 1 and rule.cls is not C.COMPOSED:
        return b.calls[0].rule.label
    return str(C.COMPOSED)


def _notes(truth: Truth, b: Bounds) -> list[Note]:
    """What a reader must know to weigh the verdict."""
    notes = [] if truth.exact else [Note(NoteCode.TRUTH, f"truth is {truth.exactness}")]
    for op, through in b.without_row.items():
        bound = "its bound went through the operators it calls" if through else f"{NO_ROW.factor[0]:g} ulp were allowed"
        notes.append(Note(NoteCode.NO_ROW, f"no row for {op} in the table of tolerances: {bound}"))
    return notes


def _judge_integers(
    i: int, g: Tensor, ref: Tensor, others: list[Tensor], choices: list[Choice], worst: _Worst
) -> list[_Fault]:
    """Integer and bool results are exact; `others` are what they may be as well; ties by the values selected.

    What counts, and does not select, may lie between: a floor whose bound is several steps wide.
    """
    wrong = g != ref
    for other in others:
        wrong &= g != other
    if others and not choices:
        ends = torch.stack([ref, *(other.to(ref.dtype) for other in others)]).to(_ordered(ref.dtype))
        wrong &= (g < ends.amin(0)) | (g > ends.amax(0))
    if bool(wrong.any()):
        for choice in choices:
            if choice.index.shape == ref.shape and torch.equal(choice.index, ref) and _selects_alike(choice, g):
                wrong = torch.zeros_like(wrong)
                break
    difference = (g.double() - ref.double()).abs() * wrong
    _update(worst, i, difference, torch.zeros_like(difference), ref=None, f=None)
    if not bool(wrong.any()):
        return []
    at = _first(wrong)
    count = int(wrong.sum())
    reason = f"output {i}{_index(at)}: got {g[at].item()}, expected {ref[at].item()} exactly"
    reason += f" ({count} of {wrong.numel()} elements)"
    return [_Fault(Outcome.WRONG_VALUE, reason)]


def _alternatives(i: int, rounded: Tensor | None, truth: Truth, b: Bounds) -> list[Tensor]:
    """What an integer or bool output may be beside the exact answer: that with operands rounded, eager's own in the
    dtype the user wrote, and what decisions within rounding make of it."""
    found = [rounded] if rounded is not None else []
    found += [outs[i] for outs in b.decided]
    if truth.reference[i].shape == truth.outputs[i].shape:
        found.append(truth.reference[i])
    return found


def _ordered(dtype: torch.dtype) -> torch.dtype:
    return torch.int64 if dtype == torch.bool else dtype


def _selects_alike(choice: Choice, g: Tensor) -> bool:
    """Whether indices `g` pick the same values as the truth's, every element once where indices are distinct."""
    source, dim = choice.source, choice.dim
    index = choice.index
    if dim is None:
        source, g, index, dim = source.flatten(), g.flatten(), index.flatten(), 0
    if source.dim() == 0:
        return torch.equal(g, index)
    squeezed = index.dim() == source.dim() - 1
    if index.dim() == source.dim() + 1:
        g, index = g.flatten(source.dim() - 1), index.flatten(source.dim() - 1)
    if squeezed:
        g, index = g.unsqueeze(dim), index.unsqueeze(dim)
    if g.numel() and (int(g.min()) < 0 or int(g.max()) >= source.shape[dim]):
        return False
    if choice.distinct and g.numel():
        ordered = g.sort(dim).values
        if bool((ordered.diff(dim=dim) == 0).any()):
            return False
    a, b = source.gather(dim, g.long()), source.gather(dim, index)
    near = torch.zeros(a.shape, dtype=torch.float64)
    if choice.slack is not None:
        slack = choice.slack.flatten() if choice.dim is None else choice.slack
        near = slack.gather(dim, g.long()) + slack.gather(dim, index)
    if not choice.ordered:
        a, b = a.sort(dim).values, b.sort(dim).values
        near = near.amax(dim, keepdim=True).expand(a.shape) if near.numel() else near
    alike = (a == b) | ((a.double() - b.double()).abs() <= near)
    return bool((alike | (a.isnan() & b.isnan()) if a.is_floating_point() else alike).all())


def _judge_floats(
    i: int,
    got: Tensor,
    ref: Tensor,
    other: Tensor | None,
    bound: Tensor,
    f: Format,
    label: str,
    b: Bounds,
    worst: _Worst,
    eager: Tensor,
) -> list[_Fault]:
    g = got.to(ref.dtype)
    if ref.is_complex():
        finite_ref = torch.isfinite(ref)
        error = (g - ref).abs()
        nan_ref, nan_got, finite_got = ref.isnan(), g.isnan(), torch.isfinite(g)
        same_inf = (torch.view_as_real(g) == torch.view_as_real(ref)).all(-1)
    else:
        finite_ref = torch.isfinite(ref)
        error = _distance(g, ref, other, exact=label == C.EXACT)
        if label == C.EXACT:
            # A constant in the case's own dtype, which float64 does not round to.
            error = torch.where(g == eager.to(ref.dtype), 0.0, error)
        if b.decided:
            error = torch.minimum(error, (g - eager.to(ref.dtype)).abs().nan_to_num(math.inf))
        nan_ref, nan_got, finite_got = ref.isnan(), g.isnan(), torch.isfinite(g)
        same_inf = g == ref
    mag = ref.abs()
    limit = flushed(ref, bound, f) if label != C.EXACT else bound
    overflow = finite_ref & (mag + bound > f.largest)
    saturated = overflow & (
        (g.abs() >= f.largest) & ((g * ref).real > 0 if ref.is_complex() else (g.sign() == ref.sign()))
    )
    flush_ok = finite_ref & (mag < f.smallest_normal) & (g == 0)

    judged = finite_ref & finite_got & ~saturated & ~flush_ok
    wrong = judged & (error > limit)
    wrong |= nan_ref & ~nan_got
    wrong |= ~finite_ref & ~nan_ref & ~same_inf
    out_of_range = finite_ref & ~finite_got & ~saturated
    error = torch.where(judged, error, 0.0)
    _update(worst, i, error, limit, ref, f)
    worst.signal += float(mag[judged].square().sum())
    worst.noise += float((g - ref).abs()[judged].square().sum())

    faults = []
    if bool(wrong.any()):
        at = _farthest(wrong, error, limit)
        faults.append(_Fault(Outcome.WRONG_VALUE, _say(i, at, g, ref, limit, wrong, label, f)))
    if bool(out_of_range.any()):
        at = _first(out_of_range)
        faults.append(_Fault(Outcome.OUT_OF_RANGE, _say(i, at, g, ref, limit, out_of_range, label, f)))
    if b.unit is not None and b.unit[i] is not None and not faults:
        statistic = dot_statistic(error, b.unit[i])  # type: ignore[arg-type]
        if statistic > DOT_VARIANCE * b.terms:
            text = (
                f"output {i}: error of the whole tensor, mean square {statistic:.4g} in units of "
                f"the {f.name} accumulation, above {DOT_VARIANCE * b.terms:.4g} for {b.terms} terms (DOT_PRODUCT)"
            )
            faults.append(_Fault(Outcome.WRONG_VALUE, text))
    return faults


def _distance(g: Tensor, ref: Tensor, other: Tensor | None, exact: bool) -> Tensor:
    """|got - ref|; where operands are not representable, the distance from the interval [ref, ref at rounded operands].

    What is exact may equal either end, nothing between.
    """
    plain = (g - ref).abs()
    if other is None:
        return plain
    far = other.to(ref.dtype)
    far = torch.where(torch.isfinite(far), far, ref)
    ends = torch.minimum(plain, (g - far).abs())
    if exact:
        return ends
    inside = (g >= torch.minimum(ref, far)) & (g <= torch.maximum(ref, far))
    return torch.where(inside, 0.0, ends)


def _compare_model(got: list[Tensor], truth: Truth, rule: Rule, f: Format) -> Verdict:
    eager = None
    if any(
        _is_float(ref) and sqnr(g, ref) < SQNR_THRESHOLD_DB[f.name] for g, ref in zip(got, truth.outputs, strict=True)
    ):
        eager = truth.in_precision(f.dtype)
    lowest = math.inf
    worst = _Worst()
    faults: list[_Fault] = []
    notes: list[Note] = []
    for i, (g, ref) in enumerate(zip(got, truth.outputs, strict=True)):
        if not _is_float(ref):
            faults += _judge_integers(i, g, ref, [truth.reference[i]], [], worst)
            continue
        found = judge_output(i, g, ref, None if eager is None else eager[i], f)
        notes += found.notes
        lowest = min(lowest, found.db) if not math.isnan(found.db) else math.nan
        if found.outcome is not Outcome.PASS:
            faults.append(_Fault(found.outcome, found.reason))
        error = torch.where(torch.isfinite(ref), (g.to(ref.dtype) - ref).abs(), 0.0).nan_to_num(0.0)
        _update(worst, i, error, torch.full_like(error, math.inf), ref, f)
    numerics = Numerics(rule.label, None, None, None, worst.max_ulp, worst.max_abs, lowest, None)
    if not faults:
        nothing = nothing_compared(truth.outputs, f, several=True)
        return Verdict(Outcome.PASS, Phase.VALUE, numerics, notes=notes + ([nothing] if nothing is not None else []))
    fault = min(faults, key=lambda x: _WORST_FIRST.index(x.outcome))
    return Verdict(fault.outcome, Phase.VALUE, numerics, fault.reason, notes)


def _is_float(t: Tensor) -> bool:
    return t.is_floating_point() or t.is_complex()


def _update(worst: _Worst, i: int, error: Tensor, limit: Tensor, ref: Tensor | None, f: Format | None) -> None:
    if error.numel() == 0:
        return
    ratio = torch.where(error == 0, 0.0, error / limit)
    # Nearest to its bound; among equals the largest error, so that 0 of a bound of 0 tells nothing.
    position = int(ratio.flatten().argmax())
    top = float(ratio.flatten()[position])
    if top > worst.ratio:
        at = tuple(int(k) for k in torch.unravel_index(torch.tensor(position), error.shape)) if error.dim() else ()
        worst.ratio = top
        worst.limit, worst.worst = float(limit[at]), float(error[at])
        worst.at = f"{i}{_index(at)}"
    worst.max_abs = max(worst.max_abs or 0.0, float(error.max()))
    if ref is not None and f is not None:
        worst.max_ulp = max(worst.max_ulp or 0.0, float((error / f.ulp(ref)).max()))


def _say(
    i: int, at: tuple[int, ...], g: Tensor, ref: Tensor, limit: Tensor, wrong: Tensor, label: str, f: Format
) -> str:
    got, want = g[at].item(), ref[at].item()
    text = f"output {i}{_index(at)}: got {got:.8g}, expected {want:.8g}"
    if torch.isfinite(g[at]) and torch.isfinite(ref[at]):
        error = abs(got - want)
        text += f", error {error:.4g} ({error / float(f.ulp(ref[at])):.4g} ulp), bound {float(limit[at]):.4g}"
    return text + f" ({label}, {f.name}; {int(wrong.sum())} of {wrong.numel()} elements)"


def _farthest(wrong: Tensor, error: Tensor, limit: Tensor) -> tuple[int, ...]:
    score = torch.where(wrong, torch.nan_to_num(error / limit.clamp_min(1e-300), nan=0.0), -1.0)
    if score.dim() == 0:
        return ()
    return tuple(int(k) for k in torch.unravel_index(score.flatten().argmax(), score.shape))


def _first(mask: Tensor) -> tuple[int, ...]:
    return tuple(int(k) for k in mask.nonzero()[0]) if mask.dim() else ()


def _finite(outputs: list[Tensor], f: Format) -> bool:
    floats = [t for t in outputs if t.is_floating_point() or t.is_complex()]
    return all(bool((torch.nan_to_num(t.abs(), 0.0, 0.0, 0.0) <= f.largest).all()) for t in floats)


def _index(at: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, at))}]"


def _dtype(t: Tensor) -> str:
    return str(t.dtype).removeprefix("torch.")
