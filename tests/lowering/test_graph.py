from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from harness.lowering.graph import UnplannableGraph, count_ops, overload_name, plan_of, spec_of
from harness.lowering.program import DelegateCall, EagerCall, GetItem, LoweredProgram, TensorSpec, Value
from harness.units.reference import ReferenceUnit
from harness.units.whole_program import run_program

ProgramOf = Callable[..., LoweredProgram]
X = torch.tensor([0.5, 1.0, 2.0])
Y = torch.tensor([-1.0, 4.0, 0.25])
F3 = TensorSpec("float32", (3,))


class Function(torch.nn.Module):
    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> object:
        return self.function(*tensors)


def kinds(program: LoweredProgram) -> list[str]:
    return [step.target if isinstance(step, EagerCall) else type(step).__name__ for step in program.steps]


def run(program: LoweredProgram, *inputs: torch.Tensor) -> list[object]:
    return run_program(program, ReferenceUnit(), inputs).outputs


def test_everything_delegated(program_of: ProgramOf) -> None:
    program = program_of(Function(lambda x, y: x - y), X, Y)
    assert kinds(program) == ["DelegateCall", "GetItem"]
    assert [i.kind for i in program.inputs] == ["user", "user"]
    (delegate,) = program.delegates
    assert (delegate.inputs, delegate.outputs, delegate.ops) == ((F3, F3), (F3,), {"aten.sub.Tensor": 1})
    assert program.delegated_ops == {"aten.sub.Tensor": 1}
    assert program.fallback_ops == {}
    (node,) = delegate.nodes
    assert (node.names, node.op) == (("aten_sub_tensor",), "aten.sub.Tensor")
    assert isinstance(node.handle, int)
    torch.testing.assert_close(run(program, X, Y), [X - Y])


def test_nodes_keep_the_handle_of_what_they_were_decomposed_from(program_of: ProgramOf) -> None:
    program = program_of(Function(lambda x, y: torch.split(torch.logaddexp(x, y), 2)), X, Y)
    (delegate,) = program.delegates
    handles = {node.op: node.handle for node in delegate.nodes}
    assert handles["aten.exp.default"] == handles["aten.log1p.default"] != handles["aten.split_with_sizes_copy.default"]
    split = next(node for node in delegate.nodes if node.op == "aten.split_with_sizes_copy.default")
    assert len(split.names) == 3  # its own, and those of its two results
    assert sorted(node.op for node in delegate.nodes) == sorted(op for op, n in delegate.ops.items() for _ in range(n))


def test_several_delegates_around_a_fallback(program_of: ProgramOf) -> None:
    program = program_of(Function(lambda x: torch.cos(torch.asinh(torch.sin(x)))), X)
    assert kinds(program) == ["DelegateCall", "GetItem", "aten.asinh.default", "DelegateCall", "GetItem"]
    assert [d.ops for d in program.delegates] == [{"aten.sin.default": 1}, {"aten.cos.default": 1}]
    assert program.delegated_ops == {"aten.sin.default": 1, "aten.cos.default": 1}
    assert program.fallback_ops == {"aten.asinh.default": 1}
    torch.testing.assert_close(run(program, X), [torch.cos(torch.asinh(torch.sin(X)))])


