"""Our kernels against coremltools' own `value_inference`, on operator instances that the operator suite emits."""

from __future__ import annotations

import gc
import inspect
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coremltools.converters.mil import mil
from mil_explained import COREMLTOOLS, ROUNDING, ROWS, UNDOCUMENTED, explanation
from mil_instances import FILE, Instance, describe, read, values, write
from mil_replay import Difference, Result, compare, disagreement, summation

from harness.mil import TensorType
from harness.mil.kernels import KERNELS

#: One worker waits for what these tests share; the others go on.
pytestmark = pytest.mark.xdist_group("value_inference")
DRAWS = 3  # sets of values for each instance
AT_LEAST = 2000


@pytest.fixture(scope="module")
def instances() -> list[Instance]:
    gc.collect()
    gc.freeze()
    return list(read())


def drawn(instance: Instance) -> range:
    """Which draws make a difference: one, when nothing is drawn."""
    given = [leaf for a in instance.arguments.values() for leaf in (a if isinstance(a, list) else [a])]
    return range(1 if all("d" in leaf for leaf in given) else DRAWS)


def differences(instances: list[Instance]) -> Iterator[Difference]:
    for instance in instances:
        for draw in drawn(instance):
            found = compare(instance, draw)
            if isinstance(found, Difference):
                yield found


def test_every_difference_is_explained(instances: list[Instance]) -> None:
    compared: set[str] = set()
    silent: Counter[str] = Counter()
    used: Counter[int] = Counter()
    unexplained = []
    for instance in instances:
        for draw in drawn(instance):
            found = compare(instance, draw)
            if found is False:
                silent[instance.op] += 1
                break
            compared.add(instance.key)
            if isinstance(found, Difference):
                row = explanation(found)
                if row is None:
                    unexplained.append(str(found))
                else:
                    used[ROWS.index(row)] += 1
    shown = "\n".join(unexplained[:40])
    assert not unexplained, f"{len(unexplained)} unexplained differences:\n{shown}"
    stale = [f"{row.op}: {row.reason}" for number, row in enumerate(ROWS) if not used[number]]
    assert not stale, f"rows that explain nothing: {stale}"
    assert len(compared) >= AT_LEAST, f"{len(compared)} instances compared; coremltools says nothing on {silent}"
    # Most of what is compared must simply agree, or the table would be the test.
    assert sum(used.values()) < len(compared) / 5


def test_the_file_is_small_and_holds_each_instance_once(instances: list[Instance], tmp_path: Path) -> None:
    assert FILE.stat().st_size < 1_000_000
    assert len({i.key for i in instances}) == len(instances) >= AT_LEAST
    write(instances, tmp_path / "again.gz")
    assert list(read(tmp_path / "again.gz")) == instances


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.op.split()[0]}-{row.where[1]}")
def test_rows_name_a_line_of_coremltools(row) -> None:
    file, line, text = row.where
    source = (Path(inspect.getfile(mil)).parent / file).read_text().splitlines()
    assert text in source[line - 1], [number for number, code in enumerate(source, 1) if text in code]
    assert row.fault in (COREMLTOOLS, ROUNDING, UNDOCUMENTED)


def _swapped(function):
    return lambda context, x, y: function(context, x=y, y=x)


FAULTS = {
    "sub": _swapped,
    "real_div": _swapped,
    "greater": _swapped,
    "exp": lambda f: lambda context, x: f(context, x=x) * np.float32(1.001),
    "transpose": lambda f: lambda context, x, perm: f(context, x=x, perm=tuple(reversed(perm))),
    "reduce_max": lambda f: (
        lambda context, x, axes=None, keep_dims=False: KERNELS["reduce_min"].function(
            context, x=x, axes=axes, keep_dims=keep_dims
        )
    ),
    "softmax": lambda f: lambda context, x, axis=-1: f(context, x=x, axis=0),
    "slice_by_index": lambda f: lambda context, x, begin, **more: f(context, x=x[::-1], begin=begin, **more),
}


@pytest.mark.parametrize("op", FAULTS)
def test_a_faulty_kernel_is_not_explained(op: str, instances: list[Instance], monkeypatch) -> None:
    own = [i for i in instances if i.op == op]
    assert own
    kernel = KERNELS[op]
    monkeypatch.setitem(KERNELS, op, replace(kernel, function=FAULTS[op](kernel.function)))
    assert any(explanation(found) is None for found in differences(own))


def test_values_are_the_same_each_time_and_of_the_declared_types() -> None:
    x = np.arange(60, dtype=np.int32).reshape(3, 20)
    arguments = {"x": describe(x, False), "f": describe(np.ones((2, 2), np.float16), False), "s": describe("a", True)}
    instance = Instance("none", 8, arguments)
    first, second, other = values(instance), values(instance), values(instance, 1)
    assert first["s"] == "a"
    for name in ("x", "f"):
        assert np.array_equal(first[name], second[name])
        assert not np.array_equal(first[name], other[name])
    assert first["x"].shape == x.shape
    assert first["x"].min() >= 0
    assert first["x"].max() <= 59
    assert first["f"].dtype == np.float16


def test_small_integers_and_constants_are_kept_and_large_ones_refused() -> None:
    assert describe(np.array([3, 1], np.int32), False) == {"t": "int32", "s": [2], "d": [3, 1]}
    assert describe(np.array([0.5], np.float32), True) == {"t": "fp32", "s": [1], "d": [0.5], "c": 1}
    assert "d" not in describe(np.array([0.5], np.float32), False)
    with pytest.raises(ValueError, match="elements"):
        describe(np.zeros(1 << 17, np.float32), False)


@pytest.mark.parametrize(("extra", "agree"), [(0.0, True), (1e-5, True), (1.0, False)])
def test_a_sum_that_cancels_is_held_against_its_terms(extra: float, agree: bool) -> None:
    terms = np.array([1000.0, -1000.0, 0.001], np.float32)
    arguments = {"x": describe(terms, True), "axes": describe(np.array([0], np.int32), True)}
    instance, kind = Instance("reduce_sum", 8, arguments), TensorType("fp32", (1,))
    ours = np.array([0.001], np.float32)
    sides = (Result((ours + np.float32(extra),), (kind,)), Result((ours,), (kind,)))
    given = {**values(instance), "keep_dims": np.array(True)}
    told = Instance("reduce_sum", 8, {**arguments, "keep_dims": {"t": "bool", "s": [], "c": 1}})
    assert summation(Difference(told, given, *sides)) is agree


def test_disagreement_allows_rounding_and_nothing_else() -> None:
    kind = TensorType("fp32", (4,))
    one = np.ones(4, np.float32)
    other = one + np.array([0, 1e-6, 1e-5, np.nan], np.float32)
    assert disagreement(one, other, kind).tolist() == [False, False, True, True]
    assert disagreement(other, other, kind).tolist() == [False] * 4
    integers = np.arange(4)
    assert disagreement(integers, integers + [0, 0, 1, 0], TensorType("int32", (4,))).sum() == 1
    assert disagreement(one, one[:2], kind).all()
