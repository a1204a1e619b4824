import pytest

from benchmarks.spread import figures, inverse, quartiles, ratio, times


def test_quartiles_of_known_values():
    spread = quartiles([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (spread.low, spread.middle, spread.high) == (2.0, 3.0, 4.0)


def test_one_value_is_its_own_quartiles():
    assert quartiles([7.0]).low == quartiles([7.0]).high == 7.0


def test_no_values_have_no_quartiles():
    with pytest.raises(ValueError, match="no values"):
        quartiles([])


def test_a_constant_ratio_has_no_spread_however_different_the_things():
    spread = ratio([(2.0, 1.0), (200.0, 100.0), (0.02, 0.01)])
    assert spread.low == pytest.approx(2.0)
    assert spread.middle == pytest.approx(2.0)
    assert spread.high == pytest.approx(2.0)


def test_a_ratio_is_of_the_sums_and_lies_within_its_interval():
    pairs = [(1.0, 1.0), (4.0, 1.0), (2.0, 1.0), (3.0, 1.0)]
    spread = ratio(pairs)
    assert spread.middle == 2.5
    assert 1.0 <= spread.low < 2.5 < spread.high <= 4.0


def test_more_of_the_same_pairs_narrow_the_interval():
    pairs = [(1.0, 1.0), (4.0, 1.0)]
    few, many = ratio(pairs * 5), ratio(pairs * 200)
    assert many.high - many.low < (few.high - few.low) / 3


def test_the_same_measurements_give_the_same_interval():
    pairs = [(1.0, 1.5), (4.0, 1.0), (2.0, 3.0)]
    assert ratio(pairs) == ratio(pairs)


@pytest.mark.parametrize("pairs", [[], [(1.0, 0.0)], [(float("nan"), 1.0)]])
def test_what_is_no_ratio_is_refused(pairs):
    with pytest.raises(ValueError, match="pair"):
        ratio(pairs)


def test_the_inverse_turns_the_interval_round():
    spread = inverse(ratio([(1.0, 1.0), (4.0, 1.0)]))
    assert spread.low <= spread.middle <= spread.high
    assert spread.middle == pytest.approx(1 / 2.5)


def test_a_factor_moves_the_whole_spread():
    spread = times(quartiles([1.0, 2.0, 3.0]), 2)
    assert (spread.low, spread.middle, spread.high) == (3.0, 4.0, 5.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (1.23456, "1.23"), (12345.6, "12346"), (0.0, "0"), (99.96, "100.0"), (5.0, "5.00")],
)
def test_figures_keep_three_places_and_no_power_of_ten(value, text):
    assert figures(value) == text
