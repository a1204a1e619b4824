"""From the edge program's fx graph to the plain data of `program.py`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import torch
from torch.export.graph_signature import InputKind, OutputKind

from harness.lowering.debug_info import EdgeNode
from harness.lowering.flops import flops_of, overload_of
from harness.lowering.program import (
    METHOD,
    Delegate,
    DelegateCall,
    EagerCall,
    GetItem,
    Input,
    LoweredProgram,
    Reference,
    Step,
    TensorSpec,
    Value,
)

_KINDS = {
    InputKind.USER_INPUT: "user",
    InputKind.PARAMETER: "parameter",
    InputKind.BUFFER: "buffer",
    InputKind.CONSTANT_TENSOR: "constant",
}


class UnplannableGraph(Exception):
    """The graph holds something the plan has no step for; the message names it."""


def overload_name(target: Any) -> str:
    """`aten.gelu.default` for an operator overload of torch or of the edge dialect; `operator.add` for Python's own."""
    schema = getattr(overload_of(target), "_schema", None)
    if schema is not None:
        namespace, _, name = schema.name.partition("::")
        return f"{namespace}.{name}.{schema.overload_name or 'default'}"
    module = getattr(target, "__module__", "") or ""
    return f"{'operator' if module in ('_operator', 'operator') else module}.{getattr(target, '__name__', target)}"


def count_ops(graph: torch.fx.Graph) -> dict[str, int]:
    """Number of nodes by ATen overload, in a graph without delegates."""
    names = (overload_name(node.target) for node in graph.nodes if node.op == "call_function")
    return dict(sorted(Counter(name for name in names if not name.startswith(("operator.", "_operator."))).items()))


def edge_nodes(graph: torch.fx.Graph) -> tuple[EdgeNode, ...]:
    """The operators of a delegate's graph, as what the emitted program is made from."""
    found = []
    for node in graph.nodes:
        name = overload_name(node.target) if node.op == "call_function" else "operator."
        if not name.startswith(("operator.", "_operator.")):
            results = (user.name for user in node.users if getattr(user.target, "__name__", "") == "getitem")
            found.append(EdgeNode((node.name, *results), name, node.meta.get("debug_handle")))
    return tuple(found)


def plan_of(program: torch.export.ExportedProgram, method: str = METHOD) -> LoweredProgram:
    """Read a lowered `ExportedProgram` (not yet emitted: `to_executorch` rewrites it in place), a method of that name.

    Raises `UnplannableGraph` for control flow outside delegates and for anything else without a step.
    """
    return replace(_Planner(program).plan(), method=method)


