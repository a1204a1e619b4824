"""A whole program on a unit of our own making: what each delegate is given and what becomes of its answers."""

from __future__ import annotations

import logging
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.cases.case import Built
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Phase, Unit
from harness.lowering import speedups
from harness.lowering.lower import export, lower
from harness.lowering.program import (
    Delegate,
    DelegateCall,
    EagerCall,
    GetItem,
    Input,
    LoweredProgram,
    TensorSpec,
    UnpackedDelegate,
    Value,
)
from harness.units.base import FallbackFailed, Feature, LoadFailed, PredictFailed, Prediction, ProgramContradiction
from harness.units.reference import ReferenceUnit
from harness.units.whole_program import DelegateUnit, open_program, resolve, run_program, states_of

F2 = TensorSpec("float32", (2,))
SEEN = Note(NoteCode.NON_FINITE, "seen")
X, Y = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])


class OpenedAdder:
    """Adds a number to its inputs; says what it was given."""

    def __init__(self, unit: Adder) -> None:
        self.unit = unit
        self.features = [Feature(name, "float32", (2,)) for name in unit.inputs]
        self.mil_ops = {"add": 1, "cast": 2}
        self.placement = {"add": {"preferred": "cpu", "supported": ["cpu"], "cost": 0.5}}
        self.aten_placement = {"aten.add.Tensor": {"preferred": "cpu", "supported": ["cpu"], "cost": 0.5}}

    def predict(self, inputs: list[np.ndarray]) -> Prediction:
        self.unit.given.append([array.copy() for array in inputs])
        return Prediction([array + self.unit.amount for array in inputs], [SEEN])

    def close(self) -> None:
        self.unit.closed += 1


class Adder(DelegateUnit):
    """A unit; `unpacked` are the folders it was given."""

    unit = UnitSpec(Unit.REFERENCE)

    def __init__(self, inputs: tuple[str, ...] = ("x",), amount: float = 1.0) -> None:
        self.inputs, self.amount = inputs, amount
        self.given: list[list[np.ndarray]] = []
        self.unpacked: list[Path] = []
        self.closed = 0

    def unavailable(self, target: str) -> str | None:
        return None

    def open(self, delegate: UnpackedDelegate) -> OpenedAdder:
        assert delegate.package.parent.is_dir()
        self.unpacked.append(delegate.package.parent)
        return OpenedAdder(self)


class Packed(Delegate):
    """A delegate whose package needs no Core ML."""

    def unpack(self, directory: Path) -> UnpackedDelegate:
        names = self.processed.decode().split(",")
        return UnpackedDelegate(directory / "model.mlpackage", tuple(names), tuple(f"{n}_out" for n in names))


def packed(*names: str, specs: tuple[TensorSpec, ...] = ()) -> Delegate:
    specs = specs or (F2,) * len(names)
    return Packed(",".join(names).encode(), (F2,) * len(names), specs, {"aten.add.Tensor": 1})


def user(number: int, name: str = "x") -> Input:
    return Input(name, Value(number), F2, "user")


def one_delegate(*, outputs: tuple[Any, ...] = (Value(2),)) -> LoweredProgram:
    steps = (DelegateCall(0, (Value(0),), Value(1)), GetItem(Value(1), 0, Value(2)))
    return LoweredProgram((user(0),), steps, outputs, (packed("x"),))


def test_a_delegate_is_run_and_what_it_says_is_kept() -> None:
    unit, phases = Adder(), []
    result = run_program(one_delegate(), unit, (X,), phases.append)
    torch.testing.assert_close(result.outputs, [X + 1])
    assert phases == [Phase.LOAD, Phase.RUN]
    assert result.mil_ops == {"add": 1, "cast": 2}
    assert result.placement == {"add": {"preferred": "cpu", "supported": ["cpu"], "cost": 0.5}}
    assert result.aten_placement == {"aten.add.Tensor": {"preferred": "cpu", "supported": ["cpu"], "cost": 0.5}}
    assert result.notes == [SEEN]


def test_delegates_are_closed_and_their_files_removed() -> None:
    unit = Adder()
    run_program(one_delegate(), unit, (X,))
    assert unit.closed == 1
    assert not any(path.exists() for path in unit.unpacked)


def test_they_are_closed_when_running_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: OpenedAdder, _inputs: list[np.ndarray]) -> Prediction:
        raise RuntimeError("planted")

    monkeypatch.setattr(OpenedAdder, "predict", fail)
    unit = Adder()
    with pytest.raises(RuntimeError, match="planted"):
        run_program(one_delegate(), unit, (X,))
    assert unit.closed == 1
    assert not any(path.exists() for path in unit.unpacked)


