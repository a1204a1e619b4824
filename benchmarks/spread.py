"""Medians, and ratios with their spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: How often a ratio is resampled, and how much of what comes out its interval holds.
RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """A value and what it lies between: quartiles of a median, the confidence interval of a ratio."""

    low: float
    middle: float
    high: float


def quartiles(values: Sequence[float]) -> Spread:
    """Lower quartile, median and upper quartile; of a single value, that value. Raises `ValueError` for none."""
    if not values:
        raise ValueError("no values")
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, middle, high)


def ratio(pairs: Sequence[tuple[float, float]], *, seed: int = 0) -> Spread:
    """Sum of the first over sum of the second of each pair, and the interval that resampling the pairs gives.

    A pair holds two measurements of the same thing, so what differs from thing to thing does not widen the interval
    but where it changes the ratio. The same pairs and seed give the same interval. Raises `ValueError` when there is no
    pair or nothing to divide by.
    """
    if not pairs:
        raise ValueError("no pairs")
    first, second = np.asarray(pairs, dtype=float).T
    if not (np.isfinite(first).all() and np.isfinite(second).all() and (second > 0).all()):
        raise ValueError("a ratio needs finite measurements, the second of each pair above zero")
    drawn = np.random.default_rng(seed).integers(len(pairs), size=(RESAMPLES, len(pairs)))
    ratios = first[drawn].sum(axis=1) / second[drawn].sum(axis=1)
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [edge, 1 - edge])
    return Spread(float(low), float(first.sum() / second.sum()), float(high))


def inverse(spread: Spread) -> Spread:
    """Of b/a where `spread` is of a/b."""
    return Spread(1 / spread.high, 1 / spread.middle, 1 / spread.low)


def times(spread: Spread, factor: float) -> Spread:
    """`spread` multiplied by a factor above zero."""
    return Spread(spread.low * factor, spread.middle * factor, spread.high * factor)


def figures(value: float, digits: int = 3) -> str:
    """`value` with so many significant figures, never as a power of ten: `0.0123`, `1.23`, `123`, `12300`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"