class _Planner:
    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self.program = program
        self.numbers: dict[torch.fx.Node, Value] = {}
        self.delegates: list[Delegate] = []
        self.delegate_numbers: dict[str, int] = {}
        self.inputs: list[Input] = []
        self.steps: list[Step] = []

    def plan(self) -> LoweredProgram:
        outputs: tuple[Any, ...] = ()
        mutations: tuple[tuple[Value, Value], ...] = ()
        for node in self.program.graph.nodes:
            self.numbers[node] = Value(len(self.numbers))
            if node.op == "placeholder":
                self.inputs.append(self._input(node))
            elif node.op == "call_function":
                self.steps.append(self._step(node))
            elif node.op == "output":
                outputs, mutations = self._outputs(node)
            elif node.op != "get_attr":
                raise UnplannableGraph(f"node {node.name} of kind {node.op}")
        written = {placeholder for placeholder, _ in mutations}
        inputs = tuple(_emptied(i) if i.value in written else i for i in self.inputs)
        return LoweredProgram(inputs, tuple(self.steps), outputs, tuple(self.delegates), mutations)

    def _input(self, node: torch.fx.Node) -> Input:
        spec = next(s for s in self.program.graph_signature.input_specs if getattr(s.arg, "name", None) == node.name)
        if spec.kind not in _KINDS:
            raise UnplannableGraph(f"input {node.name} of kind {spec.kind}")
        tensor = None
        if spec.kind is not InputKind.USER_INPUT:
            assert spec.target is not None
            state = self.program.state_dict
            tensor = state[spec.target] if spec.target in state else self.program.constants[spec.target]
            tensor = tensor.detach()
        kind = _KINDS[spec.kind]
        return Input(node.name, self.numbers[node], spec_of(node.meta.get("val")), kind, tensor, spec.target or "")

    def _step(self, node: torch.fx.Node) -> Step:
        out = self.numbers[node]
        name = getattr(node.target, "__name__", "")
        if name == "executorch_call_delegate":
            module, *args = node.args
            assert isinstance(module, torch.fx.Node)
            return DelegateCall(self._delegate(module, node), self._argument(tuple(args)), out)
        if name == "getitem" and isinstance(node.args[0], torch.fx.Node) and isinstance(node.args[1], int):
            return GetItem(self.numbers[node.args[0]], node.args[1], out)
        target = overload_name(node.target)
        if target.startswith(("operator.", "_operator.")):
            target = "operator." + name
        elif not hasattr(overload_of(node.target), "_schema"):
            raise UnplannableGraph(f"call of {target}")
        return EagerCall(target, self._argument(node.args), self._argument(dict(node.kwargs)), out, flops_of([node]))

    def _delegate(self, module_node: torch.fx.Node, call: torch.fx.Node) -> int:
        attribute = str(module_node.target)
        if attribute not in self.delegate_numbers:
            module = getattr(self.program.graph_module, attribute)
            self.delegate_numbers[attribute] = len(self.delegates)
            self.delegates.append(
                Delegate(
                    processed=bytes(module.processed_bytes),
                    inputs=tuple(
                        spec_of(a.meta.get("val")) if isinstance(a, torch.fx.Node) else None for a in call.args[1:]
                    ),
                    outputs=_results_of(module.original_module),
                    ops=count_ops(module.original_module.graph),
                    compile_specs=tuple((spec.key, bytes(spec.value)) for spec in module.compile_specs),
                    buffers=tuple(module.original_module.graph_signature.buffers_to_mutate.values()),
                    shared=_shared_package(module),
                    nodes=edge_nodes(module.original_module.graph),
                    flops=flops_of(module.original_module.graph.nodes),
                )
            )
        return self.delegate_numbers[attribute]

    def _argument(self, argument: Any) -> Any:
        if isinstance(argument, torch.fx.Node):
            return self.numbers[argument]
        if isinstance(argument, (list, tuple)):
            return (
                tuple(self._argument(a) for a in argument)
                if isinstance(argument, tuple)
                else [self._argument(a) for a in argument]
            )
        if isinstance(argument, dict):
            return {key: self._argument(value) for key, value in argument.items()}
        return argument

    def _outputs(self, node: torch.fx.Node) -> tuple[tuple[Any, ...], tuple[tuple[Value, Value], ...]]:
        users, mutations = [], []
        placeholders = {i.name: i.value for i in self.inputs}
        targets = {
            s.target: placeholders[s.arg.name]
            for s in self.program.graph_signature.input_specs
            if s.target is not None and getattr(s.arg, "name", None) in placeholders
        }
        returned = node.args[0]
        assert isinstance(returned, (list, tuple))
        for spec, value in zip(self.program.graph_signature.output_specs, returned, strict=True):
            if spec.kind is OutputKind.USER_OUTPUT:
                users.append(self._argument(value))
            elif spec.kind is OutputKind.USER_INPUT_MUTATION:
                mutations.append((placeholders[str(spec.target)], self._argument(value)))
            elif spec.kind is OutputKind.BUFFER_MUTATION:
                mutations.append((targets[spec.target], self._argument(value)))
            else:
                raise UnplannableGraph(f"output of kind {spec.kind}")
        return tuple(users), tuple(mutations)


def _emptied(buffer: Input) -> Input:
    """A buffer that a program writes to as it begins: its first value is not emitted, and the memory that the runtime
    plans for it is of zeros. Source: executorch/exir/passes/init_mutable_pass.py, which `to_executorch` runs only where
    it is asked to."""
    return buffer if buffer.tensor is None else replace(buffer, tensor=torch.zeros_like(buffer.tensor))


def _shared_package(module: Any) -> bytes:
    """The package a delegate refers to, out of the data it shares with other methods; empty where it refers to none."""
    reference = Reference.parse(bytes(module.processed_bytes))
    store = module.named_data_store_output
    if reference is None or store is None or reference.key not in store.pte_data:
        return b""
    return bytes(store.buffers[store.pte_data[reference.key].buffer_index])


def _results_of(delegated: torch.export.ExportedProgram) -> tuple[TensorSpec | None, ...]:
    """What a delegate returns: a buffer it took over and writes to is its state, no result."""
    output = delegated.graph.output_node()
    returned = output.args[0]
    assert isinstance(returned, (list, tuple))
    return tuple(
        spec_of(value.meta.get("val")) if isinstance(value, torch.fx.Node) else None
        for spec, value in zip(delegated.graph_signature.output_specs, returned, strict=True)
        if spec.kind is not OutputKind.BUFFER_MUTATION
    )


def spec_of(value: Any) -> TensorSpec | None:
    """Dtype and shape of a traced tensor; None for anything else."""
    if not isinstance(value, torch.Tensor):
        return None
    shape = tuple(int(s) if isinstance(s, int) else None for s in value.shape)
    return TensorSpec(str(value.dtype).removeprefix("torch."), shape)
