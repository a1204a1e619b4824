import math

import pytest

from harness.evidence.division import Division, Island
from harness.evidence.numerics import (
    FEW,
    decibel,
    divided,
    headroom_of,
    in_full,
    in_short,
    number,
    percent,
    scaled,
    times,
    top_k,
)
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


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 4, "25"), (1, 3, "33.3"), (4, 4, "100"), (99999, 100000, "99.9"), (0, 4, "0"), (0, 0, ""), (None, 4, "")],
)
def test_what_is_not_all_is_never_a_hundred_percent(part, whole, text):
    assert percent(part, whole) == text


@pytest.mark.parametrize(
    ("division", "text"),
    [
        (None, ""),
        (Division(1), "1 delegate, 0 islands left to ExecuTorch"),
        (
            Division(2, (Island({"aten.a.default": 1}),), 4000, 3000),
            "2 delegates, 1 island left to ExecuTorch; 75 % of 4 kFLOP delegated",
        ),
    ],
)
def test_how_a_program_is_divided(division, text):
    one = Record("a/b/c/d", "fp16-ios18", "reference", Outcome.PASS, Phase.VALUE, division=division)
    assert divided(one) == text


@pytest.mark.parametrize(
    ("ranks", "text"),
    [
        ({}, ""),
        ({"top1": 1.0, "tied": 0.0}, "top-1 100 %"),
        ({"top1": 0.75, "tied": 0.25, "top5": 0.975}, "top-1 75 % and 25 % tied, top-5 97.5 %"),
    ],
)
def test_how_scores_rank(ranks, text):
    assert top_k(Numerics("SQNR", sqnr_db=40.0, **ranks)) == text
    assert in_full(Numerics("SQNR", sqnr_db=40.0, **ranks))[1:] == [f"SQNR 40.0 dB{', ' if text else ''}{text}"]


@pytest.mark.parametrize(("value", "text"), [(7, "7 B"), (2048, "2.05 kB"), (2_400_000, "2.4 MB"), (3e9, "3 GB")])
def test_sizes_have_a_prefix(value, text):
    assert f"{scaled(value)}B" == text
