import pytest

from harness.evidence.division import Division, Island
from harness.evidence.record import Numerics
from harness.publish.measures import MEASURES, Limits

BY_NAME = {measure.name: measure for measure in MEASURES}
INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("name", "limits", "before", "after", "worse"),
    [
        ("headroom_lost", Limits(factor=2), 8, 4, False),
        ("headroom_lost", Limits(factor=2), 8, 3.9, True),
        ("headroom_lost", Limits(factor=2), 4, 8, False),
        ("headroom_lost", Limits(factor=2), INF, 4, True),
        ("headroom_lost", Limits(factor=2), INF, INF, False),
        ("headroom_lost", Limits(factor=2, enough=10), INF, 10, False),
        ("headroom_lost", Limits(factor=2, enough=10), INF, 9.9, True),
        ("sqnr_lost", Limits(by=6), 60, 54, False),
        ("sqnr_lost", Limits(by=6), 60, 53, True),
        ("sqnr_lost", Limits(by=6), 60, NAN, True),
        ("sqnr_lost", Limits(by=6), NAN, NAN, False),
        ("sqnr_lost", Limits(by=6), NAN, 60, False),
        ("larger_package", Limits(factor=1.05), 100, 105, False),
        ("larger_package", Limits(factor=1.05), 100, 106, True),
        ("larger_package", Limits(by=10), 100, 110, False),
        ("larger_package", Limits(by=10), 100, 111, True),
        ("slower_lowering", Limits(factor=2, enough=5), 1, 4.9, False),
        ("slower_lowering", Limits(factor=2, enough=5), 1, 5, False),
        ("slower_lowering", Limits(factor=2, enough=5), 1, 5.1, True),
        ("slower_lowering", Limits(factor=2, enough=5), 6, 5.1, False),
        ("larger_error", Limits(factor=4), 0, 1e-9, True),
    ],
)
def test_what_is_worse(name, limits, before, after, worse):
    assert BY_NAME[name].worse(before, after, limits) is worse


def test_numbers_are_read_from_records(record):
    one = record(
        numerics=Numerics("ULP", headroom=2.0, max_abs=0.5, sqnr_db=70.0, top1=0.75),
        size=1200,
        division=Division(2, (Island({"aten.a.default": 1}, 3),)),
        against_float={"sqnr_db": 31.0},
        timing={"export": 1.0, "convert": 2.0, "run": 8.0},
    )
    assert {name: measure.value(one) for name, measure in BY_NAME.items()} == {
        "headroom_lost": 2.0,
        "sqnr_lost": 70.0,
        "quantization_lost": 31.0,
        "larger_error": None,  # inside its bound: the headroom tells
        "agreement_lost": 0.75,
        "more_parts": 5,
        "larger_package": 1200,
        "slower_lowering": 3.0,
    }
    assert BY_NAME["slower_lowering"].value(one.with_(lowering_s=7.0)) == 7.0
    outside = one.with_(numerics=Numerics("ULP", headroom=0.5, max_abs=0.5))
    assert BY_NAME["larger_error"].value(outside) == 0.5
    assert {measure.value(record()) for measure in MEASURES} == {None}


def test_numbers_are_told_with_their_units():
    assert BY_NAME["headroom_lost"].text(2.0) == "headroom x2"
    assert BY_NAME["sqnr_lost"].text(61.25) == "SQNR 61.2 dB"
    assert BY_NAME["larger_package"].text(None) == "none"