def test_arguments_go_in_the_order_of_the_delegate_node() -> None:
    steps = (DelegateCall(0, (Value(1), Value(0)), Value(2)), GetItem(Value(2), 1, Value(3)))
    program = LoweredProgram((user(0, "x"), user(1, "y")), steps, (Value(3),), (packed("b", "a"),))
    unit = Adder(("b", "a"))
    result = run_program(program, unit, (X, Y))
    assert [array.tolist() for array in unit.given[0]] == [Y.tolist(), X.tolist()]
    torch.testing.assert_close(result.outputs, [X + 1])


def test_fallbacks_run_in_eager_between_delegates() -> None:
    steps = (
        DelegateCall(0, (Value(0),), Value(1)),
        GetItem(Value(1), 0, Value(2)),
        EagerCall("aten.mul.Tensor", (Value(2), 3.0), {}, Value(3)),
        EagerCall("operator.mul", (2, 2), {}, Value(4)),
        EagerCall("aten.add.Tensor", (Value(3), Value(0)), {"alpha": Value(4)}, Value(5)),
        DelegateCall(1, (Value(5),), Value(6)),
        GetItem(Value(6), 0, Value(7)),
    )
    program = LoweredProgram((user(0),), steps, (Value(7), Value(3)), (packed("x"), packed("x")))
    result = run_program(program, Adder(), (X,))
    torch.testing.assert_close(result.outputs, [(X + 1) * 3 + 4 * X + 1, (X + 1) * 3])
    assert result.mil_ops == {"add": 2, "cast": 4}
    # Shares of two plans are of no whole.
    assert result.placement == {"add": {"preferred": "cpu", "supported": ["cpu"]}}
    assert result.aten_placement == {"aten.add.Tensor": {"preferred": "cpu", "supported": ["cpu"]}}


def test_one_delegate_called_twice_is_opened_once() -> None:
    steps = (
        DelegateCall(0, (Value(0),), Value(1)),
        GetItem(Value(1), 0, Value(2)),
        DelegateCall(0, (Value(2),), Value(3)),
        GetItem(Value(3), 0, Value(4)),
    )
    unit = Adder()
    result = run_program(LoweredProgram((user(0),), steps, (Value(4),), (packed("x"),)), unit, (X,))
    torch.testing.assert_close(result.outputs, [X + 2])
    assert len(unit.unpacked) == 1


def test_parameters_are_bound_and_copied() -> None:
    weight = torch.tensor([5.0, 6.0])
    inputs = (Input("w", Value(0), F2, "parameter", weight), user(1))
    steps = (EagerCall("aten.add_.Tensor", (Value(0), Value(1)), {}, Value(2)),)
    program = LoweredProgram(inputs, steps, (Value(2),), ())
    for _ in range(2):  # a second run finds the parameter as it was
        torch.testing.assert_close(run_program(program, Adder(), (X,)).outputs, [X + weight])
    assert weight.tolist() == [5.0, 6.0]


def test_the_callers_inputs_are_not_changed() -> None:
    mine = X.clone()
    steps = (EagerCall("aten.mul_.Tensor", (Value(0), 0.0), {}, Value(1)),)
    run_program(LoweredProgram((user(0),), steps, (Value(1),), ()), Adder(), (mine,))
    assert torch.equal(mine, X)


def test_buffers_last_from_call_to_call_and_inputs_do_not() -> None:
    """Outside of delegates: `total += x` written back, and `x * 2` written to the input."""
    total = torch.zeros(2)
    inputs = (Input("total", Value(0), F2, "buffer", total), user(1))
    steps = (
        EagerCall("aten.add.Tensor", (Value(0), Value(1)), {}, Value(2)),
        EagerCall("aten.mul.Tensor", (Value(1), 2.0), {}, Value(3)),
    )
    mutations = ((Value(0), Value(2)), (Value(1), Value(3)))
    program = LoweredProgram(inputs, steps, (Value(2),), (), mutations)
    with open_program(program, Adder()) as opened:
        for count in (1, 2, 3):
            torch.testing.assert_close(opened.run((X,)).outputs, [count * X])
    torch.testing.assert_close(run_program(program, Adder(), (X,)).outputs, [X])
    assert total.tolist() == [0, 0]


def test_a_program_that_stays_open_loads_once() -> None:
    unit = Adder()
    with open_program(one_delegate(), unit) as opened:
        first, second = opened.run((X,)), opened.run((Y,))
        assert (len(unit.unpacked), unit.closed) == (1, 0)
    assert unit.closed == 1
    torch.testing.assert_close([*first.outputs, *second.outputs], [X + 1, Y + 1])
    assert first.mil_ops == second.mil_ops == {"add": 1, "cast": 2}


