from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import Operation, Program

from harness.lowering.speedups import validation

OWN = getattr(Program.validate, "__wrapped__", Program.validate)


@pytest.fixture
def program() -> Any:
    @mb.program(input_specs=[mb.TensorSpec((2, 3))])
    def made(x: Any) -> Any:
        y = mb.add(x=x, y=x)
        return mb.concat(values=(y, x, mb.relu(x=y)), axis=0)

    return made


def lose_a_use(program: Any) -> None:
    add = program.functions["main"].find_ops(op_type="add")[0]
    add.x._child_ops.remove(add)


def lose_an_input(program: Any) -> None:
    relu = program.functions["main"].find_ops(op_type="relu")[0]
    relu._input_vars["x"] = program.functions["main"].find_ops(op_type="concat")[0].outputs[0]


def lose_an_output(program: Any) -> None:
    main = program.functions["main"]
    main.outputs[0].consuming_blocks.clear()


@pytest.mark.parametrize("fault", [lose_a_use, lose_an_input, lose_an_output])
def test_a_broken_program_is_refused_in_the_same_words(fault: Callable[[Any], None], program: Any) -> None:
    fault(program)
    told = []
    for validate in (OWN, validation.remembering(OWN)):
        with pytest.raises(Exception) as caught:
            validate(program)
        told.append((type(caught.value), str(caught.value)))
    assert told[0] == told[1]


def test_a_whole_program_passes_and_inputs_are_flattened_once(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    own = Operation.get_flattened_inputs

    def counting(operation: Any) -> list[Any]:
        asked.append(operation)
        return own(operation)

    monkeypatch.setattr(Operation, "get_flattened_inputs", counting)
    validation.remembering(OWN)(program)
    assert len(asked) == len(set(asked)) >= 3
    assert Operation.get_flattened_inputs is counting


def test_a_change_between_two_validations_is_seen(program: Any) -> None:
    validate = validation.remembering(OWN)
    validate(program)
    lose_a_use(program)
    with pytest.raises(Exception, match="consumed"):
        validate(program)


def test_installing_twice_is_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Program, "validate", OWN)
    validation.install()
    once = Program.validate
    validation.install()
    assert Program.validate is once
