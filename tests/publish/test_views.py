from harness.evidence.causes import Cause
from harness.evidence.universe import Operator, Universe
from harness.publish.model import build_matrix
from harness.publish.support import Category
from harness.publish.views import views_of

A, B = "aten.gelu.default", "aten.gelu.Tensor"
SCHEMA = "aten::gelu(Tensor self, *, str approximate='none') -> Tensor"


def cause(slug, **fields):
    return Cause(slug, slug, "converter", **({"sees": "x", "explanation": "y", "source": "z"} | fields))


def test_three_ways_to_name_what_was_called(record, evidence):
    records = [record(A, api="F.gelu"), record(B, "convert_error", api="torch.gelu")]
    views = views_of(build_matrix(evidence(*records)), [], None)
    assert {name: one.category for name, one in views.operators.items()} == {A: Category.WORKS, B: Category.NEVER}
    assert {name: one.category for name, one in views.packets.items()} == {"gelu": Category.LOWERS_EXCEPT}
    assert views.functions.keys() == {"F.gelu", "torch.gelu"}


def test_parameters_come_from_the_universe_for_rows_and_for_others(record, evidence):
    records = [
        record(A, call="gelu(float32[2])"),
        record(A, "wrong_value", 1, call="gelu(float32[2], approximate='tanh')"),
    ]
    matrix = build_matrix(evidence(*records))

    def clause(universe):
        (condition,) = views_of(matrix, [], universe).operators[A].conditions()
        return str(condition.clause)

    row = Universe({}, {A: Operator(A, ("core",), SCHEMA)}, {})
    assert clause(row) == clause(Universe({}, {}, {}, beside={A: SCHEMA})) == "`approximate` other than 'none'"
    assert clause(None) == "`approximate='tanh'`"


def test_general_limits_are_for_the_head(record, evidence):
    records = [record(A), record(A, "crash", 1, cause="odd"), record(A, "crash", 2, cause="own")]
    views = views_of(build_matrix(evidence(*records)), [cause("odd", scope="general"), cause("own")], None)
    assert [limit.cause.cause for limit in views.limits] == ["odd"]
    assert [sample.causes for sample in views.operators[A].limited] == [{"odd"}]
    assert views.causes.keys() == {"odd", "own"}


def test_records_by_other_recipes_have_no_part_in_it(record, evidence):
    records = [record(A), record(A, "crash", recipe="fp16-ios15")]
    assert views_of(build_matrix(evidence(*records)), [], None).operators[A].category is Category.WORKS