def test_constants_among_the_outputs_are_handed_on() -> None:
    result = run_program(one_delegate(outputs=(Value(2), 3, None)), Adder(), (X,))
    assert result.outputs[1:] == [3, None]


def test_results_get_the_graphs_dtype() -> None:
    steps = (DelegateCall(0, (Value(0),), Value(1)), GetItem(Value(1), 0, Value(2)))
    delegate = packed("x", specs=(TensorSpec("int64", (2,)),))
    result = run_program(LoweredProgram((user(0),), steps, (Value(2),), (delegate,)), Adder(amount=0.5), (X,))
    (output,) = result.outputs
    assert output.dtype is torch.int64
    (note,) = [note for note in result.notes if note.code is NoteCode.OUTPUT_LOST]
    assert "lost a value" in str(note)


def test_a_failing_fallback_is_named() -> None:
    steps = (
        EagerCall("aten.matmul.default", (Value(0), Value(0)), {}, Value(1)),
        EagerCall("aten.mm.default", (Value(0), Value(0)), {}, Value(2)),
    )
    with pytest.raises(FallbackFailed, match=r"aten\.mm\.default: RuntimeError"):
        run_program(LoweredProgram((user(0),), steps, (Value(2),), ()), Adder(), (X,))


def test_metadata_with_another_number_of_features_contradicts_the_graph() -> None:
    program = one_delegate()
    for broken in (Packed(b"x,y", (F2,), (F2, F2), {}), Packed(b"x", (F2,), (F2, F2), {})):
        changed = LoweredProgram(program.inputs, program.steps, program.outputs, (broken,))
        with pytest.raises(ProgramContradiction, match="delegate 0"):
            run_program(changed, Adder(), (X,))


def test_bytes_that_are_no_package_do_not_load() -> None:
    program = one_delegate()
    broken = LoweredProgram(
        program.inputs, program.steps, program.outputs, (Delegate(b"no package", (F2,), (F2,), {}),)
    )
    with pytest.raises(LoadFailed, match="delegate 0"):
        run_program(broken, Adder(), (X,))


@pytest.mark.parametrize(("inputs", "outputs", "what"), [((F2,), (None,), "output 0"), ((None,), (F2,), "input 0")])
def test_a_number_is_not_handed_over(inputs: tuple[Any, ...], outputs: tuple[Any, ...], what: str) -> None:
    program = one_delegate()
    changed = LoweredProgram(program.inputs, program.steps, program.outputs, (Packed(b"x", inputs, outputs, {}),))
    with pytest.raises(PredictFailed, match=f"delegate 0: {what} is no tensor"):
        run_program(changed, Adder(), (X,))


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("aten.asinh.default", torch.ops.aten.asinh.default),
        ("aten.sum.dim_IntList", torch.ops.aten.sum.dim_IntList),
        ("prims.sum.default", torch.ops.prims.sum.default),
        ("operator.add", operator.add),
    ],
)
def test_targets_by_name(target: str, found: object) -> None:
    assert resolve(target) is found


def test_executorchs_own_operators_by_name() -> None:
    clone = resolve("dim_order_ops._clone_dim_order.default")
    torch.testing.assert_close(clone(X, dim_order=[0]), X)


# --- programs that ExecuTorch lowered, on the reference unit -------------------------------------------------


