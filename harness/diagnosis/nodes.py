"""Which operator of a converted program leaves its bound: MIL results joined to ATen nodes and judged by float64 eager.

The nodes of a delegate's edge program are evaluated in float64 like any other truth, all of them being outputs, so that
each has the bound that the table propagates to it.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export.graph_signature import OutputKind

from harness.evidence.names import OpName
from harness.evidence.vocabulary import Outcome, ToleranceClass
from harness.lowering.debug_info import CAST_SUFFIX, sanitised, symbol
from harness.lowering.graph import overload_name, plan_of, spec_of
from harness.lowering.place import origin
from harness.lowering.program import (
    EagerCall,
    GetItem,
    Input,
    LoweredProgram,
    TensorSpec,
    Value,
    replace_values,
    values_in,
)
from harness.mil.program import Operation, ValueRef
from harness.verdict.compare import Verdict, compare
from harness.verdict.oracle import UNINITIALISED, InvalidCase, Truth, truth
from harness.verdict.propagate import Bounds, bounds
from harness.verdict.tolerance import Rule, format_of

Resolve = Callable[[str], Callable[..., Any]]

#: Operators of ExecuTorch's edge dialect that are ATen's with a memory format, which values do not depend on.
_EDGE_TWINS = {
    "dim_order_ops._to_dim_order_copy.default": "aten._to_copy.default",
    "dim_order_ops._clone_dim_order.default": "aten.clone.default",
    "dim_order_ops._empty_dim_order.default": "aten.empty.memory_format",
}
#: Axes are permuted to find a value that a pass moved into another layout, up to this rank (120 permutations).
_LARGEST_RANK = 5


def _packet(target: str) -> str:
    return OpName.parse(_EDGE_TWINS.get(target, target)).packet


@dataclass(frozen=True)
class Node:
    """A node of the edge program that has a value: `target` is its overload, or `input` for a placeholder. One result
    of several is described as the node they are results of.

    `kind` is the name under which the converter looks for the function that translates it, `origin` the node of the
    exported graph it was made from.
    """

    name: str
    target: str
    kind: str
    handle: int | None
    spec: TensorSpec | None
    origin: str = ""


class NodeValues(torch.nn.Module):
    """Runs an edge program and returns the tensors of its nodes, by number of node as `plan_of` counts them."""

    def __init__(self, plan: LoweredProgram, resolve: Resolve) -> None:
        super().__init__()
        self.users = [placeholder.value.number for placeholder in plan.inputs if placeholder.kind == "user"]
        self.held: dict[str, int] = {}
        for placeholder in plan.inputs:
            if placeholder.tensor is not None:
                self.register_buffer(f"held_{placeholder.value.number}", placeholder.tensor.clone())
                self.held[f"held_{placeholder.value.number}"] = placeholder.value.number
        self.steps = plan.steps
        #: What uninitialised memory holds is nobody's truth.
        self.chance = {
            s.out.number for s in plan.steps if isinstance(s, EagerCall) and _packet(s.target) in UNINITIALISED
        }
        self.resolve = resolve

    def forward(self, *inputs: Any) -> dict[int, Tensor]:
        values: dict[int, Any] = dict(zip(self.users, inputs, strict=True))
        values.update((number, getattr(self, name)) for name, number in self.held.items())
        for step in self.steps:
            if isinstance(step, GetItem):
                values[step.out.number] = values[step.source.number][step.index]
                continue
            assert isinstance(step, EagerCall)
            keywords = dict(replace_values(step.kwargs, values))
            if step.target in _EDGE_TWINS:
                keywords.pop("dim_order", None)
            function = self.resolve(_EDGE_TWINS.get(step.target, step.target))
            values[step.out.number] = function(*replace_values(step.args, values), **keywords)
        return {n: v for n, v in sorted(values.items()) if isinstance(v, Tensor) and n not in self.chance}


class EdgeProgram:
    """What a delegate was made from: its nodes, and their values on given inputs."""

    def __init__(self, program: torch.export.ExportedProgram, resolve: Resolve) -> None:
        """Raises `UnplannableGraph` for what cannot be run node by node."""
        self.nodes = [_node(node) for node in program.graph.nodes]
        self.plan = plan_of(program)
        self.values = NodeValues(self.plan, resolve)
        numbers = {node.name: number for number, node in enumerate(program.graph.nodes)}
        returned = program.graph.output_node().args[0]
        assert isinstance(returned, (list, tuple))
        kept = zip(program.graph_signature.output_specs, returned, strict=True)
        #: Nodes returned to the caller, and by its name what is written to a buffer: its state, no result.
        self.outputs: list[int] = []
        self.states: dict[str, int] = {}
        for spec, value in kept:
            if spec.kind is OutputKind.BUFFER_MUTATION:
                self.states[str(spec.target)] = numbers[str(value)]
            else:
                self.outputs.append(numbers[str(value)])


def _node(node: torch.fx.Node) -> Node:
    handle, spec = node.meta.get("debug_handle"), spec_of(node.meta.get("val"))
    if node.op == "call_function" and getattr(node.target, "__name__", "") == "getitem":
        assert isinstance(node.args[0], torch.fx.Node)
        node = node.args[0]  # one of its results
    if node.op != "call_function":
        return Node(node.name, "input", "", handle, spec)
    kind = getattr(node.target, "__name__", "")
    return Node(node.name, overload_name(node.target), kind, handle, spec, origin(node))


@dataclass
class _Part(Truth):
    """The truth of one node, cut out of the truth of all."""

    whole: Truth | None = None
    position: int = 0

    def in_precision(self, dtype: torch.dtype) -> list[Tensor] | None:
        assert self.whole is not None
        if ("in_precision", dtype) not in self.whole.cache:
            self.whole.cache["in_precision", dtype] = self.whole.in_precision(dtype)
        found = self.whole.cache["in_precision", dtype]
        return found if found is None else [found[self.position]]


class Judge:
    """Judges values of a program against the nodes of the edge program it was made from.

    `inputs` are the delegate's, `rule` and `precision` those of the check. Raises `InvalidCase` when eager fails.
    """

    def __init__(self, edge: EdgeProgram, inputs: Sequence[Tensor], rule: Rule, precision: str) -> None:
        self.edge, self.rule, self.precision = edge, rule, precision
        with torch.no_grad():
            self._positions = {number: position for position, number in enumerate(edge.values(*inputs))}
        self._truth = truth(edge.values, tuple(inputs))

    @property
    def right(self) -> list[Tensor]:
        """The delegate's results as they should be, in the case's dtype."""
        return [self._right(number) for number in self.edge.outputs]

    @property
    def right_states(self) -> dict[str, Tensor]:
        """What the delegate should leave in the buffers it writes to, by their names."""
        return {buffer: self._right(number) for buffer, number in self.edge.states.items()}

    def _right(self, number: int) -> Tensor:
        i, t = self._positions[number], self._truth
        return t.outputs[i].to(t.reference[i].dtype)

    def knows(self, number: int) -> bool:
        return number in self._positions

    def like(self, number: int) -> Tensor:
        """The value of a node by eager in the case's dtype."""
        return self._truth.reference[self._positions[number]]

    def alone(self, number: int, values: Mapping[int, Tensor]) -> Judge | None:
        """A judge of one node on the values that its arguments have in the program.

        None for a node that computes nothing, where an argument has no value, and where it cannot be run on these.
        """
        step = next((s for s in self.edge.plan.steps if s.out.number == number and isinstance(s, EagerCall)), None)
        needed = dict.fromkeys(value.number for value in values_in((step.args, step.kwargs))) if step else {}
        inputs = {n: self.like(n) for n in needed if self.knows(n) and self.edge.nodes[n].target == "input"}
        if step is None or not all(n in values or n in inputs for n in needed):
            return None
        given = [values[n] if n in values else inputs[n] for n in needed]
        placeholders = tuple(Input(self.edge.nodes[n].name, Value(n), None, "user") for n in needed)
        part = copy.copy(self.edge)
        part.values = NodeValues(LoweredProgram(placeholders, (step,), (), ()), self.edge.values.resolve)
        try:
            return Judge(part, given, self.rule, self.precision)
        except (InvalidCase, RuntimeError):
            return None

    def value(self, number: int, array: np.ndarray, same_layout: bool = False) -> Verdict | None:
        """The verdict on `array` as the value of a node; None where the two cannot be compared.

        A value in another layout is right when some order of its axes is; `same_layout` allows none but the node's, and
        takes one of another size, unless it is still to be broadcast, for one of a wrong shape.
        """
        part = self._part(number)
        found = [verdict for _, verdict in self._verdicts(part, array, same_layout)]
        if not found and same_layout and array.size != part.reference[0].numel():
            return self._compare(part, array)
        return next((v for v in found if v.outcome is Outcome.PASS), found[0] if found else None)

    def settled(self, number: int, array: np.ndarray) -> Tensor | None:
        """The value as the node has it, in its layout and dtype; None where it is not right in any."""
        for layout, verdict in self._verdicts(self._part(number), array, same_layout=False):
            if verdict.outcome is Outcome.PASS:
                return torch.from_numpy(np.array(layout, order="C", copy=True)).to(self.like(number).dtype)
        return None

    def _verdicts(self, part: _Part, array: np.ndarray, same_layout: bool) -> Iterator[tuple[np.ndarray, Verdict]]:
        """The layouts in which a value can be compared, up to the first that is right."""
        for layout in _layouts(array, tuple(part.reference[0].shape), same_layout):
            verdict = self._compare(part, layout)
            yield layout, verdict
            if verdict.outcome is Outcome.PASS:
                return

    def _compare(self, part: _Part, array: np.ndarray) -> Verdict:
        dtype = part.reference[0].dtype
        got = torch.from_numpy(np.array(array, order="C", copy=True))
        # A fraction where the node has integers is what its readers compute with; of others only the type differs.
        fractions = got.is_floating_point() and not dtype.is_floating_point and not dtype.is_complex
        if not (fractions and bool((got != got.trunc()).any())):
            got = got.to(dtype)
        return compare([got], part, self.rule, self.precision)

    def _part(self, number: int) -> _Part:
        i, t = self._positions[number], self._truth
        if self.rule.cls is not ToleranceClass.SQNR:
            bounds(t, self.rule, format_of(self.precision))  # of every node at once, and kept in the truth
        cache = {key: _cut(b, i) for key, b in t.cache.items() if isinstance(b, Bounds)}
        return _Part([t.outputs[i]], [t.reference[i]], t.exactness, cache=cache, whole=t, position=i)


