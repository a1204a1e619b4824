from __future__ import annotations

import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.evidence.record import ErrorInfo
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering import cache as module
from harness.lowering.cache import LOCATION_VARIABLE, LoweringCache, location
from harness.lowering.lower import Exported, Failure, Lowered, lower
from harness.lowering.program import LoweredProgram
from harness.lowering.recipe import Recipe

FP32, FP16 = Recipe.parse("fp32-ios18"), Recipe.parse("fp16-ios18")


class Scale(torch.nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor


@pytest.fixture(scope="module")
def double(exported: Callable[..., Exported]) -> Exported:
    return exported(Scale(2.0), torch.ones(3))


@pytest.fixture(scope="module")
def triple(exported: Callable[..., Exported]) -> Exported:
    return exported(Scale(3.0), torch.ones(3))


class Counting:
    """In place of lowering: counts, and answers with what it is told."""

    def __init__(self) -> None:
        self.calls = 0
        self.failure: Failure | None = None

    def __call__(self, *_args: object) -> Lowered:
        self.calls += 1
        if self.failure is not None:
            return Lowered(failure=self.failure)
        return Lowered(program=LoweredProgram((), (), (), ()), pte=b"%d" % self.calls)


@pytest.fixture
def lowering(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(module, "lower", counting)
    return counting


@pytest.fixture
def cache(tmp_path: Path) -> LoweringCache:
    return LoweringCache(tmp_path)


def entries(cache: LoweringCache) -> list[Path]:
    return sorted(p for p in cache.directory.rglob("*") if p.is_file())


def test_a_hit_gives_the_program_and_does_not_lower(cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    first = cache.lower("case", double, FP32)
    assert LoweringCache(cache.directory).lower("case", double, FP32) == first
    assert lowering.calls == 1


def test_a_real_program_comes_back_whole(cache: LoweringCache, double: Exported) -> None:
    fresh = cache.lower("case", double, FP32)
    again = cache.lower("case", double, FP32)
    assert fresh.program is not None
    assert again is not fresh
    assert again == fresh
    assert again.program is not None
    assert again.program.delegates[0].processed == fresh.program.delegates[0].processed
    assert again.pte == fresh.pte


def test_another_case_recipe_or_program_is_a_miss(
    cache: LoweringCache, lowering: Counting, double: Exported, triple: Exported
) -> None:
    for case, exported, recipe in (("a", double, FP32), ("b", double, FP32), ("a", double, FP16), ("a", triple, FP32)):
        cache.lower(case, exported, recipe)
    assert lowering.calls == 4
    assert len(entries(cache)) == 4


def test_changed_code_is_a_miss(
    cache: LoweringCache, lowering: Counting, double: Exported, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from harness.lowering import fingerprint

    package = tmp_path / "site" / "measured_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(fingerprint, "PACKAGES", ("measured_package",))
    cache = LoweringCache(tmp_path / "lowered")

    def check() -> int:
        fingerprint.code_fingerprint.cache_clear()
        cache.lower("case", double, FP32)
        return lowering.calls

    try:
        assert (check(), check()) == (1, 1)
        (package / "__init__.py").write_text("x = 22\n")
        assert (check(), check()) == (2, 2)
    finally:
        fingerprint.code_fingerprint.cache_clear()


@pytest.mark.parametrize(
    "content", [b"", b"no zlib", zlib.compress(b"no pickle"), zlib.compress(pickle.dumps({"a": 1}))]
)
def test_an_entry_that_cannot_be_read_is_lowered_again(
    content: bytes, cache: LoweringCache, lowering: Counting, double: Exported
) -> None:
    cache.lower("case", double, FP32)
    (entry,) = entries(cache)
    entry.write_bytes(content)
    assert cache.lower("case", double, FP32).pte == b"2"
    assert cache.lower("case", double, FP32).pte == b"2"
    assert lowering.calls == 2


def test_an_entry_cut_short_is_lowered_again(cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    cache.lower("case", double, FP32)
    (entry,) = entries(cache)
    entry.write_bytes(entry.read_bytes()[:-3])
    cache.lower("case", double, FP32)
    assert lowering.calls == 2


def failure(kind: str) -> Failure:
    return Failure(Phase.CONVERT, Outcome.CONVERT_ERROR, ErrorInfo(kind, "it failed", f"{kind}: it failed"))


def test_a_failure_of_the_backend_is_kept(cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    lowering.failure = failure("ValueError")
    assert (
        cache.lower("case", double, FP32).failure == cache.lower("case", double, FP32).failure == failure("ValueError")
    )
    assert lowering.calls == 1


@pytest.mark.parametrize("kind", ["OSError", "MemoryError"])
def test_a_failure_of_the_machine_is_not(kind: str, cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    lowering.failure = failure(kind)
    cache.lower("case", double, FP32)
    lowering.failure = None
    assert cache.lower("case", double, FP32).failure is None


def test_what_did_not_export_is_not_kept(cache: LoweringCache) -> None:
    exported = Exported(None, failure("ValueError"))
    assert cache.lower("case", exported, FP32) == lower(exported, FP32)
    assert entries(cache) == []


def test_a_location_that_is_a_file_costs_nothing(tmp_path: Path, lowering: Counting, double: Exported) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert LoweringCache(file).lower("case", double, FP32).failure is None
    assert file.read_text() == ""


def test_no_temporary_file_is_left(cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    cache.lower("case", double, FP32)
    (entry,) = entries(cache)
    assert entry.suffix == ""


def fill(cache: LoweringCache, sizes: list[int]) -> list[Path]:
    """Entries of these sizes, the first the one unused for longest."""
    paths = []
    for number, size in enumerate(sizes):
        path = cache.directory / f"{number:02x}" / f"{number:064x}"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * size)
        os.utime(path, (1000 + number, 1000 + number))
        paths.append(path)
    return paths


def test_pruning_removes_what_was_unused_for_longest(cache: LoweringCache) -> None:
    paths = fill(cache, [10, 20, 30, 40])
    assert cache.prune(max_bytes=75) == 2
    assert [p.exists() for p in paths] == [False, False, True, True]
    assert cache.prune(max_bytes=75) == 0
    assert cache.prune(max_bytes=0) == 2
    assert LoweringCache(cache.directory / "nowhere").prune() == 0


def test_a_hit_counts_as_use(cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    cache.lower("case", double, FP32)
    (entry,) = entries(cache)
    os.utime(entry, (1, 1))
    cache.lower("case", double, FP32)
    assert entry.stat().st_mtime > 1


def test_where_it_lies_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(LOCATION_VARIABLE, str(tmp_path / "elsewhere"))
    assert location() == tmp_path / "elsewhere"
    assert LoweringCache().directory == tmp_path / "elsewhere" / "lowered"
    monkeypatch.delenv(LOCATION_VARIABLE)
    assert location().name == "coreml-harness"
