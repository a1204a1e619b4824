import math

import pytest

from harness.evidence.numerics import FEW, decibel, headroom_of, in_full, in_short, number, times
from harness.evidence.record import Numerics, Record
from harness.evidence.vocabulary import Outcome, Phase


def test_numbers():
    assert (number(None), number(0.00123456), number(0.00123456, FEW)) == ("", "0.00123", "0.0012")
    assert (times(None), times(2.5), times(math.inf)) == ("", "x2.5", "xinf")
    assert (decibel(None), decibel(61.25)) == ("", "61.2")


@pytest.mark.parametrize(
    ("numerics", "text"),
    [
        (None, ""),
        (Numerics("EXACT", 0.0, 0.0, float("inf")), "EXACT: exact"),
        (Numerics("ULP", 4e-4, 2e-4, 2.0), "ULP: 0.0002 of 0.0004 (x2)"),
        (Numerics("SQNR", sqnr_db=55.25), "SQNR: 55.2 dB"),
        (Numerics("ULP"), "ULP"),
    ],
)
def test_in_short(numerics, text):
    assert in_short(numerics) == text


@pytest.mark.parametrize(
    ("numerics", "lines"),
    [
        (None, []),
        (Numerics("EXACT"), ["EXACT"]),
        (
            Numerics("ULP", 1e-3, 2e-3, 0.5, 4.0, 2e-3, 33.3, "0:[1]"),
            [
                "ULP: error 0.002 at 0:[1], limit 0.001, headroom x0.5",
                "largest error 4 ULP, 0.002 absolute, SQNR 33.3 dB",
            ],
        ),
        (Numerics("SQNR", sqnr_db=61.25), ["SQNR", "SQNR 61.2 dB"]),
    ],
)
def test_in_full(numerics, lines):
    assert in_full(numerics) == lines


@pytest.mark.parametrize(("headroom", "found"), [(None, None), (math.nan, None), (2.0, 2.0), (math.inf, math.inf)])
def test_headroom_of_what_was_compared(headroom, found):
    record = Record(
        "a", "fp16-ios18", "reference", Outcome.PASS, Phase.VALUE, numerics=Numerics("ULP", headroom=headroom)
    )
    assert headroom_of(record) == found
    assert headroom_of(record.with_(numerics=None)) is None
