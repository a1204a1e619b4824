"""What an exported program calls: it is run on its example inputs, and every call of an operator is noted, with what
the tensors among its arguments were.

Ranges are rounded to steps, so that equal calls of different layers and models meet; a weight's keep its mean and its
deviation, anything else's the least and the greatest value. Operators that write to an argument stand as those that
return what is written, and later uses of the argument as uses of that.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.export.graph_signature import InputKind
from torch.utils._pytree import tree_flatten, tree_leaves

from harness.cases.calls import DTYPES, Call, Name, Ref, TensorSpec
from harness.cases.index.generated import UNINITIALISED
from harness.evidence.vocabulary import HarnessError

#: Integers and truth values of at most so many elements are told one by one.
FEW = 16
#: A value beyond it is an infinity in fp16.
LARGEST = 65504.0
#: Smaller ones are rounding of others.
LEAST = 2.0**-12
#: Arguments that say where and how, which follows from the tensors.
PLACES = ("device", "layout", "pin_memory", "generator")
#: Operators whose result holds no value of their argument's, by how their names end or begin.
_FILLED = ("new_ones", "new_zeros", "new_full", "ones_like", "zeros_like", "full_like")
#: Operators of several graphs in place of one, by where the graph and the first of its arguments stand.
_WRAPPERS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}

#: What torch.export puts between a module and the number of its call, of one that is called several times.
_AGAIN = "@"

#: Those whose operators can be called wherever a case is.
NAMESPACES = ("aten", "prims", "torchao", "quant", "quantized_decomposed", "dim_order_ops")

#: Reasons why a call is left out.
ASSERTION = "makes no tensor"
RANDOM = "draws random values, or takes what memory holds"
FOREIGN = "is of an operator that comes with neither torch nor what registers at lowering"
OF_CONSTANTS = "is made of constants alone"
WRITES = "writes to what another value is a view of"
FORM = "has an argument of no known form"
#: And a program.
NOT_RUN = "has an operator over graphs that cannot be told as calls"


@dataclass(frozen=True)
class Step:
    """One call, whose arguments hold `Ref`s to earlier values, and the modules it is made in: path and type, outermost
    first. `left_out` is the reason why it cannot stand for itself, nor in a block."""

    name: str
    call: Call
    modules: tuple[tuple[str, str], ...] = ()
    left_out: str = ""


@dataclass(frozen=True)
class Trace:
    """The calls of a program in order; what each value was, constants said so; and the values it returns."""

    steps: tuple[Step, ...]
    values: Mapping[Ref, TensorSpec]
    results: frozenset[Ref]

    def calls(self) -> Iterator[Call]:
        """Each call by itself, its tensors as they were; but those that are left out."""
        for step in self.steps:
            if not self.reason(step):
                yield self.call_of(step)

    def call_of(self, step: Step) -> Call:
        return step.call.map_leaves(lambda leaf: self.values[leaf] if isinstance(leaf, Ref) else leaf)

    def reason(self, step: Step) -> str:
        """Why a call is left out; empty where it is not."""
        if step.left_out:
            return step.left_out
        tensors = [self.values[ref] for ref in step.call.refs()]
        return "" if any(not tensor.constant for tensor in tensors) else OF_CONSTANTS

    def left_out(self) -> Counter[str]:
        """How many calls are left out, by reason."""
        return Counter(reason for step in self.steps if (reason := self.reason(step)))


def trace(program: torch.export.ExportedProgram, inputs: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Trace:
    """Run a program, as `torch.export.export` gives it, on these inputs.

    Raises `HarnessError` where it does not run, or holds an operator over graphs that has no place in a list of calls.
    """
    recorder = _Recorder()
    flat, _ = tree_flatten((inputs, dict(kwargs)))
    users = iter(flat)
    written = {
        node.args[0]
        for node in program.graph.nodes
        if isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable and node.args
    }
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs if hasattr(spec.arg, "name")}
    arguments = []
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        spec = specs[node.name]
        given = spec.kind is InputKind.USER_INPUT
        value = next(users) if given else _held(program, spec.target)
        if isinstance(value, Tensor):
            value = value.detach().clone()
        arguments.append((value, recorder.take(node.name, value, constant=not given and node not in written)))
    try:
        with torch.no_grad():
            _, handles = recorder.run(program.graph_module, arguments)
    except HarnessError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise HarnessError(f"the exported program does not run: {type(error).__name__}: {text}") from None
    results = frozenset(leaf for leaf in tree_leaves(handles) if isinstance(leaf, Ref))
    return Trace(tuple(recorder.steps), recorder.values, results)


def _held(program: torch.export.ExportedProgram, target: str) -> Any:
    return program.state_dict[target] if target in program.state_dict else program.constants[target]


@dataclass
class _Recorder:
    """Runs graphs, one inside another as one list; a value goes with a handle: of a tensor its `Ref`, of a tuple a
    tuple of handles, of a number itself."""

    steps: list[Step] = field(default_factory=list)
    values: dict[Ref, TensorSpec] = field(default_factory=dict)
    names: Counter[str] = field(default_factory=Counter)
    #: What a value that was written to is called since.
    renamed: dict[Ref, Ref] = field(default_factory=dict)
    #: Values that share memory with another.
    views: set[Ref] = field(default_factory=set)

    def take(self, name: str, value: Any, *, constant: bool) -> Any:
        """The handle of a value that comes from outside."""
        if isinstance(value, Tensor):
            ref = Ref(self._unique(name))
            self.values[ref] = observed(value, constant=constant)
            return ref
        return value

    def _unique(self, name: str) -> str:
        number = self.names[name]
        self.names[name] += 1
        return f"{name}__{number}" if number else name

    def run(
        self, module: Any, arguments: list[tuple[Any, Any]], outer: tuple[tuple[str, str], ...] = ()
    ) -> tuple[Any, Any]:
        """What a graph returns for these values and their handles, and the handles of that."""
        env: dict[torch.fx.Node, tuple[Any, Any]] = {}
        waiting = iter(arguments)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                env[node] = next(waiting)
            elif node.op == "get_attr":
                value = operator.attrgetter(node.target)(module)
                env[node] = value, self.take(node.name, value, constant=True)
            elif node.op == "output":
                return _mapped(node.args[0], lambda n: env[n][0]), self._handles(node.args[0], env)
            else:
                env[node] = self._step(node, env, (*outer, *_modules(node)))
        raise HarnessError("a graph without an output")

    def _handles(self, arguments: Any, env: Mapping[torch.fx.Node, tuple[Any, Any]]) -> Any:
        return _renamed(_mapped(arguments, lambda node: env[node][1]), self.renamed)

    def _step(
        self, node: torch.fx.Node, env: Mapping[torch.fx.Node, tuple[Any, Any]], modules: tuple[tuple[str, str], ...]
    ) -> tuple[Any, Any]:
        args, kwargs = (_mapped(part, lambda n: env[n][0]) for part in (node.args, node.kwargs))
        handles, named = (self._handles(part, env) for part in (node.args, node.kwargs))
        if node.target is operator.getitem:
            source = handles[0]
            whole = isinstance(source, Ref)
            return args[0][args[1]], Ref(source.name, args[1]) if whole else source[args[1]]
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            return self._graphs(node.target, args, handles, modules)
        result = node.target(*args, **kwargs)  # type: ignore[operator]
        if not isinstance(node.target, torch._ops.OpOverload):
            return result, result
        return result, self._record(node.name, node.target, handles, named, result, modules)

    def _graphs(
        self, target: Any, args: tuple[Any, ...], handles: tuple[Any, ...], modules: tuple[tuple[str, str], ...]
    ) -> tuple[Any, Any]:
        if (place := _WRAPPERS.get(target.name())) is not None:
            start = place + 1
            return self.run(args[place], list(zip(args[start:], handles[start:], strict=True)), modules)
        if target.name() == "cond":
            taken = args[1] if bool(args[0]) else args[2]
            return self.run(taken, list(zip(args[3], handles[3], strict=True)), modules)
        raise HarnessError(f"the program {NOT_RUN}: {target.name()}")

    def _record(
        self,
        name: str,
        target: torch._ops.OpOverload,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        modules: tuple[tuple[str, str], ...],
    ) -> Any:
        """Note the call; the handle of its result."""
        name = self._unique(name)
        several = isinstance(result, (tuple, list))
        tensors = list(result) if several else [result]
        if not any(isinstance(tensor, Tensor) for tensor in tensors):
            self.steps.append(Step(name, Call(_name(target)), modules, ASSERTION))
            return result
        if _name(target) == "aten.to.device":  # on the CPU, where everything is, it is this
            target, args = torch.ops.aten.to.dtype, (args[0], *args[2:])
        call, reason = self._call(target, args, kwargs)
        refs = call.refs()
        if target._schema.is_mutable:
            functional = _functional(target)
            if functional is None or not refs or {refs[0]} & self.views:
                reason = WRITES
            call = Call(_name(functional or target), call.args, call.kwargs)
        random = torch.Tag.nondeterministic_seeded in target.tags and not _is_off(target, args)
        random = random or target._opname.startswith(UNINITIALISED)
        reason = RANDOM if random else reason if target.namespace in NAMESPACES else FOREIGN
        constant = not random and (
            target._opname in _FILLED or all(self.values[ref].constant for ref in refs if ref in self.values)
        )
        found = []
        for number, tensor in enumerate(tensors):
            ref = Ref(name, number if several else None)
            found.append(ref if isinstance(tensor, Tensor) else tensor)
            if isinstance(tensor, Tensor):
                held = torch.zeros_like(tensor) if target._opname.startswith(UNINITIALISED) else tensor
                self.values[ref] = observed(held, constant=constant)
        if any(returned.alias_info is not None for returned in target._schema.returns):
            if target._schema.is_mutable:
                self.renamed |= {refs[0]: found[0]} if refs else {}
            else:
                self.views |= {*(ref for ref in found if isinstance(ref, Ref)), *refs[:1]}
        self.steps.append(Step(name, call, modules, reason))
        return tuple(found) if several else found[0]

    def _call(
        self, target: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Call, str]:
        try:
            given = {name: _argument(value) for name, value in kwargs.items() if name not in PLACES}
            return Call(_name(target), tuple(_argument(value) for value in args), given), ""
        except TypeError:
            return Call(_name(target)), FORM


def _mapped(arguments: Any, change: Callable[[torch.fx.Node], Any]) -> Any:
    """Arguments of a node with each node replaced; containers as Python's own."""
    if isinstance(arguments, torch.fx.Node):
        return change(arguments)
    if isinstance(arguments, (list, tuple)):
        found = [_mapped(item, change) for item in arguments]
        return tuple(found) if isinstance(arguments, tuple) else found
    if isinstance(arguments, Mapping):
        return {name: _mapped(item, change) for name, item in arguments.items()}
    return arguments


