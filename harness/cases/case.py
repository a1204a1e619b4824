"""`Case`: a module, its inputs, and where it came from. Listing cases makes no tensors; `build` does."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.evidence.check import Subject
from harness.evidence.names import OpName
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HarnessError, Level, Phase

if TYPE_CHECKING:
    import torch


class CaseFault(Exception):
    """The case itself is at fault (`invalid_case`); the message is the reason."""


class WeightsNotHad(CaseFault):
    """Published weights cannot be had here, for one because there is no network (`not_run`)."""


class NoCase(HarnessError):
    """What was taken for a case is none: a function of a user's file that returns something else."""


@dataclass(frozen=True)
class Partitioning:
    """What a case asks of the partitioner other than its defaults; operators as `aten.diagonal.default`.

    `claim`: operators it would reject by a rule of its own, whatever coremltools says, with that rule switched off.
    `keep`: operators it would have decomposed, kept whole. `admit`: operators outside Core ATen that the edge dialect
    lets through to it (`EdgeCompileConfig(preserve_ops=...)`). `options`: keyword arguments of `CoreMLPartitioner`.
    `unchecked`: the edge dialect's check of validity off (`EdgeCompileConfig(_check_ir_validity=False)`).
    `enumerated`: the only shapes there are of an input, by its name in the exported program, for each input with
    dynamic dimensions; those of several inputs belong together by their places.
    `specs`: keyword arguments of `CoreMLBackend.generate_compile_specs`, added to the recipe's or in their place, as
    Python expressions (`ct` is coremltools, `CoreMLBackend` the backend). `sharing`: whether several methods share
    their weights, the partitions of each belonging together by their places.
    """

    claim: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    admit: tuple[str, ...] = ()
    options: tuple[tuple[str, object], ...] = ()
    unchecked: bool = False
    enumerated: tuple[tuple[str, tuple[tuple[int, ...], ...]], ...] = ()
    specs: tuple[tuple[str, str], ...] = ()
    sharing: bool = True


AS_IT_IS = Partitioning()


@dataclass(frozen=True)
class Arguments:
    """What a module is called with: `module(*inputs, **kwargs)`, pytrees of tensors, numbers and None.

    Numbers and None are constants of the lowered program, which takes them in their places all the same.
    """

    inputs: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def leaves(self) -> list[Any]:
        """Everything in it, flattened: the inputs of the lowered program, in its order."""
        from torch.utils._pytree import tree_leaves

        return tree_leaves((self.inputs, dict(self.kwargs)))


def argument_name(path: tuple[Any, ...]) -> str:
    """A place in `(inputs, kwargs)` by its path, as torch.export names it: `*args[0]`, `**kwargs['state'][1]`."""
    from torch.utils._pytree import keystr

    return ("*args", "**kwargs")[path[0].idx] + keystr(path[1:])


@dataclass(frozen=True)
class Method:
    """A method of a case's program: `module(*inputs, **kwargs)` under this name.

    `calls` are further ones, in order, of the same program: each finds what the ones before have left in its state.
    `refused` are calls after those that the program has to refuse, where Core ML takes the whole of it: shapes outside
    of what it was lowered for, which eager may well take.
    `dynamic_shapes` is passed to `torch.export` as it is. `program` is the module as it was exported by the user, where
    it was: it is lowered as it is.
    """

    name: str
    module: torch.nn.Module
    inputs: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    dynamic_shapes: object = None
    calls: tuple[Arguments, ...] = ()
    program: torch.export.ExportedProgram | None = None
    refused: tuple[Arguments, ...] = ()

    @property
    def arguments(self) -> tuple[Arguments, ...]:
        """Those of every call, in order; of one at least."""
        return (Arguments(self.inputs, self.kwargs), *self.calls)


@dataclass(frozen=True)
class Refusal:
    """How lowering is to end, rather than give a program: the phase, the exception's type, and a piece of its message.

    Of a wrong option, or of options that contradict each other: to be refused is then what is right.
    """

    phase: Phase
    error: str
    says: str


