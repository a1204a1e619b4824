"""How close a result came, as text: the one place where numbers of `Numerics` are written for a reader."""

from __future__ import annotations

from harness.evidence.record import Numerics, Record

#: Significant digits of what is told of one check; a table of many has `FEW`, a file for programs `MANY`.
DIGITS, FEW, MANY = 3, 2, 6


def number(value: float | None, digits: int = DIGITS) -> str:
    """Empty for None."""
    return "" if value is None else f"{value:.{digits}g}"


def times(headroom: float | None, digits: int = DIGITS) -> str:
    """How many times an error fits into its bound: `x2.5`."""
    return "" if headroom is None else f"x{number(headroom, digits)}"


def decibel(value: float | None) -> str:
    """Without the unit."""
    return "" if value is None else f"{value:.1f}"


def headroom_of(record: Record) -> float | None:
    """limit / worst of a judged value, None where nothing was compared (or NaN)."""
    headroom = record.numerics.headroom if record.numerics else None
    return None if headroom is None or headroom != headroom else headroom


def scaled(value: float) -> str:
    """With the prefix of a unit to follow: `12 k`, `2.4 M`."""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{number(value / factor)} {prefix}"
    return f"{number(value)} "


def packages(record: Record) -> str:
    """`12 kB; quantization costs SQNR 31.5 dB against the float module`; empty where neither is recorded."""
    parts = [f"{scaled(record.size)}B"] if record.size is not None else []
    if (db := record.against_float.get("sqnr_db")) is not None:
        parts.append(f"SQNR {decibel(db)} dB against the module before it was quantized")
    return "; ".join(parts)


def percent(part: float | None, whole: float | None = 1.0) -> str:
    """`98.5`; empty where there is nothing to divide by. What is not all is never told as 100."""
    if part is None or not whole:
        return ""
    value = 100.0 * part / whole
    return f"{min(value, 99.9) if part < whole else value:.1f}".removesuffix(".0")


def divided(record: Record) -> str:
    """`2 delegates, 1 island left to ExecuTorch; 99.1 % of 1.2 GFLOP delegated`; empty where it is not recorded."""
    division = record.division
    if division is None:
        return ""
    numbers = (division.delegates, "delegate"), (division.number_of_islands, "island")
    parts = ", ".join(f"{n} {noun}{'' if n == 1 else 's'}" for n, noun in numbers) + " left to ExecuTorch"
    if not division.flops:
        return parts
    return f"{parts}; {percent(division.delegated_flops, division.flops)} % of {scaled(division.flops)}FLOP delegated"


def top_k(numerics: Numerics | None) -> str:
    """`top-1 98 % and 2 % tied, top-5 100 %`; empty where nothing was ranked."""
    if numerics is None or numerics.top1 is None:
        return ""
    tied = f" and {percent(numerics.tied)} % tied" if numerics.tied else ""
    five = f", top-5 {percent(numerics.top5)} %" if numerics.top5 is not None else ""
    return f"top-1 {percent(numerics.top1)} %{tied}{five}"


def in_short(numerics: Numerics | None) -> str:
    """`ULP: 2.4e-4 of 4.9e-4 (x2)`: class, worst error, its bound, how many times it fits."""
    if numerics is None:
        return ""
    if numerics.sqnr_db is not None and numerics.limit is None:
        return f"{numerics.tolerance_class}: {decibel(numerics.sqnr_db)} dB"
    if numerics.worst is None or numerics.limit is None:
        return numerics.tolerance_class
    if numerics.worst == 0:
        return f"{numerics.tolerance_class}: exact"
    headroom = f" ({times(numerics.headroom, FEW)})" if numerics.headroom is not None else ""
    return f"{numerics.tolerance_class}: {number(numerics.worst, FEW)} of {number(numerics.limit, FEW)}{headroom}"


def in_full(numerics: Numerics | None) -> list[str]:
    """One or two lines: the element nearest to its bound, then the largest errors; none where nothing was compared."""
    if numerics is None:
        return []
    text = numerics.tolerance_class
    if numerics.worst is not None and numerics.limit is not None:
        at = f" at {numerics.at}" if numerics.at else ""
        text += f": error {number(numerics.worst)}{at}, limit {number(numerics.limit)}"
    if numerics.headroom is not None:
        text += f", headroom {times(numerics.headroom)}"
    largest = [
        f"largest error {number(numerics.max_ulp)} ULP" if numerics.max_ulp is not None else "",
        f"{number(numerics.max_abs)} absolute" if numerics.max_abs is not None else "",
        f"SQNR {decibel(numerics.sqnr_db)} dB" if numerics.sqnr_db is not None else "",
    ]
    second = ", ".join(part for part in (*largest, top_k(numerics)) if part)
    return [text, second] if second else [text]
