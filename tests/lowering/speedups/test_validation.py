"""Programs broken in every way that coremltools validates: the same error with the speedup and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import Program
from coremltools.converters.mil.mil.scope import ScopeSource

from harness.lowering.speedups import validation

Break = Callable[[Any], None]


@pytest.fixture(autouse=True)
def original(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """coremltools' own, whatever an earlier test has installed."""
    own: Callable[..., None] = getattr(Program.validate, "__wrapped__", Program.validate)
    monkeypatch.setattr(Program, "validate", own)
    return own


def made() -> Any:
    """Operators of several inputs, of lists, of blocks that use values from outside, and a value used twice."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 3)), mb.TensorSpec(shape=(2, 3))])
    def program(x: Any, y: Any) -> Any:
        twice = mb.add(x=x, y=x, name="twice")
        joined = mb.concat(values=[twice, y, twice], axis=0, name="joined")
        positive = mb.greater(x=mb.reduce_sum(x=joined), y=0.0, name="positive")
        chosen = mb.cond(
            pred=positive,
            _true_fn=lambda: mb.mul(x=joined, y=2.0, name="doubled"),
            _false_fn=lambda: mb.sub(x=joined, y=1.0, name="less"),
            name="chosen",
        )
        return mb.tanh(x=chosen, name="tanh")

    return program


def find(program: Any, name: str) -> Any:
    def within(block: Any) -> Iterator[Any]:
        for op in block.operations:
            for inner in op.blocks:
                yield from within(inner)
            yield op

    return next(op for op in within(program.functions["main"]) if op.name == name)


def forget_a_consumer(program: Any) -> None:
    program.functions["main"].inputs["x"]._child_ops.pop()


def add_a_consumer(program: Any) -> None:
    twice = find(program, "twice")
    twice.outputs[0]._child_ops.append(twice.outputs[0].child_ops[0])


def add_a_consumer_of_another_value(program: Any) -> None:
    find(program, "joined").outputs[0]._child_ops.append(find(program, "tanh"))


def add_a_consuming_block(program: Any) -> None:
    find(program, "joined").outputs[0].consuming_blocks.append(program.functions["main"])


def forget_the_consuming_block(program: Any) -> None:
    find(program, "tanh").outputs[0].consuming_blocks.clear()


def forget_the_consuming_block_within(program: Any) -> None:
    find(program, "doubled").outputs[0].consuming_blocks.clear()


def use_a_value_before_it_is_made(program: Any) -> None:
    twice, tanh = find(program, "twice"), find(program, "tanh")
    twice._input_vars["y"] = tanh.outputs[0]
    twice.x._child_ops.remove(twice)
    tanh.outputs[0]._child_ops.append(twice)


def use_a_value_of_the_other_branch(program: Any) -> None:
    doubled, less = find(program, "doubled"), find(program, "less")
    less.x._child_ops.remove(less)
    less._input_vars["x"] = doubled.outputs[0]
    doubled.outputs[0]._child_ops.append(less)


def add_an_internal_value(program: Any) -> None:
    program.functions["main"]._internal_vars.add(find(program, "twice").outputs[0])


def have_no_outputs(program: Any) -> None:
    find(program, "twice")._output_vars = None


BREAKS = (
    forget_a_consumer,
    add_a_consumer,
    add_a_consumer_of_another_value,
    add_a_consuming_block,
    forget_the_consuming_block,
    forget_the_consuming_block_within,
    use_a_value_before_it_is_made,
    use_a_value_of_the_other_branch,
    add_an_internal_value,
    have_no_outputs,
)


def raised(action: Callable[[], None]) -> tuple[type[Exception], str] | None:
    try:
        action()
    except Exception as error:
        return type(error), str(error)
    return None


@pytest.mark.parametrize("broken", BREAKS, ids=lambda function: function.__name__)
def test_what_is_broken_raises_the_same(broken: Break, original: Callable[..., None]) -> None:
    program = made()
    broken(program)
    expected = raised(lambda: original(program))
    assert expected is not None
    assert not validation.is_sound(program.functions["main"])
    validation.install()
    assert raised(program.validate) == expected


def test_a_sound_program_is_not_validated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(*_: object) -> None:
        raise AssertionError("asked")

    program = made()
    assert validation.is_sound(program.functions["main"])
    validation.sound_or_validated(planted)(program)
    forget_a_consumer(program)
    with pytest.raises(AssertionError, match="asked"):
        validation.sound_or_validated(planted)(program)


def test_a_consumer_that_left_the_program_is_left_to_coremltools(original: Callable[..., None]) -> None:
    """It may be right about it, and decides."""
    program, other = made(), made()
    stranger = find(other, "tanh")
    joined = find(program, "joined").outputs[0]
    stranger._input_vars["x"] = joined
    joined._child_ops.append(stranger)
    assert not validation.is_sound(program.functions["main"])
    validation.install()
    assert raised(program.validate) == raised(lambda: original(program)) is None


def test_essential_scopes_are_asked_for(original: Callable[..., None]) -> None:
    program = made()
    program.functions["main"]._essential_scope_sources.append(ScopeSource.TORCHSCRIPT_MODULE_TYPE)
    validation.install()
    program.validate()
    with pytest.raises(ValueError, match="missing essential scopes") as error:
        program.validate(check_essential_scope=True)
    assert raised(lambda: original(program, True)) == (ValueError, str(error.value))


def test_a_coremltools_that_keeps_its_operators_otherwise_validates(original: Callable[..., None]) -> None:
    program = made()

    class Otherwise:
        inputs = program.functions["main"].inputs
        operations = (object(),)
        _internal_vars: frozenset[object] = frozenset()

    assert not validation.is_sound(Otherwise())


def test_installed_once(original: Callable[..., None]) -> None:
    validation.install()
    first = Program.validate
    validation.install()
    assert Program.validate is first is not original