def _cut(b: Bounds, i: int) -> Bounds:
    rounded = [b.rounded[i]] if b.rounded is not None else None
    unit = [b.unit[i]] if b.unit is not None else None
    return replace(b, bound=[b.bound[i]], rounded=rounded, unit=unit, decided=[[outs[i]] for outs in b.decided])


def _layouts(array: np.ndarray, shape: tuple[int, ...], same_layout: bool) -> Iterator[np.ndarray]:
    """The array as a value of `shape`: as it is, broadcast, its axes in another order, or reshaped where none fits."""
    if array.shape == shape:
        yield array
    elif array.ndim <= len(shape) and all(a in (1, n) for a, n in zip(array.shape[::-1], shape[::-1], strict=False)):
        yield np.broadcast_to(array, shape)  # one that its readers expand
    if same_layout or array.size != np.prod(shape, dtype=np.int64):
        return
    if sorted(array.shape) == sorted(shape) and len(shape) <= _LARGEST_RANK:
        for axes in itertools.permutations(range(len(shape))):
            if axes != tuple(range(len(shape))) and tuple(array.shape[a] for a in axes) == shape:
                yield array.transpose(axes)
    elif array.shape != shape:
        yield array.reshape(shape)


@dataclass(frozen=True, eq=False)
class Result:
    """One stored result of the run: the operator, which of its outputs, its value, and the operator's place, -1 for a
    constant, which is there before the first."""

    operation: Operation
    output: int
    value: Any
    place: int

    @property
    def name(self) -> str:
        return self.operation.outputs[self.output].name


