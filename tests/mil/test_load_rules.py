"""The rules of Core ML's loader: each is broken by programs of its kind, and by none that is nearly one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types

from harness.evidence.recipe import TARGETS
from harness.mil import LOAD_RULES, InputError, Model, Program, broken_rules, load, load_rules
from harness.mil.program import Block, Description, Feature, Function, Literal, NamedType, Operation, ValueRef
from harness.mil.types import StateType, TensorType

Make = Callable[[Any], Program]


def made(build: Callable[..., Any], *shapes: tuple[int, ...], dtype: Any = np.float32, opset: str = "iOS18") -> Make:
    """What coremltools makes of `build`, a function of MIL variables `a`, `b`, ... of these shapes."""
    return lambda bench: (
        load(
            bench.package(build, {name: np.zeros(s, dtype) for name, s in zip("ab", shapes, strict=False)}, opset)
        ).program
    )


def padded(mode: str, pad: list[int], *shape: int) -> Make:
    return made(lambda a: mb.pad(x=a, pad=pad, mode=mode), shape)


def padded_in_a_branch(bench: Any) -> Program:
    def build(a, b):
        reflected = mb.greater(x=mb.reduce_sum(x=b, axes=[0], keep_dims=False), y=np.float32(0))
        return mb.cond(
            pred=reflected,
            _true_fn=lambda: mb.pad(x=a, pad=[1, 1, 0, 0, 0, 0], mode="reflect"),
            _false_fn=lambda: mb.pad(x=a, pad=[1, 1, 0, 0, 0, 0], mode="constant"),
        )

    return made(build, (3, 2, 2), (1,))(bench)


#: As a package holds several functions: of each `made` its own, named as here.
def functions(**makes: Make) -> Make:
    def program(bench: Any) -> Program:
        programs = {name: make(bench) for name, make in makes.items()}
        named = {name: replace(p.functions["main"], name=name) for name, p in programs.items()}
        first = next(iter(programs))
        return replace(programs[first], functions=named, default_function=first)

    return program


def stateful(bench: Any) -> Program:
    @mb.program(
        input_specs=[mb.TensorSpec((2,), dtype=types.fp16), mb.StateTensorSpec((2,), dtype=types.fp16)],
        opset_version=ct.target.iOS18,
    )
    def program(x, memory):
        return mb.coreml_update_state(state=memory, value=mb.add(x=mb.read_state(input=memory), y=x))

    return load(bench.save(program)).program


def without_inputs(bench: Any) -> Program:
    @mb.program(input_specs=[], opset_version=ct.target.iOS18)
    def program():
        return mb.fill(shape=[2], value=np.float32(1))

    return load(bench.save(program)).program


def version(number: int, make: Make) -> Make:
    """The same for an older or newer target: the number that a package says first."""
    return lambda bench: replace(make(bench), specification_version=number)


def described(make: Make, **features: tuple[Feature, ...]) -> Make:
    """With other features in the description of each function."""

    def program(bench: Any) -> Program:
        before = make(bench)
        functions = {
            name: replace(function, description=replace(function.description, **features))
            for name, function in before.functions.items()
        }
        return replace(before, functions=functions)

    return program


def by_hand(*operations: Operation, outputs: tuple[str, ...] = ("y",), constants: Any = None, inputs: Any = ()) -> Make:
    """What coremltools refuses to make: a program of these operations, from no file."""
    block = Block((), outputs, operations, constants or {})
    function = Function("main", "CoreML8", tuple(inputs), block, Description())
    return lambda _bench: Program({"main": function})


SIX = (1, 2, 1, 2, 1, 2)
SIX_TYPE, FLAT = TensorType("fp16", SIX), TensorType("fp16", (8,))
X = NamedType("x", FLAT)
WEIGHT = Literal(np.zeros(SIX, np.float16), SIX_TYPE)
relu = made(lambda a: mb.relu(x=a), (2, 3))
half = made(lambda a: mb.relu(x=a), (2, 3), dtype=np.float16)
integers = made(lambda a: mb.add(x=a, y=np.int32(1)), (2,), dtype=np.int32)


def operation(kind: str, source: str, result: TensorType, name: str = "y") -> Operation:
    return Operation(kind, name, {"x": ValueRef(source)}, (NamedType(name, result),))


#: By rule: programs that break it, and programs close by that do not.
BROKEN: dict[str, list[Make]] = {
    "pad-before-the-last-two-dimensions": [
        padded("reflect", [0, 0, 0, 0, 1, 1, 1, 1, 1, 1], 1, 2, 4, 4, 4),
        padded("replicate", [0, 0, 0, 0, 2, 2, 2, 2, 2, 2], 1, 2, 4, 4, 4),
        padded("replicate", [0, 0, 2, 1, 1, 2, 0, 0], 1, 2, 4, 4),  # two dimensions only, and not the last two
        padded("reflect", [0, 1, 0, 0, 0, 0], 3, 2, 2),
        padded("reflect", [1, 1, 0, 0, 0, 0], 3, 2, 2),
        padded_in_a_branch,
        functions(main=relu, other=padded("replicate", [1, 1, 0, 0, 0, 0], 3, 2, 2)),
        functions(main=padded("replicate", [1, 1, 0, 0, 0, 0], 3, 2, 2), other=relu),
    ],
    "pad-wider-than-the-dimension": [
        padded("replicate", [0, 4], 2, 3),
        padded("replicate", [4, 0, 0, 0], 3, 5),
        padded("reflect", [3, 0], 2, 3),
        padded("reflect", [0, 0, 1, 4], 2, 5, 4),
    ],
    "more-than-five-dimensions": [
        made(lambda a: mb.reduce_sum(x=a, axes=[-1, -2]), SIX),
        made(lambda a: mb.squeeze(x=a, axes=[0, 2]), SIX),
        made(lambda a, b: mb.add(x=mb.reduce_max(x=a, axes=[0, 1, 2]), y=b), (1, 2, 1, 2, 1, 2, 1), (1,)),
        made(lambda a: mb.reshape(x=a, shape=[8]), SIX, dtype=np.int32),
        by_hand(operation("reshape", "x", SIX_TYPE), inputs=[X]),
        by_hand(operation("reshape", "x", SIX_TYPE, "z"), operation("reshape", "z", FLAT), inputs=[X]),
        by_hand(operation("reshape", "w", FLAT), constants={"w": WEIGHT}),
        by_hand(operation("constexpr_cast", "w", SIX_TYPE), constants={"w": WEIGHT}),
        by_hand(operation("read_state", "s", SIX_TYPE), inputs=[NamedType("s", StateType(SIX_TYPE))]),
        by_hand(
            Operation(
                "while_loop",
                "y",
                {"loop_vars": (ValueRef("x"),)},
                (NamedType("y", FLAT),),
                (Block((NamedType("v", SIX_TYPE),), ("v",), ()),),
            ),
            inputs=[X],
        ),
    ],
    "input-returned-as-output": [
        made(lambda a: a, (3,), opset="iOS26"),
        made(lambda a, b: (mb.add(x=a, y=b), b), (3,), (3,), opset="iOS26"),
        made(lambda a: (a, mb.relu(x=a)), (2, 2), opset="iOS26"),
        functions(main=made(lambda a: mb.relu(x=a), (3,), opset="iOS26"), other=made(lambda a: a, (3,), opset="iOS26")),
    ],
    "no-inputs-before-ios18": [
        version(8, without_inputs),
        version(7, without_inputs),
        version(6, functions(main=without_inputs)),
    ],
    "no-outputs": [
        described(relu, outputs=()),
        described(stateful, outputs=()),
        described(half, outputs=()),
    ],
    "float16-feature-before-ios16": [
        version(6, half),
        version(6, described(relu, inputs=(Feature("a", "FLOAT16", (2, 3)),))),
        version(6, described(relu, outputs=(Feature("a", "FLOAT16", (2, 3)),))),
    ],
    "int8-feature-before-ios26": [
        described(relu, inputs=(Feature("a", "INT8", (2, 3)),)),
        described(relu, outputs=(Feature("a", "INT8", (2, 3)),)),
        version(8, described(half, inputs=(Feature("a", "INT8", (2, 3)),))),
    ],
    "input-without-shape": [
        described(relu, inputs=(Feature("a", "FLOAT32", ()),)),
        described(half, inputs=(Feature("a", "FLOAT16", ()),)),
        described(integers, inputs=(Feature("a", "INT32", ()),)),
    ],
    "state-before-ios18": [version(number, stateful) for number in (8, 7, 6)],
    "state-data-type": [
        described(stateful, states=(Feature("memory", "FLOAT32", (2,)),)),
        described(stateful, states=(Feature("memory", "INT32", (2,)),)),
        described(relu, states=(Feature("memory", "FLOAT16", (2,)), Feature("more", "FLOAT32", (2,)))),
    ],
    "several-functions-before-ios18": [
        version(8, functions(main=relu, other=relu)),
        version(7, functions(main=relu, other=relu, third=relu)),
        version(8, functions(first=relu, second=integers)),
    ],
}
#: Rules that such a program breaks as well, by the number of the program.
BESIDE = {("state-before-ios18", 2): {"float16-feature-before-ios16"}}
FINE: dict[str, Make] = {
    "reflect of the last two of five": padded("reflect", [0, 0, 0, 0, 0, 0, 1, 1, 1, 1], 1, 2, 4, 4, 4),
    "replicate of the last two, said alone": padded("replicate", [1, 1, 2, 2], 1, 2, 4, 4),
    "replicate of the only dimension": padded("replicate", [1, 1], 4),
    "constant everywhere": padded("constant", [1, 1, 1, 1, 9, 9, 1, 1, 1, 1], 1, 2, 4, 4, 4),
    "replicate as wide as the dimension": padded("replicate", [3, 3], 2, 3),
    "reflect by all but one": padded("reflect", [2, 2], 2, 3),
    "five dimensions": made(lambda a: mb.relu(x=a), (1, 2, 1, 2, 2)),
    "more dimensions in what weights are made of": by_hand(
        operation("constexpr_cast", "w", SIX_TYPE, "z"),
        operation("constexpr_reshape", "z", FLAT),
        constants={"w": WEIGHT},
    ),
    "unused constant of six": by_hand(operation("relu", "x", FLAT), inputs=[X], constants={"w": WEIGHT}),
    "identity under another name": made(lambda a: mb.identity(x=a), (3,), opset="iOS26"),
    "a state that is read": stateful,
    "no input": without_inputs,
    "fp16": half,
    "fp16 at iOS16": version(7, half),
    "a shape range": described(relu, inputs=(Feature("a", "FLOAT32", (), sizes=((1, 9),)),)),
    "enumerated shapes": described(relu, inputs=(Feature("a", "FLOAT32", (), shapes=((1,), (2,))),)),
    "a plain number": described(relu, inputs=(Feature("a", "DOUBLE", ()),)),
    "an int8 state": described(stateful, states=(Feature("memory", "INT8", (2,)),)),
    "int8 at iOS26": version(10, described(relu, inputs=(Feature("a", "INT8", (2, 3)),))),
    "several functions": functions(main=relu, other=relu),
    "one function before iOS18": version(6, relu),
}
NUMBERED = [(rule, number) for rule, makes in BROKEN.items() for number in range(len(makes))]


def refused(program: Program, target: str | None = None) -> set[str]:
    return {broken.rule.name for broken in broken_rules(program, target) if broken.certain}


def assert_refused(bench: Any, rule: str, number: int) -> None:
    expected = {rule} | BESIDE.get((rule, number), set())
    assert refused(BROKEN[rule][number](bench)) == expected


@pytest.mark.parametrize(("rule", "number"), NUMBERED)
def test_a_rule_is_broken_by_programs_of_its_kind(bench, rule, number):
    assert_refused(bench, rule, number)


@pytest.mark.parametrize(("rule", "number"), NUMBERED)
def test_without_its_row_the_program_passes(bench, rule, number, monkeypatch):
    """Planted: the row switched off. No other row sees the program, and the test above fails."""
    monkeypatch.setattr(load_rules, "LOAD_RULES", [row for row in LOAD_RULES if row.name != rule])
    with pytest.raises(AssertionError):
        assert_refused(bench, rule, number)


@pytest.mark.parametrize("what", FINE)
def test_what_is_near_a_rule_breaks_none(bench, what):
    assert [str(broken) for broken in broken_rules(FINE[what](bench))] == []


def test_every_row_has_its_programs():
    names = [rule.name for rule in LOAD_RULES]
    assert len(set(names)) == len(names)
    assert set(BROKEN) == set(names)
    assert min(len(makes) for makes in BROKEN.values()) >= 3


@pytest.mark.parametrize("rule", LOAD_RULES, ids=lambda rule: rule.name)
def test_a_row_names_its_sources(rule):
    assert rule.sources
    assert all(source.startswith("https://") for source in rule.sources)
    assert rule.since in ("", *load_rules.SPECIFICATION_VERSIONS)
    assert rule.refuses


def test_the_page_has_every_row():
    lines = (Path(__file__).parents[2] / "docs" / "interpreter.md").read_text(encoding="utf-8").splitlines()
    for rule in LOAD_RULES:
        [row] = [line for line in lines if line.startswith(f"| `{rule.name}` |")]
        assert rule.refuses in row
        assert [source for source in rule.sources if f"({source})" not in row] == []
        assert (f"{rule.since} and newer" if rule.since else "all") in row


def test_what_is_said(bench):
    program = padded("reflect", [1, 2, 0, 0, 0, 0], 3, 4, 4)(bench)
    [broken] = broken_rules(program)
    value = program.functions["main"].block.outputs[0]
    assert (broken.function, broken.place.operator, broken.place.value) == ("main", "pad", value)
    assert broken.certain
    assert str(broken) == (
        f"pad-before-the-last-two-dimensions: pad -> {value}: "
        "mode reflect pads dimension -3 of fp32[3, 4, 4] by 1 and 2; "
        "Core ML does not load padding by reflect or replicate of any dimension but the last two "
        "(https://github.com/apple/coremltools/pull/2701)"
    )


def test_each_place_is_told(bench):
    def build(a):
        return mb.pad(x=mb.pad(x=a, pad=[1, 1, 0, 0, 0, 0], mode="reflect"), pad=[0, 0, 9, 9], mode="replicate")

    found = broken_rules(functions(main=made(build, (3, 4, 4)), other=made(build, (3, 4, 4)))(bench))
    assert [(broken.rule.name.split("-")[1], broken.function) for broken in found] == [
        ("before", "main"),
        ("before", "other"),
        ("wider", "main"),
        ("wider", "other"),
    ]


@pytest.mark.parametrize("opset", ["iOS16", "iOS18", "iOS26"])
@pytest.mark.parametrize("target", [None, *load_rules.SPECIFICATION_VERSIONS])
def test_a_rule_of_newer_systems_is_certain_from_them_on(bench, opset, target):
    """What is asked of, the program's own target unless one is named; older systems load it."""
    [broken] = broken_rules(made(lambda a: a, (3,), opset=opset)(bench), target)
    assert broken.rule.name == "input-returned-as-output"
    assert broken.certain is ((target or opset) == "iOS26")
    assert "Core ML of iOS26 and newer systems does not load a function whose output is one of its inputs" in str(
        broken
    )