def _renamed(handles: Any, names: Mapping[Ref, Ref]) -> Any:
    if isinstance(handles, Ref):
        while handles in names:
            handles = names[handles]
        return handles
    if isinstance(handles, (list, tuple)):
        return type(handles)(_renamed(item, names) for item in handles)
    if isinstance(handles, dict):
        return {name: _renamed(item, names) for name, item in handles.items()}
    return handles


def _modules(node: torch.fx.Node) -> tuple[tuple[str, str], ...]:
    """Where a node comes from, by path and type. Of a module called several times a key tells which call it is."""
    stack = node.meta.get("nn_module_stack") or {}
    found = []
    for key, (path, kind) in stack.items():
        _, again, number = key.partition(_AGAIN)
        found.append((f"{path}{again}{number}", kind if isinstance(kind, str) else kind.__qualname__))
    return tuple(found)


def _name(target: torch._ops.OpOverload) -> str:
    """As `lowering.graph.overload_name` gives it."""
    namespace, _, name = target._schema.name.partition("::")
    return f"{namespace}.{name}.{target._schema.overload_name or 'default'}"


def _functional(target: torch._ops.OpOverload) -> torch._ops.OpOverload | None:
    """The operator that returns what this one writes to its first argument; None where there is none."""
    namespace, _, name = target._schema.name.partition("::")
    packet = getattr(getattr(torch.ops, namespace), name.removesuffix("_"), None)
    found: torch._ops.OpOverload | None = getattr(packet, target._overloadname, None)
    if found is None or found._schema.is_mutable:
        return None
    return found if len(found._schema.arguments) == len(target._schema.arguments) else None


