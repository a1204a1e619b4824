"""Bounds for whole graphs: each operator's own bound, carried to the results by running the program again.

A graph is run in float64 under a dispatch mode that adds to every operator's result an error as large as its row in
the table allows. What arrives at the outputs, less the exact result, is the bound propagated through the actual
formula at the actual inputs, cancellation and conditioning included.

- One computing operator, the rest data movement: its bound is added once, with positive sign, and arrives unchanged.
- Several: errors of random sign (`harness.verdict.signs`), `RUNS` times (Monte Carlo arithmetic: D. Stott Parker, UCLA
  CSD-970002, 1997; CESTAC: Vignes and La Porte, 1974). The bound is `SAFETY` times the largest deviation of an element,
  and one ulp for the result itself.

Operators whose row says COMPOSED are taken apart by PyTorch's own decomposition, so that the formula is the
documented one. Those of other namespaces, a user's own among them, and those without a row are taken apart by running
their own implementation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only

from harness.evidence.names import OpName
from harness.evidence.vocabulary import ToleranceClass as C
from harness.verdict import table, tolerance
from harness.verdict.decisions import (
    Decision,
    Ledger,
    Reading,
    decides,
    is_pinned,
    note_carried,
    note_moves,
    operands,
    shifted,
)
from harness.verdict.formulas import FORMULAS
from harness.verdict.freedom import Freedom, Unordered, phases, settle
from harness.verdict.oracle import WIDE, Truth, call_name
from harness.verdict.rounding import RoundOperands, with_rounded_operands
from harness.verdict.signs import RUNS, Signs
from harness.verdict.tolerance import FP32, Format, Rule

#: Where many errors arrive, eight draws miss an element's sensitivity by half with a probability of
#: (2 Phi(0.5) - 1)^8 = 5e-4; two that cancel in one run add up in another. Rows are worst cases that real rounding
#: reaches a third of, which a safety of two makes six standard deviations.
SAFETY = 2.0
#: Seeds of signs.
_ERRORS, _DECISIONS = 1_000_000, 2_000_000


@dataclass
class BoundedCall:
    """One computing operator as it ran: its row and, for DOT_PRODUCT, ksb."""

    name: str
    rule: Rule
    terms: int = 0


@dataclass
class Bounds:
    """Absolute bounds of every output (None where it is not floating), and how they came about.

    `rounded` are the outputs with constants, weights and inputs rounded to the recipe's precision, None where that
    changes nothing. `unit` and `terms` are given for a single DOT_PRODUCT, for the test of the whole tensor. `peak`
    is the largest finite magnitude that any operator produced. `without_row` names the operators that the table does
    not know: True where the bound went through the operators they call, False where 8 ulp stood in for it. `freedoms`
    are to be settled before a result is compared. `decided` are the results of runs in which every decision that lies
    within its operands' bounds fell the one way and the other; empty where no bound reaches a decision. `lost` says
    that some finite element became infinite or NaN in every run: errors as large as the rows allow take an intermediate
    out of an operator's domain, and what arrives says nothing.
    """

    bound: list[Tensor | None]
    rounded: list[Tensor] | None
    calls: list[BoundedCall]
    peak: float
    unit: list[Tensor | None] | None = None
    terms: int = 0
    choices: list[Choice] = field(default_factory=list)
    freedoms: list[Freedom] = field(default_factory=list)
    without_row: dict[str, bool] = field(default_factory=dict)
    decided: list[list[Tensor]] = field(default_factory=list)
    lost: bool = False

    @property
    def whole(self) -> bool:
        """Whether they hold for every element: nothing was lost, and no operator was passed over for want of a row."""
        return not self.lost and all(self.without_row.values())


@dataclass
class Choice:
    """A selection by index: `source` along `dim` (None: flattened), its `index`, whether indices are distinct.

    `ordered` is False where the order of the selected along `dim` is not defined. `slack` is how far elements of the
    source may lie from their exact value; None where they are exact.
    """

    source: Tensor
    dim: int | None
    index: Tensor
    distinct: bool
    ordered: bool = True
    decision: Decision | None = None
    slack: Tensor | None = None


@dataclass(frozen=True)
class _Push:
    """What a run does to decisions: moves their operands by `factor` times what errors were measured to, one way (1),
    the other (-1), or each element at random (0). Where it is `carrying`, it measures what decisions do to later ones.
    """

    sign: int
    factor: float
    carrying: bool = False


class _Watch(TorchDispatchMode):
    """Runs a program while errors are injected, with the `signs` given, else all positive.

    Decisions are written to `ledger` by the exact run, and by others measured, or pushed.
    """

    def __init__(
        self,
        f: Format,
        signs: Signs | None,
        noise: bool = True,
        own: bool = False,
        *,
        ledger: Ledger | None = None,
        reading: Reading | None = None,
        push: _Push | None = None,
    ) -> None:
        super().__init__()
        self.f, self.signs, self.noise, self.own = f, signs, noise, own
        self.ledger, self.reading, self.push = ledger, reading, push
        self.calls: list[BoundedCall] = []
        self.choices: list[Choice] = []
        self.freedoms: list[Freedom] = []
        self.peak = 0.0
        self.seen = 0
        self.without_row: dict[str, bool] = {}
        self.inside: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("dtype") in (torch.float32, torch.complex64) and not self.own:
            kwargs["dtype"] = WIDE[kwargs["dtype"]]
        name = call_name(func)
        rule = table.lookup(name)
        self.seen += 1
        if rule.cls is C.COMPOSED and not rule.backward:
            done, out = self._taken_apart(func, name, args, kwargs)
            if not rule.listed:
                self.without_row[name] = done and self.without_row.get(name, True)
            if done:
                return out
        before = tree_map_only(Tensor, torch.clone, (args, kwargs)) if func._schema.is_mutable else (args, kwargs)
        out = func(*args, **kwargs)
        out = self._decided(name, func, before, out)
        self._note_choice(name, func, before, out)
        self._note_phases(name, out)
        if rule.cls is C.EXACT:
            return out
        floats = [
            t for t in tree_flatten(out)[0] if isinstance(t, Tensor) and (t.is_floating_point() or t.is_complex())
        ]
        # Eight bits are a grid that values are put on, not what is computed in: torch has no arithmetic there.
        floats = [t for t in floats if t.element_size() > 1]
        if not floats:
            return out
        call = BoundedCall(name, rule)
        self.calls.append(call)
        if self.ledger is not None:
            for t in floats:
                finite = t.abs().nan_to_num(0.0, 0.0, 0.0)
                self.peak = max(self.peak, float(finite.max()) if finite.numel() else 0.0)
        if not self.noise:
            return out
        named = bind(func, *before)
        moved = _moved(func, before, floats, rule.ulps(self.f) * self.f.epsilon) if rule.backward else {}
        noisy = {id(t): self._error(func, rule, t, named, before, call, moved.get(id(t))) for t in floats}
        if func._schema.is_mutable:
            for t in floats:
                t.add_(noisy[id(t)])
            return out
        return tree_map(lambda t: t + noisy[id(t)] if id(t) in noisy else t, out)

    def _decided(self, name: str, func: Any, before: Any, out: Any) -> Any:
        """What the call gives where it is a decision: written down, kept as it was, or pushed one way."""
        if (self.ledger is None and self.reading is None) or not decides(name, before, out):
            return out
        found = operands(before)
        if self.reading is None:
            assert self.ledger is not None
            self.ledger.write(name, [t.detach().clone() for t in found], out)
            return out
        one = self.reading.next(name, found)
        if one is None:
            return out
        if self.push is not None:
            if self.push.carrying:
                note_carried(one, found)
            args, kwargs = shifted(one, before, self.push.factor, self.push.sign, self._draw)
            return _in_place_of(func, out, func(*args, **kwargs))
        note_moves(one, found)
        return _in_place_of(func, out, one.out) if is_pinned(name) else out

    def _taken_apart(self, func: Any, name: str, args: Any, kwargs: Any) -> tuple[bool, Any]:
        """The call through its formula, each step under this mode; (False, None) where no formula takes them."""
        packet = OpName.parse(name).packet_name
        if packet in self.inside:
            return False, None
        state = len(self.calls), self.signs.drawn if self.signs is not None else 0
        # What a formula leaves out of a mutable operator (running statistics) is no result of the program.
        mutable = func._schema.is_mutable
        formulas = [FORMULAS.get(packet), *(() if mutable else (decomposition_table.get(func), func.decompose))]
        own = None
        if not (mutable or packet.startswith(("aten.", "prims."))):
            own = partial(func.redispatch, torch._C.DispatchKeySet(torch._C.DispatchKey.CPU))
        for formula in (*formulas, own):
            if formula is None:
                continue
            self.inside.append(packet)
            seen = self.seen
            try:
                with self:
                    out = formula(*args, **kwargs)
                # Native code that calls no operator says nothing about its steps.
                if out is not NotImplemented and (formula is not own or self.seen > seen):
                    return True, out
            except (RuntimeError, TypeError, NotImplementedError, AssertionError):
                del self.calls[state[0] :]
                if self.signs is not None:
                    self.signs.drawn = state[1]
            finally:
                self.inside.pop()
        return False, None

    def _error(
        self,
        func: Any,
        rule: Rule,
        ref: Tensor,
        named: SimpleNamespace,
        before: Any,
        call: BoundedCall,
        moved: Tensor | None,
    ) -> Tensor:
        def magnitude() -> Tensor:
            return _on_absolute_values(func, before[0], before[1], ref)

        amplitude = tolerance.local_bound(rule, ref, named, self.f, magnitude)
        if moved is not None:
            amplitude = torch.maximum(amplitude, moved)
        if self.own:
            amplitude = amplitude + tolerance.local_bound(rule, ref, named, FP32, magnitude)
        if rule.cls is C.DOT_PRODUCT:
            call.terms = tolerance.dot_terms(rule, ref, named, self.f)
        amplitude = torch.where(torch.isfinite(ref.abs()), amplitude, 0.0)
        if self.signs is None:
            return torch.complex(amplitude, amplitude) if ref.is_complex() else amplitude.to(ref.dtype)
        if rule.cls is C.DOT_PRODUCT:
            # A sequential sum of K terms rounds K partial sums by up to a unit each, growing to it linearly: standard
            # deviation sqrt(K / 3) / sqrt(3) units. Three of those, as roundings inside one sum are not all of one
            # sign.
            amplitude = amplitude / (2 * call.terms) * call.terms**0.5
        if rule.op in CORRECTLY_ROUNDED or (rule.op in ONE_TERM and _has_one_term(func, before[0], before[1], named)):
            amplitude = torch.where(self._representable(func, ref, before), 0.0, amplitude)
        amplitude = tolerance.flushed(ref, amplitude, self.f)
        if ref.is_complex():
            return torch.complex(amplitude * self._draw(ref), amplitude * self._draw(ref))
        return (amplitude * self._draw(ref)).to(ref.dtype)

    def _representable(self, func: Any, ref: Tensor, before: Any) -> Tensor:
        """Where the exact result is a value of the format. Eager's own result in float32 always is one, whatever was
        rounded away: there the call is made again in float64."""
        same = self.f.round(ref) == ref
        if self.own and self.f is FP32 and not func._schema.is_mutable:
            args, kwargs = tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, before)
            wide = next(t for t in tree_flatten(func(*args, **kwargs))[0] if isinstance(t, Tensor))
            same &= wide == ref
        return same

    def _draw(self, ref: Tensor) -> Tensor:
        assert self.signs is not None
        return self.signs.draw(ref.shape)

    def _note_choice(self, name: str, func: Any, before: Any, out: Any) -> None:
        packet = OpName.parse(name).packet
        if packet not in SELECTING:
            return
        named = bind(func, *before)
        position, distinct = SELECTING[packet]
        outs = out if isinstance(out, (tuple, list)) else (out,)
        index = outs[min(position, len(outs) - 1)]
        if not isinstance(index, Tensor) or index.is_floating_point() or getattr(named, "stable", None):
            return
        source, dim = named.self, getattr(named, "dim", None)
        if "pool" in packet:
            spatial = 3 if "3d" in packet else 2
            source, index_flat, dim = source.flatten(-spatial), index, -1
            self.choices.append(Choice(source, dim, index_flat, distinct, decision=self._last_decision(name)))
            return
        if packet in ("sort", "topk", "argsort", "kthvalue", "mode", "median", "nanmedian") and dim is None:
            dim = -1
        ordered = packet != "topk" or named.sorted
        self.choices.append(Choice(source, dim, index, distinct, ordered, self._last_decision(name)))
        if not ordered:
            self.freedoms.append(Unordered(outs[0].detach(), named.dim))

    def _last_decision(self, name: str) -> Decision | None:
        decisions = self.ledger.decisions if self.ledger is not None else []
        return decisions[-1] if decisions and decisions[-1].name == name else None

    def _note_phases(self, name: str, out: Any) -> None:
        free = phases(OpName.parse(name).packet, [t for t in tree_flatten(out)[0] if isinstance(t, Tensor)])
        if free is not None:
            self.freedoms.append(free)


#: Correctly rounded in every implementation, so that a representable exact result carries no error.
CORRECTLY_ROUNDED = {"aten.add", "aten.sub", "aten.subtract", "aten.rsub", "aten.mul", "aten.multiply", "aten.square"}

#: Sums of products that round nothing where only one of the products is not 0.
ONE_TERM = {"aten.convolution", "aten.mm", "aten.bmm"}

#: Operators that return indices: position of the index among the results, whether one dim's indices are distinct.
SELECTING: dict[str, tuple[int, bool]] = {
    "argmax": (0, False),
    "argmin": (0, False),
    "max": (1, False),
    "min": (1, False),
    "sort": (1, True),
    "topk": (1, True),
    "argsort": (0, True),
    "kthvalue": (1, False),
    "median": (1, False),
    "nanmedian": (1, False),
    "mode": (1, False),
    "max_pool2d_with_indices": (1, False),
    "max_pool3d_with_indices": (1, False),
    "adaptive_max_pool2d": (1, False),
    "adaptive_max_pool3d": (1, False),
}


def bind(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> SimpleNamespace:
    """The arguments of a call by schema name, defaults filled in, floating tensors as float64."""
    named: dict[str, Any] = {}
    for i, arg in enumerate(func._schema.arguments):
        if i < len(args):
            named[arg.name] = args[i]
        elif arg.name in kwargs:
            named[arg.name] = kwargs[arg.name]
        elif arg.has_default_value():
            named[arg.name] = arg.default_value
    return SimpleNamespace(**named)


def _on_absolute_values(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], ref: Tensor) -> Tensor:
    """`bnd` of DOT_PRODUCT: the call on the absolute values of its floating tensors, alpha, beta and value.

    A Fourier transform still cancels then, except in its constant term: the largest magnitude along the dims is `bnd`.
    """

    def positive(x: Tensor) -> Tensor:
        return x.abs() if x.is_floating_point() or x.is_complex() else x

    fourier, kind = func._schema.name.startswith("aten::_fft_"), args[0].dtype if isinstance(args[0], Tensor) else None
    names = [a.name for a in func._schema.arguments]
    args = tuple(abs(x) if names[i] in ("alpha", "beta", "value") else x for i, x in enumerate(args))
    kwargs = {k: abs(v) if k in ("alpha", "beta", "value") else v for k, v in kwargs.items()}
    args, kwargs = tree_map_only(Tensor, positive, (args, kwargs))
    if fourier:
        args = (args[0].to(kind), *args[1:])
        return func(*args, **kwargs).abs().amax(args[1], keepdim=True).expand(ref.shape)
    if func._schema.is_mutable:
        args, kwargs = tree_map_only(Tensor, torch.clone, (args, kwargs))
    out = func(*args, **kwargs)
    return next(t for t in tree_flatten(out)[0] if isinstance(t, Tensor) and t.shape == ref.shape)


def _has_one_term(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], named: SimpleNamespace) -> bool:
    """Whether no element of a sum of products has more than one that is not 0.

    Never of a convolution with a larger kernel than 1: Winograd's algorithm adds and subtracts before it multiplies.
    """
    weight = getattr(named, "weight", None)
    if weight is not None and weight[0, 0].numel() != 1:
        return False
    args, kwargs = tree_map_only(Tensor, lambda x: (x != 0).to(x.dtype), (args, kwargs))
    return bool((func(*args, **kwargs) <= 1).all())


def _moved(func: Any, before: Any, outs: list[Tensor], relative: float) -> dict[int, Tensor]:
    """By result: how far it moves at most when floating inputs move by `relative` of their largest, signs at random."""
    generator = torch.Generator().manual_seed(77)

    def move(x: Tensor) -> Tensor:
        if not (x.is_floating_point() or x.is_complex()) or x.numel() == 0:
            return x
        signs = torch.randint(0, 2, x.shape, generator=generator).to(x.dtype) * 2 - 1
        return x + signs * relative * x.abs().amax().nan_to_num(0.0, 0.0, 0.0)

    largest = {id(t): torch.zeros(t.shape, dtype=torch.float64) for t in outs}
    free = phases(OpName.parse(call_name(func)).packet, outs)
    freedoms: list[Freedom] = [free] if free is not None else []
    for _ in range(RUNS):
        try:
            again = func(*tree_map_only(Tensor, move, before[0]), **tree_map_only(Tensor, move, before[1]))
        except RuntimeError:
            continue  # moved out of the operator's domain: that draw says nothing
        flat = [t for t in tree_flatten(again)[0] if isinstance(t, Tensor) and _floats(t)]
        for t, new in zip(outs, settle(flat, outs, freedoms), strict=True):
            step = (new - t).abs().double().nan_to_num(0.0, 0.0, 0.0)
            largest[id(t)] = torch.maximum(largest[id(t)], step)
    return largest


def bounds(truth: Truth, rule: Rule, f: Format) -> Bounds:
    """Bounds for every output of `truth` in format `f`; computed once for all units.

    Where eager computes, the rows of the operators it calls decide, whatever `rule` says; where nothing does, `rule`
    applies to the results themselves.
    """
    key = (f.name, str(rule.cls), rule.factor)
    if key not in truth.cache:
        truth.cache[key] = _bounds(truth, rule, f)
    return truth.cache[key]


def _bounds(truth: Truth, rule: Rule, f: Format) -> Bounds:
    rounded = with_rounded_operands(truth, f)
    ledger = Ledger()
    quiet = _Watch(f, None, noise=False, own=not truth.exact, ledger=ledger)
    with torch.no_grad(), quiet:
        exact = truth.again()
    zero = [torch.zeros(t.shape, dtype=torch.float64) if _floats(t) else None for t in truth.outputs]
    result = Bounds(zero, rounded, quiet.calls, quiet.peak, choices=quiet.choices)
    result.freedoms, result.without_row = quiet.freedoms, quiet.without_row
    if rounded is not None:
        result.rounded = settle(rounded, exact, quiet.freedoms)
    if not quiet.calls and rule.cls is C.EXACT:
        return result
    if not quiet.calls:
        # Nothing in eager computes what the rule says is computed: the rule applies to the results themselves.
        result.bound = [
            tolerance.ulp_bound(t, max(rule.ulps(f), 1.0), f) if _floats(t) else None for t in truth.outputs
        ]
        return result
    single = len(quiet.calls) == 1
    runs = 1 if single else RUNS
    spread = [torch.zeros_like(z) if z is not None else None for z in zero]
    told = [~torch.isfinite(t) if _floats(t) else None for t in exact]
    for i in range(runs):
        signs = None if single else Signs(i, _ERRORS)
        watch = _Watch(f, signs, own=not truth.exact, reading=Reading(ledger))
        with torch.no_grad(), watch:
            outs = settle(truth.again(), exact, quiet.freedoms)
        for j, (out, ref) in enumerate(zip(outs, exact, strict=True)):
            if spread[j] is not None and out.shape == ref.shape:
                distance = (_wide(out) - _wide(ref)).abs()
                told[j] |= torch.isfinite(distance)
                moved = torch.nan_to_num(distance, nan=0.0, posinf=0.0, neginf=0.0)
                spread[j] = torch.maximum(spread[j], moved)
        result.terms = watch.calls[0].terms if single and watch.calls else 0
    result.lost = any(t is not None and not bool(t.all()) for t in told)
    if single:
        result.bound = spread
        if quiet.calls[0].rule.cls is C.DOT_PRODUCT and result.terms:
            result.unit = [s / (2 * result.terms) if s is not None else None for s in spread]
    else:
        result.bound = [
            # An output that no error reaches is a copy of an input or exactly representable: nothing is allowed there.
            (SAFETY * s + f.ulp(ref) if bool((s > 0).any()) else s) if s is not None else None
            for s, ref in zip(spread, truth.outputs, strict=True)
        ]
    if ledger.decisions:
        _decide(result, truth, f, ledger, 1.0 if single else SAFETY, quiet.freedoms)
    return result


def _decide(result: Bounds, truth: Truth, f: Format, ledger: Ledger, factor: float, freedoms: list[Freedom]) -> None:
    """Let decisions within their operands' bounds fall both ways, and widen the bounds by what that changes."""
    if result.rounded is not None:
        watch = _Watch(f, None, noise=False, own=not truth.exact, reading=Reading(ledger))
        rounding = RoundOperands(f, own=not truth.exact)
        with torch.no_grad(), rounding, watch:
            truth.again(change=rounding.tensor)
    if not ledger.open:
        return
    for choice in result.choices:
        if choice.decision is not None:
            choice.slack = factor * choice.decision.moved[0].reshape(choice.source.shape)

    def pushed(run: int, push: _Push) -> list[Tensor]:
        signs = Signs(run, _DECISIONS)
        watch = _Watch(f, signs, noise=False, own=not truth.exact, reading=Reading(ledger), push=push)
        with torch.no_grad(), watch:
            return settle(truth.again(), truth.outputs, freedoms)

    told: list[list[Tensor]] = []
    if len(ledger.decisions) > 1:
        # One that fell otherwise moves the operands of those behind it, each its own: pushed all one way, what a norm
        # or a difference takes out would not be seen.
        told = [pushed(run, _Push(0, factor, carrying=True)) for run in range(RUNS)]
    result.decided = [pushed(run, _Push(sign, factor)) for run, sign in enumerate((-1, 1, -1, 1))]
    shapes = [t.shape for t in truth.outputs]
    result.decided = [outs for outs in result.decided if [t.shape for t in outs] == shapes]
    told = [outs for outs in told if [t.shape for t in outs] == shapes]
    for i, ref in enumerate(truth.outputs):
        bound = result.bound[i]
        if bound is None:
            continue
        apart = [torch.nan_to_num((_wide(o[i]) - _wide(ref)).abs(), 0.0, 0.0, 0.0) for o in result.decided + told]
        if apart:
            widest = torch.stack(apart).amax(0)
            # The other value is rounded as well, which next to an exact 0 nothing else allows for.
            result.bound[i] = bound + widest + torch.where(widest > 0, f.ulp(widest), 0.0)


def _in_place_of(func: Any, out: Any, other: Any) -> Any:
    """`other` as the result of a call that gave `out`: written into it where the call works in place."""
    if not func._schema.is_mutable:
        return tree_map_only(Tensor, torch.clone, other)
    for mine, new in zip(tree_flatten(out)[0], tree_flatten(other)[0], strict=True):
        if isinstance(mine, Tensor):
            mine.copy_(new)
    return out


def _floats(t: Tensor) -> bool:
    return t.is_floating_point() or t.is_complex()


def _wide(t: Tensor) -> Tensor:
    return t.to(torch.complex128) if t.is_complex() else t.double()