@dataclass(frozen=True)
class Built:
    """A case made real: eager PyTorch runs `module(*inputs, **kwargs)`, and each of `calls` after it.

    `inputs`, `kwargs`, `dynamic_shapes`, `calls`, `program` and `refused` are as in `Method`. `seed` is what torch was
    seeded with. `module` is in eval mode. `call` is the call as text where the case itself could not tell it.
    `method` is what the module is called in the program; the methods `beside` are lowered into the same program, and
    judged with it where `judge_beside`. `refusal` is there where the case is not to be lowered. `stored` is a `.pte`
    that is run as it is, by whatever release it was made; `module` tells what is right. `source` is Python that makes
    the module as `model`, but for its `state_dict`, of `torch` and `F`, as its author would write it.
    """

    module: torch.nn.Module
    inputs: tuple[Any, ...]
    seed: int
    dynamic_shapes: object = None
    partitioning: Partitioning = AS_IT_IS
    call: str = ""
    method: str = "forward"
    beside: tuple[Method, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[Arguments, ...] = ()
    program: torch.export.ExportedProgram | None = None
    judge_beside: bool = False
    refused: tuple[Arguments, ...] = ()
    refusal: Refusal | None = None
    stored: bytes = b""
    source: str = ""

    @property
    def leaves(self) -> list[Any]:
        """The arguments of the case's own first call, flattened."""
        return self.own.arguments[0].leaves

    @property
    def dtype(self) -> str:
        """The data type of the tensors of that call, such as `float32`; `mixed` where they have several or none."""
        found = {str(leaf.dtype).removeprefix("torch.") for leaf in self.leaves if hasattr(leaf, "dtype")}
        return found.pop() if len(found) == 1 else "mixed"

    @property
    def own(self) -> Method:
        """The case's own method of the program."""
        shapes, program = self.dynamic_shapes, self.program
        return Method(self.method, self.module, self.inputs, self.kwargs, shapes, self.calls, program, self.refused)

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods of the program, the case's own first."""
        return (self.own, *self.beside)

    @property
    def judged(self) -> tuple[Method, ...]:
        """The methods whose results decide over the case."""
        return self.methods if self.judge_beside else (self.own,)


@dataclass(frozen=True, kw_only=True)
class Case(Subject):
    """One thing to try, and how it is made real.

    `level` is the lowest level at which it runs, `recipes` are those by which it is checked, by their names: the
    run's own where it names none. `at_full` are further ones of its own, at that level alone.
    `whole_model` cases are judged by signal-to-quantization-noise instead of an operator's bound. `ane` cases ask
    whether the Apple Neural Engine takes the operator, and say nothing new on units that may not use it.
    `named` cases are what their id says as long as the installed code is the same; what a user's file gives is not.
    """

    level: Level
    build: Callable[[], Built] = field(compare=False, repr=False)
    whole_model: bool = False
    ane: bool = False
    named: bool = True
    recipes: tuple[str, ...] = ()
    at_full: tuple[str, ...] = ()

    def runs_on(self, unit: UnitSpec) -> bool:
        """Whether a run that names units, not cases, checks it there."""
        return not self.ane or unit.may_use_ane


def partitioned(case: Case, change: Callable[[Partitioning], Partitioning]) -> Case:
    """The case with what it asks of the partitioner changed."""

    def build() -> Built:
        built = case.build()
        return replace(built, partitioning=change(built.partitioning))

    return replace(case, build=build)


_LEVELS = {Level.SMOKE: 0, Level.STANDARD: 1, Level.FULL: 2}


def levels_at(level: Level) -> frozenset[Level]:
    """The levels whose cases run at `level`: itself and the lower ones."""
    return frozenset(one for one, rank in _LEVELS.items() if rank <= _LEVELS[level])


def at_level(cases: Iterable[Case], level: Level) -> list[Case]:
    """The cases that run at `level`: those of lower levels are among them."""
    levels = levels_at(level)
    return [case for case in cases if case.level in levels]


def matches_op(case: Case, pattern: str) -> bool:
    """True when the glob names the case's ATen overload, with or without the overload name, or its API name."""
    return OpName.parse(case.op).matches(pattern) or fnmatch.fnmatchcase(case.api, pattern)


def require_match(cases: Iterable[Case], patterns: Iterable[str]) -> None:
    """Raises `HarnessError` naming the first pattern that no case answers to."""
    cases = list(cases)
    for pattern in patterns:
        if not any(matches_op(case, pattern) for case in cases):
            raise HarnessError(f"--op {pattern}: no operator or API name matches it")