def _is_off(target: torch._ops.OpOverload, args: tuple[Any, ...]) -> bool:
    """Whether an operator that draws in training does not here: dropout in eval mode, attention without dropout."""
    name = target._opname
    if "dropout" in name:
        return len(args) > 2 and args[2] is False
    return "attention" in name


def _argument(value: Any) -> Any:
    """An argument as `Call` holds it. Raises `TypeError` for one of another kind."""
    if isinstance(value, (list, tuple)):
        return [_argument(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, complex, str, Ref)):
        return value
    if isinstance(value, (torch.dtype, torch.memory_format)):
        return Name(str(value).removeprefix("torch."))
    raise TypeError(type(value).__name__)


def observed(tensor: Tensor, *, constant: bool) -> TensorSpec:
    """What a tensor was: dtype, shape, and the range or the values to draw another from.

    >>> str(observed(torch.linspace(-3.1, 2.9, 40), constant=False)), str(observed(torch.arange(3), constant=True))
    ('float32(40)', 'int64([0, 1, 2], constant=True)')
    """
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        raise HarnessError(f"a tensor of {tensor.dtype}, which no call is written with")
    spec = TensorSpec(dtype, tuple(tensor.shape), constant=constant)
    if tensor.is_complex() or not tensor.numel():
        return spec
    if not tensor.is_floating_point():
        return _whole(spec, tensor)
    values = tensor.double()
    finite = values[torch.isfinite(values)]
    if ((values < -LARGEST + 1) | (values == 0)).all() and (values != 0).any():
        return spec.with_(values="mask")
    if not finite.numel():
        return spec
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        low = high = float(f"{max(-LARGEST, min(low, LARGEST)):.3g}")
        return spec.with_(low=low, high=high)
    if constant:
        mean, spread = float(finite.mean()), math.sqrt(3) * float(finite.std(correction=0))
        low, high = max(low, mean - spread), min(high, mean + spread)
    low, high = rounded(low, high, nearest=constant)
    return spec if (low, high) == (-4.0, 4.0) else spec.with_(low=low, high=high)


