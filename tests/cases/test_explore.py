import hypothesis
from hypothesis import strategies as st

from harness.cases.axes import Parameter
from harness.cases.calls import parse
from harness.cases.explore import drawn_calls, resized, sizes

ADD = (
    Parameter("self", "Tensor", False),
    Parameter("other", "Tensor", False),
    Parameter("alpha", "number", True, 1, True),
)
SEED = parse("aten.add.Tensor(float32(2, 3), float32(2, 3))")


def examples(seed, count=40):
    found = []

    @hypothesis.settings(max_examples=count, database=None, deadline=None)
    @hypothesis.seed(seed)
    @hypothesis.given(drawn_calls(SEED, ADD))
    def draw(call):
        found.append(str(call))

    draw()
    return found


def test_the_same_seed_draws_the_same_calls_and_another_others():
    assert examples(1) == examples(1)
    assert set(examples(1)) != set(examples(2))


def test_axes_are_composed():
    calls = examples(3, 80)
    assert any("alpha" in call and "values=" in call for call in calls)
    assert any("float32(2, 3)" not in call for call in calls)


def test_a_failure_shrinks_to_a_small_call():
    found = hypothesis.find(
        drawn_calls(SEED, ADD), lambda call: "alpha" in call.kwargs, settings=hypothesis.settings(database=None)
    )
    assert str(found) == "aten.add.Tensor(float32(2, 3), float32(2, 3), alpha=2)"


@hypothesis.given(st.dictionaries(st.integers(2, 9), st.integers(1, 9), min_size=1))
def test_equal_sizes_stay_equal(table):
    call = resized(parse("aten.mm.default(float32(2, 3), float32(3, 4))"), table)
    one, other = call.tensors()
    assert one.shape[1] == other.shape[0]


def test_literal_tensors_and_sizes_that_mean_something_keep_theirs():
    call = parse("aten.x.y(float32(0, 1, 5), int64([[1, 2]]))")
    assert sizes(call) == [5]
    assert str(resized(call, {5: 2, 2: 7})) == "aten.x.y(float32(0, 1, 2), int64([[1, 2]]))"