def test_values_cross_between_delegates_and_fallbacks(program_of: ProgramOf) -> None:
    def function(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        a = torch.asinh(x * 2)
        return a + y, torch.asinh(y), x - y

    program = program_of(Function(function), X, Y)
    assert program.fallback_ops == {"aten.asinh.default": 2}
    assert len(program.delegates) >= 1
    torch.testing.assert_close(run(program, X, Y), list(function(X, Y)))


def test_nothing_delegated(program_of: ProgramOf) -> None:
    program = program_of(Function(lambda x: torch.asinh(x)), X)
    assert program.delegates == ()
    assert kinds(program) == ["aten.asinh.default"]
    torch.testing.assert_close(run(program, X), [torch.asinh(X)])


def test_an_input_handed_through(program_of: ProgramOf) -> None:
    program = program_of(Function(lambda x: x), X)
    assert program.steps == ()
    assert program.outputs == (program.inputs[0].value,)


def test_one_value_returned_twice_and_an_input(program_of: ProgramOf) -> None:
    def function(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = x + 1
        return y, y, x

    program = program_of(Function(function), X)
    assert program.outputs[0] == program.outputs[1]
    torch.testing.assert_close(run(program, X), list(function(X)))


def test_several_outputs_keep_their_order_and_dtype(program_of: ProgramOf) -> None:
    def function(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values, indices = torch.topk(x, 2)
        return indices, values, x.max(dim=0).values

    matrix = torch.tensor([[3.0, 1.0, 2.0], [5.0, 9.0, 7.0]])
    program = program_of(Function(function), matrix)
    (delegate,) = program.delegates
    assert sorted(spec.dtype for spec in delegate.outputs if spec) == ["float32", "float32", "int64"]
    torch.testing.assert_close(run(program, matrix), list(function(matrix)))


def test_constants_returned(program_of: ProgramOf) -> None:
    def function(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x * 2, torch.ones(2), torch.tensor(3)

    program = program_of(Function(function), X)
    torch.testing.assert_close(run(program, X), list(function(X)))


def test_python_scalars_and_lists_stay_arguments(program_of: ProgramOf) -> None:
    program = program_of(Function(lambda x: torch.diagonal(x, 1, 1, 0) * 2.5), torch.arange(9.0).reshape(3, 3))
    call = next(step for step in program.steps if isinstance(step, EagerCall))
    assert call.target == "aten.diagonal_copy.default"
    assert call.args[1:] == (1, 1, 0)
    matrix = torch.arange(9.0).reshape(3, 3)
    torch.testing.assert_close(run(program, matrix), [torch.diagonal(matrix, 1, 1, 0) * 2.5])


class Weights(torch.nn.Module):
    """Used by fallback operators, so no delegate takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = torch.tensor([1.0, 2.0, 3.0])
        self.weight = torch.nn.Parameter(torch.full((3,), 0.25))
        self.register_buffer("scale", torch.full((3,), 0.125))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.asinh(self.plain), torch.asinh(self.weight) + torch.asinh(self.scale) + x


def test_parameters_buffers_and_constants_of_fallbacks_are_inputs(program_of: ProgramOf) -> None:
    program = program_of(Weights(), X)
    kinds_of = {i.kind: i for i in program.inputs}
    assert sorted(kinds_of) == ["buffer", "constant", "parameter", "user"]
    for kind, value in (("parameter", 0.25), ("buffer", 0.125)):
        tensor = kinds_of[kind].tensor
        assert tensor is not None
        assert not tensor.requires_grad
        assert tensor.tolist() == [value] * 3
    assert kinds_of["user"].tensor is None
    with torch.no_grad():
        torch.testing.assert_close(run(program, X), list(Weights()(X)))


class Counter(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        # A Core ML state begins at zero.
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.total.add_(x)
        return self.total * 2, x + 1


def test_a_buffer_the_delegate_took_over_is_its_state_and_no_result(program_of: ProgramOf) -> None:
    program = program_of(Counter(), X)
    (delegate,) = program.delegates
    assert [i.kind for i in program.inputs] == ["user"]
    assert delegate.outputs == (F3, F3)
    assert program.mutations == ()
    result = run_program(program, ReferenceUnit(), (X,))
    assert result.mil_ops["read_state"] == result.mil_ops["write_state"] == 1
    torch.testing.assert_close(result.outputs, [X * 2, X + 1])


def test_a_buffer_written_outside_delegates_is_a_mutation(program_of: ProgramOf) -> None:
    class Keep(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("last", torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.last.copy_(torch.asinh(x))
            return self.last * 2

    program = program_of(Keep(), X)
    (mutation,) = program.mutations
    buffer = next(i for i in program.inputs if i.kind == "buffer")
    assert mutation[0] == buffer.value
    assert buffer.tensor is not None
    assert buffer.tensor.tolist() == [0, 0, 0]  # its first value is not emitted
    torch.testing.assert_close(run(program, X), [torch.asinh(X) * 2])


def test_an_input_written_to_is_a_mutation_and_the_callers_tensor_is_left_alone(program_of: ProgramOf) -> None:
    program = program_of(Function(lambda x: x.add_(1) * 2), X.clone())
    assert program.mutations[0][0] == program.inputs[0].value
    mine = X.clone()
    torch.testing.assert_close(run(program, mine), [(X + 1) * 2])
    assert torch.equal(mine, X)


def test_every_reference_is_to_a_value_made_before(program_of: ProgramOf) -> None:
    program = program_of(Weights(), X)
    known = {i.value.number for i in program.inputs}
    for step in program.steps:
        used = [step.source] if isinstance(step, GetItem) else [a for a in step.args if isinstance(a, Value)]
        assert {v.number for v in used} <= known
        assert step.out.number not in known
        known.add(step.out.number)
    assert isinstance(program.steps[-2], DelegateCall)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (torch.ops.aten.gelu.default, "aten.gelu.default"),
        (torch.ops.aten.add.Tensor, "aten.add.Tensor"),
        (torch.ops.aten.sym_size.int, "aten.sym_size.int"),
        (torch.ops.prims.sum.default, "prims.sum.default"),
        (torch.add, "torch._C._VariableFunctionsClass.add"),
    ],
)
def test_names_of_torchs_own_overloads(target: object, name: str) -> None:
    found = overload_name(target)
    assert found == name or target is torch.add


def test_names_of_the_edge_dialect_and_of_python() -> None:
    import operator

    from executorch.exir.dialects._ops import ops as edge

    assert overload_name(edge.edge.aten.gelu.default) == "aten.gelu.default"
    assert overload_name(edge.edge.dim_order_ops._clone_dim_order.default) == "dim_order_ops._clone_dim_order.default"
    assert overload_name(operator.add) == "operator.add"


def test_exported_operators_are_counted_under_the_same_names(lowered: Callable[..., object]) -> None:
    result = lowered(Function(lambda x: torch.asinh(x * 2) * 3), X)
    assert result.exported_ops == {"aten.asinh.default": 1, "aten.mul.Tensor": 2}  # type: ignore[attr-defined]


def test_pythons_functions_are_not_counted() -> None:
    graph = torch.fx.symbolic_trace(lambda x: x + 1).graph
    assert count_ops(graph) == {}


def test_specs() -> None:
    assert spec_of(torch.zeros(2, 3, dtype=torch.int64)) == TensorSpec("int64", (2, 3))
    assert spec_of(torch.zeros(())) == TensorSpec("float32", ())
    assert spec_of(3) is None
    assert spec_of(None) is None
    assert TensorSpec("bool", ()).torch_dtype is torch.bool


def test_a_dynamic_dimension_is_none(exported: Callable[..., object]) -> None:
    from harness.evidence.recipe import Recipe
    from harness.lowering.lower import lower

    rows = {0: torch.export.Dim("rows", min=2, max=8)}
    made = exported(Function(lambda x: x * 2), torch.ones(3, 4), dynamic_shapes=((rows,),))
    program = lower(made, Recipe.parse("fp32-ios18")).program  # type: ignore[arg-type]
    assert program is not None
    assert program.inputs[0].spec == TensorSpec("float32", (None, 4))
    for count in (3, 5):
        torch.testing.assert_close(run(program, torch.ones(count, 4)), [torch.full((count, 4), 2.0)])


def test_control_flow_outside_delegates_has_no_plan() -> None:
    class Branch(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,))

    with pytest.raises(UnplannableGraph, match="cond"):
        plan_of(torch.export.export(Branch(), (X,)))