def _whole(spec: TensorSpec, tensor: Tensor) -> TensorSpec:
    if 0 < tensor.numel() <= FEW and tensor.dim():
        return spec.with_(data=_frozen(tensor.tolist()))
    low, high = int(tensor.min()), int(tensor.max())
    if spec.dtype == "bool":
        return spec if low != high else spec.with_(low=1.0 if low else -1.0, high=1.0 if low else -1.0)
    if low != high:
        low, high = _toward_zero(low), _toward_zero(high)
    return spec.with_(low=low, high=high)


def _frozen(data: Any) -> Any:
    return tuple(_frozen(item) for item in data) if isinstance(data, list) else data


def _toward_zero(value: int) -> int:
    """The power of two next to it, towards zero: an index stays one."""
    return int(math.copysign(1 << (abs(value).bit_length() - 1), value)) if value else 0


def rounded(low: float, high: float, *, nearest: bool = False) -> tuple[float, float]:
    """A range whose ends are powers of two: the nearest ones, or up to 4 powers of four around it, and none that is
    further from zero beyond, where an operator could leave the range of fp16. About zero where it has both signs.

    >>> rounded(-1.3, 0.9), rounded(0.0, 6.0), rounded(0.3, 0.9), rounded(-0.07, 0.07, nearest=True)
    ((-4.0, 4.0), (0.0, 4.0), (0.25, 1.0), (-0.0625, 0.0625))
    """

    def power(value: float, up: bool) -> float:
        if not value:
            return 0.0
        exponent = math.log2(max(abs(value), LEAST))
        if nearest:
            exponent = round(exponent)
        elif exponent > 2:
            exponent = math.floor(exponent)
        else:
            exponent = 2 * (math.ceil(exponent / 2) if up else math.floor(exponent / 2))
        return math.copysign(min(2.0**exponent, LARGEST), value)

    if max(abs(low), abs(high)) < LEAST:
        return -LEAST, LEAST
    low, high = 0.0 if 0 < low < LEAST else low, 0.0 if -LEAST < high < 0 else high
    if low < 0 < high:
        most = power(max(-low, high), up=True)
        return -most, most
    low, high = power(low, up=low < 0), power(high, up=high > 0)
    if low == high:  # of values that differ
        return (low, 2 * high) if low > 0 else (2 * low, high)
    return low, high
