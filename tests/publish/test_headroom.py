import math

import pytest

from harness.evidence.record import Numerics
from harness.evidence.vocabulary import HarnessError
from harness.publish.headroom import headrooms, render


def numerics(headroom, cls="ULP"):
    return Numerics(cls, limit=1.0, worst=1.0 / headroom, headroom=headroom)


def test_a_row_has_the_smallest_the_median_and_the_check_nearest_to_its_bound(record):
    checks = [record(sample=i, headroom=h) for i, h in enumerate((8.0, 2.0, 40.0))]
    (row,) = headrooms(checks)
    assert (row.operator, row.recipe, row.unit, row.tolerance_class) == (
        "aten.gelu.default",
        "fp16-ios18",
        "reference",
        "ULP",
    )
    assert (row.checks, row.smallest, row.middle) == (3, 2.0, 8.0)
    assert row.worst == checks[1].check_id


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ((0.5, 100), "outside"),
        ((1.0, 100), "tight"),
        ((1.49, 100), "tight"),
        ((1.5, 100), ""),
        ((10.0, 100), ""),
        ((10.1, 100), "loose"),
        ((10.1, math.inf), "loose"),
        ((math.inf, math.inf), "no error"),
    ],
)
def test_flags(record, values, flag):
    (row,) = headrooms([record(sample=i, headroom=1.0).with_(numerics=numerics(h)) for i, h in enumerate(values)])
    assert row.flag == flag


def test_operators_recipes_units_and_classes_are_rows_of_their_own_tightest_first(record):
    rows = headrooms(
        [
            record(headroom=30),
            record(headroom=20, recipe="fp32-ios18"),
            record(headroom=10, unit="cpu_only"),
            record("aten.add.Tensor", headroom=5),
            record(sample=1, headroom=1.0).with_(numerics=numerics(2, "COMPOSED")),
        ]
    )
    assert [row.smallest for row in rows] == [2, 5, 10, 20, 30]


@pytest.mark.parametrize(
    "change",
    [
        {"numerics": None},
        {"numerics": numerics(math.inf, "EXACT")},
        {"numerics": Numerics("SQNR", sqnr_db=60.0)},
        {"numerics": Numerics("ULP")},
        {"outcome": "fallback"},
        {"outcome": "convert_error"},
        {"outcome": "wrong_shape"},
    ],
)
def test_what_was_held_against_no_bound_is_no_row(record, change):
    assert headrooms([record(headroom=3).with_(**change)]) == []


def test_what_is_wrong_counts(record):
    (row,) = headrooms([record(outcome="wrong_value", headroom=0.25)])
    assert row.smallest == 0.25


def test_the_text_shows_flags_and_counts_them(record, evidence):
    text = render(
        evidence(record(headroom=1.25), record("aten.add.Tensor", headroom=16.0), record("aten.mul.Tensor", headroom=4))
    )
    lines = text.splitlines()
    assert lines[2].split()[:4] == ["tight", "aten.gelu.default", "fp16-ios18", "reference"]
    assert lines[4].split()[:2] == ["loose", "aten.add.Tensor"]
    assert lines[-2] == "3 rows: 1 tight, 1 between, 1 loose"
    assert "rounds once" in lines[-1]
    assert render(evidence(record(headroom=16, unit="cpu_only"))).endswith("1 rows: 1 loose")


def test_a_glob_chooses_and_a_simulated_host_does_not_count(record, evidence, environments):
    ours = record(headroom=2)
    other = record("aten.add.Tensor", headroom=3)
    simulated = record("aten.gelu.default", sample=7, headroom=1.1, environment=environments["simulated"])
    for glob in ("aten.gelu.default", "aten.gelu", "gelu", "*gel?"):
        assert render(evidence(ours, other, simulated), glob).endswith("1 rows: 1 between")
    with pytest.raises(HarnessError, match=r"matches --op aten\.nosuch"):
        render(evidence(ours), "aten.nosuch")
    with pytest.raises(HarnessError, match="no record has a bound"):
        render(evidence(simulated))