@dataclass(frozen=True)
class Culprit:
    """The first operator outside of its bound. `nodes` are those it was made from, by their numbers; the value was
    judged as that of `node`, None where it came from none that has a value. `reason` tells both values. `local` when
    the node was evaluated on what the program gave the operator, not on what is right; `range_left` where the value is
    an infinity of which a later operator makes something wrong."""

    operator: str
    output: str
    place: int
    of: int
    node: int | None
    nodes: tuple[int, ...]
    reason: str
    local: bool = False
    range_left: bool = False


class Join:
    """Which node each result of a program is the value of.

    `handles` is `debugSymbolToHandles` of the package's debug information, "<first output>:<operator>" -> debug
    handles. A handle belongs to every node that one node of the exported graph was taken apart into, and to every
    operator that any of these became; `names`, the node that the converter gave a value to, tells more: they are the
    converter's own record, name of the value -> numbers of nodes.
    """

    def __init__(
        self,
        edge: EdgeProgram,
        operations: Sequence[Operation],
        handles: Mapping[str, Sequence[int]],
        names: Mapping[str, Sequence[int]],
    ) -> None:
        self.edge = edge
        self._handles = handles
        self._names = {sanitised(name): tuple(numbers) for name, numbers in names.items()}
        copies = ("const", "cast", "identity")
        self._last = {handle: o for o in operations if o.type not in copies for handle in self._handles_of(o)}
        self._named = {
            n for o in operations for item in o.outputs for n in self._by_name(item.name, len(o.outputs) > 1)
        }

    def nodes_of(self, operation: Operation) -> tuple[int, ...]:
        """The nodes an operator was made from, in the order of the graph; where only its debug handle is known, all of
        which it may be one."""
        several = len(operation.outputs) > 1
        found = {number for item in operation.outputs for number in self._by_name(item.name, several)}
        handles = self._handles_of(operation)
        found = found or {n for n, node in enumerate(self.edge.nodes) if node.handle in handles and node.kind}
        return tuple(sorted(found))

    def values_of(self, operation: Operation, output: int) -> tuple[int, ...]:
        """The nodes whose value this result is; none for one in the middle of what a node became."""
        item = operation.outputs[output]
        named = self._by_name(item.name, several=len(operation.outputs) > 1)
        if named:
            suffix = CAST_SUFFIX.search(item.name)
            # A float that was made an integer, to be an index, is another value.
            integer = suffix is not None and item.name not in self._names and re.search("int|bool", suffix.group())
            return tuple(n for n in named if not (integer and self._floats(n)))
        if len(operation.outputs) > 1 or not any(
            self._last.get(handle) is operation for handle in self._handles_of(operation)
        ):
            return ()
        last = max((n for n in self.nodes_of(operation) if self.edge.nodes[n].spec is not None), default=None)
        return () if last is None or last in self._named else (last,)

    def _floats(self, number: int) -> bool:
        spec = self.edge.nodes[number].spec
        return spec is not None and spec.torch_dtype.is_floating_point

    def _by_name(self, name: str, several: bool = False) -> tuple[int, ...]:
        """By the name the converter gave; passes append the data type, and where there are several, before the number
        of the result."""
        plain = CAST_SUFFIX.sub(r"\1" if several else "", name)
        return self._names.get(name) or self._names.get(plain, ())

    def _handles_of(self, operation: Operation) -> Sequence[int]:
        return self._handles.get(symbol(operation.label, operation.type), ())