class Chain(torch.nn.Module):
    """`asinh` is none of Core ML's: three delegates, of which the last needs results of both others."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-1.0, 1.0, 6).reshape(2, 3))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        a = torch.cos(x) - y
        b = torch.asinh(a)
        c = torch.tanh(b @ self.weight.T)
        d = torch.asinh(c)
        return torch.exp(d) + a.sum(), torch.asinh(self.weight) * 2


class Sized(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = torch.asinh(torch.tanh(self.linear(x)))
        return y.mean(0), torch.cat([y, y]), x.reshape(-1, 2) + 1, torch.softmax(y, 0).T


class Steps(torch.nn.Module):
    """Two buffers that are written to, the second from the first, and that from what falls back. They begin with
    zeros, as a state of Core ML does."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2, 3))
        self.register_buffer("decayed", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        before = self.decayed * 1.0
        self.total.add_(torch.asinh(x))
        self.decayed.mul_(0.5).add_(self.total.sum(0))
        return self.total - before, before


def lowered(module: torch.nn.Module, *inputs: torch.Tensor, recipe: str = "fp32-ios18", shapes: Any = None) -> Any:
    torch.manual_seed(0)
    speedups.enable()
    built = Built(module.eval(), inputs, 0, dynamic_shapes=shapes)
    logging.disable(logging.WARNING)
    try:
        program = lower(export(built), Recipe.parse(recipe)).program
    finally:
        logging.disable(logging.NOTSET)
    assert program is not None
    return program


def test_several_delegates_with_fallbacks_between_them() -> None:
    x, y = torch.linspace(-2, 2, 12).reshape(4, 3), torch.linspace(0, 1, 12).reshape(4, 3)
    module = Chain()
    program = lowered(module, x, y)
    assert len(program.delegates) >= 2
    kinds = [type(step) for step in program.steps if isinstance(step, (EagerCall, DelegateCall))]
    between = kinds[kinds.index(DelegateCall) : len(kinds) - kinds[::-1].index(DelegateCall)]
    assert EagerCall in between
    result = run_program(program, ReferenceUnit(), (x, y))
    torch.testing.assert_close(tuple(result.outputs), module(x, y))
    assert result.mil_ops["cos"] == result.mil_ops["tanh"] == result.mil_ops["exp"] == 1


def test_a_dynamic_batch_at_several_sizes() -> None:
    module = Sized()
    program = lowered(module, torch.ones(4, 4), shapes=({0: torch.export.Dim("batch", min=2, max=8)},))
    assert len(program.delegates) == 2
    assert program.inputs[0].spec == TensorSpec("float32", (None, 4))
    with open_program(program, ReferenceUnit()) as opened:
        for batch in (2, 3, 8):
            x = torch.linspace(-1, 1, 4 * batch).reshape(batch, 4)
            torch.testing.assert_close(tuple(opened.run((x,)).outputs), module(x))
        for batch in (1, 9):
            with pytest.raises(PredictFailed, match=rf"shape \[{batch}, 4\], the model takes \[2 to 8, 4\]"):
                opened.run((torch.ones(batch, 4),))


def test_state_is_read_back_in_the_next_call() -> None:
    """In fp16, which states are whatever the recipe."""
    x = torch.linspace(-1.0, 1.0, 6).reshape(2, 3)
    program, eager = lowered(Steps(), x, recipe="fp16-ios18"), Steps()
    with open_program(program, ReferenceUnit()) as opened:
        results = [(opened.run((step * x,)), eager(step * x)) for step in (1, 2, 3)]
    assert results[0][0].mil_ops["write_state"] >= 2
    for result, expected in results:
        torch.testing.assert_close(tuple(result.outputs), expected, rtol=2e-3, atol=5e-3)
        # The state and the buffer outside of delegates, after the third call.
        buffers = dict(eager.named_buffers())
        assert results[-1][0].buffers is not None
        assert set(results[-1][0].buffers) == set(program.written) == set(buffers)
        for name, value in results[-1][0].buffers.items():
            torch.testing.assert_close(value.float(), buffers[name], rtol=2e-3, atol=5e-3)
    again = run_program(program, ReferenceUnit(), (x,)).outputs
    torch.testing.assert_close(again, results[0][0].outputs, rtol=0, atol=0)
    assert not torch.equal(results[1][0].outputs[1], again[1])


def test_states_are_joined_to_their_buffers() -> None:
    assert states_of(["a.total", "b"], ["b", "a_total"]) == {"a.total": "a_total", "b": "b"}
    # What coremltools had to rename stands in the same order.
    assert states_of(["state", "x", "0.t"], ["state_workaround", "x", "_0_t"]) == {
        "state": "state_workaround",
        "x": "x",
        "0.t": "_0_t",
    }
    assert states_of(["kept", "lost"], ["kept"]) == {"kept": "kept"}
    assert states_of([], []) == {}


# --- two answers ---------------------------------------------------------------------------------------------


class Undecided(OpenedAdder):
    """Adds 1, and in the second of two predictions 2; a running total is its state, one for each prediction."""

    def __init__(self, unit: Adder) -> None:
        super().__init__(unit)
        self.totals = [np.zeros(2, np.float32), np.zeros(2, np.float32)]

    def predict(self, inputs: list[np.ndarray], second: list[np.ndarray] | None = None) -> Prediction:
        self.unit.given.append([array.copy() for array in second or inputs])
        answers = []
        for total, amount, arrays in zip(self.totals, self.amounts(), (inputs, second or inputs), strict=True):
            total += amount
            answers.append([array + total for array in arrays])
        same = all(a.tobytes() == b.tobytes() for a, b in zip(*answers, strict=True))
        return Prediction(answers[0], again=None if same else answers[1])

    def amounts(self) -> tuple[float, float]:
        return 1.0, 2.0


class Decided(Undecided):
    def amounts(self) -> tuple[float, float]:
        return 1.0, 1.0


class Two(Adder):
    """The first delegate opened is undecided, the others are not."""

    def open(self, delegate: UnpackedDelegate) -> OpenedAdder:
        super().open(delegate)
        return (Undecided if len(self.unpacked) == 1 else Decided)(self)


def test_one_answer_is_one() -> None:
    assert run_program(one_delegate(), Adder(), (X,)).again is None


def test_a_second_answer_goes_its_own_way_through_fallbacks_and_later_delegates() -> None:
    """`mul_` writes to what it is given, which must not reach the other answer."""
    steps = (
        DelegateCall(0, (Value(0),), Value(1)),
        GetItem(Value(1), 0, Value(2)),
        EagerCall("aten.mul_.Tensor", (Value(2), 10.0), {}, Value(3)),
        DelegateCall(1, (Value(3),), Value(4)),
        GetItem(Value(4), 0, Value(5)),
        EagerCall("aten.add.Tensor", (Value(5), Value(0)), {}, Value(6)),
    )
    program = LoweredProgram((user(0),), steps, (Value(6), Value(2), 7), (packed("x"), packed("x")))
    unit = Two()
    result = run_program(program, unit, (X,))
    first, again = (X + 1) * 10, (X + 2) * 10
    torch.testing.assert_close(result.outputs, [first + 1 + X, first, 7])
    assert result.again is not None
    torch.testing.assert_close(result.again, [again + 1 + X, again, 7])
    assert [arrays[0].tolist() for arrays in unit.given] == [X.tolist(), again.tolist()]


def test_a_second_answer_that_comes_late_leaves_what_was_before_it_alike() -> None:
    class Late(Two):
        def open(self, delegate: UnpackedDelegate) -> OpenedAdder:
            Adder.open(self, delegate)
            return (Decided if len(self.unpacked) == 1 else Undecided)(self)

    steps = (
        DelegateCall(0, (Value(0),), Value(1)),
        GetItem(Value(1), 0, Value(2)),
        DelegateCall(1, (Value(2),), Value(3)),
        GetItem(Value(3), 0, Value(4)),
    )
    program = LoweredProgram((user(0),), steps, (Value(2), Value(4)), (packed("x"), packed("x")))
    result = run_program(program, Late(), (X,))
    torch.testing.assert_close(result.outputs, [X + 1, X + 2])
    assert result.again is not None
    torch.testing.assert_close(result.again, [X + 1, X + 3])


def test_states_and_buffers_of_two_answers_are_kept_apart_from_call_to_call() -> None:
    """The delegate's running total, and a buffer outside of delegates that sums what came out."""
    total = torch.zeros(2)
    inputs = (Input("total", Value(0), F2, "buffer", total), user(1))
    steps = (
        DelegateCall(0, (Value(1),), Value(2)),
        GetItem(Value(2), 0, Value(3)),
        EagerCall("aten.add.Tensor", (Value(0), Value(3)), {}, Value(4)),
    )
    program = LoweredProgram(inputs, steps, (Value(4),), (packed("x"),), ((Value(0), Value(4)),))
    with open_program(program, Two()) as opened:
        for call, (first, again) in enumerate([(1, 2), (3, 6), (6, 12)], start=1):
            result = opened.run((X,))
            torch.testing.assert_close(result.outputs, [call * X + first])
            assert result.again is not None
            torch.testing.assert_close(result.again, [call * X + again])
    assert total.tolist() == [0, 0]


def test_the_reference_has_a_second_answer_to_other_inputs_alone() -> None:
    """One that begins late begins from the state both have seen."""
    program = lowered(Steps(), torch.zeros(2, 3), recipe="fp16-ios18")
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    with open_program(program, ReferenceUnit()) as opened:
        delegate = next(d for d in opened._delegates if any("state" in op for op in d.mil_ops))
        shaped = [np.resize(x, f.shape).astype(f.dtype) for f in delegate.features]
        once = delegate.predict(shaped)
        assert once.again is None
        twice = delegate.predict(shaped, [array * 2 for array in shaped])
        assert twice.again is not None
        again = delegate.predict(shaped, shaped)
    assert again.again is not None
    assert any((a != b).any() for a, b in zip(twice.outputs, twice.again, strict=True))
    assert any((a != b).any() for a, b in zip(again.outputs, again.again, strict=True))  # their states are not alike
