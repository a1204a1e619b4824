import pytest

from harness.evidence.universe import read_universe
from harness.publish.schema import REORDERED, Parameter, parameters


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        (
            "aten::gelu(Tensor self, *, str approximate='none') -> Tensor",
            (Parameter("self", "Tensor"), Parameter("approximate", "str", "'none'")),
        ),
        (
            "aten::conv2d(Tensor input, Tensor weight, Tensor? bias=None, SymInt[2] stride=[1, 1]) -> Tensor",
            (
                *(Parameter("input", "Tensor"), Parameter("weight", "Tensor"), Parameter("bias", "Tensor?", "None")),
                Parameter("stride", "SymInt[2]", "[1, 1]"),
            ),
        ),
        (
            "aten::permute(Tensor(a) self, int[] dims) -> Tensor(a)",
            (Parameter("self", "Tensor"), Parameter("dims", "int[]")),
        ),
        ("aten::add_.Tensor(Tensor(a!) self) -> Tensor(a!)", (Parameter("self", "Tensor"),)),
        ("aten::rand() -> Tensor", ()),
    ],
)
def test_a_schema_is_taken_apart(schema, found):
    assert parameters(schema) == found


def test_every_schema_of_the_universe_is_taken_apart():
    universe = read_universe()
    for name in [*universe.operators, *universe.beside]:
        schema = universe.schema(name)
        found = parameters(schema)
        assert all(parameter.name.isidentifier() and parameter.type for parameter in found), schema
        arguments = schema[schema.index("(") + 1 : schema.rindex(") ->")]
        assert [p.name for p in found if p.default is not None] == [
            p.name for p in found if f" {p.name}=" in arguments
        ], schema


def test_functions_in_another_order_name_parameters_of_their_operator():
    """Names that the operator has under another name are those of the public function."""
    universe = read_universe()
    for function, names in REORDERED.items():
        overloads = [name for name in [*universe.operators, *universe.beside] if name.split(".")[1] == function]
        known = {parameter.name for name in overloads for parameter in parameters(universe.schema(name))}
        if known:
            assert len({*names} - known - {"input"}) <= 2, function