def first_outside(judge: Judge, join: Join, results: Sequence[Result], count: int) -> Culprit | None:
    """The first result outside of its node's bound; `count` operators are in the program.

    Where none is when values may lie in another layout, the first that is outside as it lies.
    """
    for same_layout in (False, True):
        for result, number in joined(judge, join, results):
            verdict = judge.value(number, result.value, same_layout)
            if verdict is not None and verdict.outcome is not Outcome.PASS:
                return _culprit(join, result, number, count, verdict)
    return None


def first_inaccurate(judge: Judge, join: Join, results: Sequence[Result], count: int) -> Culprit | None:
    """The first result outside of the bound of its node alone, evaluated on what the program itself computed before.

    Finds what the bounds of a long program, which grow with it, leave room for.
    """
    values: dict[int, Tensor] = {}
    for result, number in joined(judge, join, results):
        settled = judge.settled(number, result.value)
        if settled is None:
            continue
        alone = judge.alone(number, values)
        verdict = alone.value(number, settled.numpy(), same_layout=True) if alone is not None else None
        if verdict is not None and verdict.outcome is not Outcome.PASS:
            return replace(_culprit(join, result, number, count, verdict), local=True)
        values[number] = settled
    return None


def blamed(culprit: Culprit, join: Join, operations: Sequence[Operation]) -> tuple[str, ...]:
    """The overloads that a culprit is put down to: that of its node, or those it may be of.

    What becomes of an input on its way to an operator, such as a cast to float, is that operator's doing.
    """
    nodes = join.edge.nodes
    found = [culprit.node] if culprit.node is not None else list(culprit.nodes)
    reached = {culprit.output}
    for operation in operations[max(culprit.place, 0) :]:
        if any(nodes[number].target != "input" for number in found):
            break
        if reached & set(_read_by(operation)):
            reached |= {item.name for item in operation.outputs}
            found = list(join.nodes_of(operation)) or found
    return tuple(dict.fromkeys(nodes[number].target for number in found if nodes[number].target != "input"))


