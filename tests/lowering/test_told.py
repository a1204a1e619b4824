import pytest

from harness.evidence.division import Division
from harness.evidence.vocabulary import OF_OPERATORS, Kind
from harness.lowering.lower import Lowered
from harness.lowering.program import Delegate, DelegateCall, EagerCall, LoweredProgram, Value
from harness.lowering.told import told

PROGRAM = LoweredProgram(
    (),
    (DelegateCall(0, (), Value(0)), EagerCall("aten.a.default", (), {}, Value(1), 1)),
    (),
    (Delegate(b"12345", (), (), {"aten.b.default": 2}, flops=3),),
)
LOWERED = Lowered(PROGRAM, timing={"export": 0.5, "lower": 2.0, "emit": 0.26})


@pytest.mark.parametrize("kind", Kind)
def test_operators_of_every_kind_are_told_and_of_programs_more(kind):
    fields = told(kind, LOWERED, [PROGRAM])
    assert fields["delegated"] == {"aten.b.default": 2}
    assert fields["fallback"] == {"aten.a.default": 1}
    assert ("division" in fields) == ("size" in fields) == (kind not in OF_OPERATORS)
    assert ("lowering_s" in fields) == (kind in {Kind.MODEL, Kind.USER})


def test_a_program_is_told_with_its_size_division_and_time():
    fields = told(Kind.MODEL, LOWERED, [PROGRAM])
    assert (fields["size"], fields["lowering_s"]) == (5, 3.0)
    assert isinstance(fields["division"], Division)
    assert (fields["division"].flops, fields["division"].delegated_flops) == (4, 3)


def test_a_program_that_was_not_lowered_here_took_no_time():
    assert "lowering_s" not in told(Kind.MODEL, Lowered(PROGRAM), [PROGRAM])