def test_targets_are_those_of_recipes_with_coremltools_numbers():
    assert list(load_rules.SPECIFICATION_VERSIONS) == [target.name for target in TARGETS.values()]
    assert {
        name: ct.target[name].value for name in load_rules.SPECIFICATION_VERSIONS
    } == load_rules.SPECIFICATION_VERSIONS


def test_an_unknown_target():
    with pytest.raises(InputError, match="unknown target 'iOS14': one of iOS15, iOS16, iOS17, iOS18, iOS26"):
        broken_rules(Program({}), "iOS14")


def test_what_is_no_constant_cannot_be_told(bench):
    """Widths that the program computes: nothing is said of them."""

    def build(a, b):
        return mb.pad(x=a, pad=mb.cast(x=b, dtype="int32"), mode="reflect")

    assert broken_rules(made(build, (3, 4, 4), (6,))(bench)) == []


def test_a_program_that_breaks_a_rule_runs_here(bench):
    """Refusing is for who asks; the interpreter computes what the documentation says."""
    program = padded("replicate", [1, 0, 0, 0, 0, 0], 1, 1, 1)(bench)
    assert broken_rules(program)
    [result] = Model(program)({"a": np.float32([[[2]]])}).values()
    np.testing.assert_array_equal(result, np.full((2, 1, 1), 2, np.float32))