def made_of(culprit: Culprit, join: Join, operations: Sequence[Operation]) -> frozenset[str]:
    """The types of the operators that its node became: of that of its result, and of those before it that give the
    value of no other node."""
    by_output = {item.name: operation for operation in operations for item in operation.outputs}
    found: dict[int, Operation] = {}
    ahead = [culprit.output]
    while ahead:
        operation = by_output.get(ahead.pop())
        if operation is None or id(operation) in found:
            continue
        if found and any(join.values_of(operation, output) for output in range(len(operation.outputs))):
            continue
        found[id(operation)] = operation
        ahead += _read_by(operation)
    return frozenset(operation.type for operation in found.values())


def _read_by(operation: Operation) -> Iterator[str]:
    """The names of the values that an operator reads."""
    for argument in operation.inputs.values():
        for one in argument if isinstance(argument, tuple) else (argument,):
            if isinstance(one, ValueRef):
                yield one.name


def joined(judge: Judge, join: Join, results: Sequence[Result]) -> Iterator[tuple[Result, int]]:
    """Each result beside the number of a node that it is the value of."""
    for result in results:
        for number in join.values_of(result.operation, result.output):
            if judge.knows(number) and isinstance(result.value, np.ndarray):
                yield result, number


def _culprit(join: Join, result: Result, number: int, count: int, verdict: Verdict) -> Culprit:
    reason = verdict.reason.removeprefix("output 0")
    reason = f"at {reason}" if reason.startswith("[") else reason.removeprefix(": ")
    nodes = join.nodes_of(result.operation)
    return Culprit(result.operation.type, result.name, result.place, count, number, nodes, reason)
