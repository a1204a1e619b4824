from __future__ import annotations

import errno
import io
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.cases.case import Built, Method, Partitioning
from harness.evidence.recipe import Recipe
from harness.evidence.record import ErrorInfo
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering import cache as module
from harness.lowering import entries
from harness.lowering.cache import LOCATION_VARIABLE, LoweringCache, location
from harness.lowering.fingerprint import CASE_PACKAGES, PACKAGES
from harness.lowering.lower import Exported, Failure, Lowered, export, lower
from harness.lowering.program import EagerCall, GetItem, Input, LoweredProgram, TensorSpec, Value

#: What an operator may be called with by name.
KINDS = {
    "dtype": torch.int8,
    "layout": torch.strided,
    "memory format": torch.channels_last,
    "device": torch.device("cpu"),
    "complex": 1 + 2j,
}
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


def files(cache: LoweringCache) -> list[Path]:
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
    assert len(files(cache)) == 4


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
    (entry,) = files(cache)
    entry.write_bytes(content)
    assert cache.lower("case", double, FP32).pte == b"2"
    assert cache.lower("case", double, FP32).pte == b"2"
    assert lowering.calls == 2


def test_an_entry_cut_short_is_lowered_again(cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    cache.lower("case", double, FP32)
    (entry,) = files(cache)
    entry.write_bytes(entry.read_bytes()[:-3])
    cache.lower("case", double, FP32)
    assert lowering.calls == 2


def failure(kind: str) -> Failure:
    return Failure(Phase.CONVERT, Outcome.CONVERT_ERROR, ErrorInfo(kind, "it failed", f"{kind}: it failed"))


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


class Smuggler(pickle.Pickler):
    """Writes a bomb where a reader looks for a tensor, or for a constant of torch."""

    def __init__(self, stream: io.BytesIO, kind: str) -> None:
        super().__init__(stream, protocol=5)
        self.kind = kind

    def persistent_id(self, value: object) -> object:
        if not isinstance(value, Bomb):
            return None
        if self.kind == "constant":
            return self.kind, "_dynamo"
        stream = io.BytesIO()
        torch.save(value, stream)
        return self.kind, stream.getvalue()


@pytest.mark.parametrize("kind", ["", "tensor", "constant", "device", "something else"])
def test_an_entry_runs_no_code(
    kind: str, cache: LoweringCache, lowering: Counting, double: Exported, tmp_path: Path
) -> None:
    """Whoever writes to a shared cache can make an entry whole and give it its key, but not have code run by it."""
    cache.lower("case", double, FP32)
    (entry,) = files(cache)
    mark, stream = tmp_path / "ran", io.BytesIO()
    (Smuggler(stream, kind) if kind else pickle.Pickler(stream)).dump(Lowered(unplannable=Bomb(mark)))  # type: ignore[arg-type]
    body = zlib.compress(stream.getvalue())
    entry.write_bytes(entries._MAGIC + entries._digest(entry.name, body) + body)
    assert cache.lower("case", double, FP32).pte == b"2"
    assert not mark.exists()


@pytest.mark.parametrize("large", [False, True])
def test_a_large_entry_is_stored_as_it_is(large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights keep most of their bytes however long they are compressed."""
    monkeypatch.setattr(entries, "_WEIGHTS", 1000 if large else 10_000)
    lowered = Lowered(pte=b"weights " * 500)
    content = entries.written("key", lowered)
    assert (lowered.pte in content) is large
    assert entries.read("key", content) == lowered


def test_an_altered_entry_is_lowered_again(cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    cache.lower("case", double, FP32)
    (entry,) = files(cache)
    content = bytearray(entry.read_bytes())
    content[-10] ^= 1
    entry.write_bytes(content)
    assert cache.lower("case", double, FP32).pte == b"2"


def test_the_entry_of_another_key_is_lowered_again(cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    cache.lower("a", double, FP32)
    (first,) = files(cache)
    cache.lower("b", double, FP32)
    (second,) = set(files(cache)) - {first}
    second.write_bytes(first.read_bytes())
    assert cache.lower("b", double, FP32).pte == b"3"


def test_a_full_disk_costs_the_entry_alone(
    cache: LoweringCache, lowering: Counting, double: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        write(path, content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert cache.lower("case", double, FP32).pte == b"1"
    assert files(cache) == []
    monkeypatch.undo()


def test_parallel_writers_leave_one_whole_entry(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from harness.lowering.cache import LoweringCache\n"
        "from harness.lowering.lower import Lowered\n"
        "path = Path(sys.argv[1]) / 'ab' / ('ab' * 32)\n"
        "for number in range(200):\n"
        "    LoweringCache(Path(sys.argv[1]))._write(path, Lowered(pte=bytes([number]) * 5000))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    cache, path = LoweringCache(tmp_path), tmp_path / "ab" / ("ab" * 32)
    seen = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert cache._read(path) is not None
            seen += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen
    assert files(cache) == [path]


def test_what_a_killed_writer_left_goes(cache: LoweringCache) -> None:
    whole, half, recent = fill(cache, [10, 10, 10])
    half = half.rename(half.with_suffix(".1234"))
    recent = recent.rename(recent.with_suffix(".1235"))
    os.utime(recent)
    assert cache.prune() == 0
    assert [path.exists() for path in (whole, half, recent)] == [True, False, True]


def test_writing_keeps_the_cap(
    cache: LoweringCache, lowering: Counting, double: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fill(cache, [1000, 1000])
    monkeypatch.setattr(LoweringCache.prune, "__defaults__", (900,))
    cache.lower("case", double, FP32)
    assert [path.exists() for path in old] == [False, False]
    assert len(files(cache)) == 1
    # Not at every write: a look at all entries takes time.
    more = fill(LoweringCache(cache.directory / "ff"), [5000])
    cache.lower("other", double, FP32)
    assert len(files(cache)) == 3
    assert more[0].exists()


def test_values_of_every_kind_come_back(cache: LoweringCache) -> None:
    call = EagerCall("aten.f.default", (Value(1), [Value(2), None], 1.5, float("inf"), "mean", True), KINDS, Value(3))
    tensor = Input("w", Value(0), TensorSpec("float32", (2, None)), "buffer", torch.arange(3.0), "w")
    program = LoweredProgram((tensor,), (call, GetItem(Value(3), 0, Value(4))), (Value(4), 2), ())
    path = cache.directory / "ab" / ("ab" * 32)
    cache._write(path, Lowered(program=program, pte=b"\x00\xff"))
    found = cache._read(path)
    assert found is not None
    assert found.program is not None
    assert found.program.steps == program.steps
    assert found.pte == b"\x00\xff"
    assert found.program.inputs[0].tensor is not None
    assert torch.equal(found.program.inputs[0].tensor, torch.arange(3.0))


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


class Weighted(torch.nn.Module):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((2,), weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


def scaling(weight: float, x: torch.Tensor | None = None) -> Built:
    return Built(Weighted(weight).eval(), (torch.ones(2) if x is None else x,), 0)


class Exporting:
    """Exports once it is asked, and counts."""

    def __init__(self, built: Built) -> None:
        self.built, self.calls = built, 0

    def __call__(self) -> Exported:
        self.calls += 1
        return export(self.built)


def test_what_the_id_names_is_found_without_exporting(cache: LoweringCache) -> None:
    first, second = Exporting(scaling(2.0)), Exporting(scaling(2.0))
    fresh = cache.lower_named("case", first.built, first, FP32)
    assert LoweringCache(cache.directory).lower_named("case", second.built, second, FP32) == fresh
    assert (first.calls, second.calls) == (1, 0)


def test_what_the_id_names_differs_by_id_recipe_state_input_and_methods(
    cache: LoweringCache, lowering: Counting
) -> None:
    built = scaling(2.0)
    others = [scaling(3.0), scaling(2.0, x=torch.zeros(2)), scaling(2.0, x=torch.ones(4)[::2])]
    others += [replace(built, method="decode"), replace(built, beside=(Method("decode", built.module, built.inputs),))]
    others += [replace(built, partitioning=Partitioning(claim=("aten.mul.Tensor",)))]
    asked = [("a", built, FP32), ("b", built, FP32), ("a", built, FP16), *(("a", other, FP32) for other in others)]
    for _ in range(2):
        for case, made, recipe in asked:
            cache.lower_named(case, made, Exporting(made), recipe)
    assert lowering.calls == len(asked)


def test_cases_and_their_packages_belong_to_what_an_id_names(
    cache: LoweringCache, lowering: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, code = scaling(2.0), {"harness.cases": "1"}
    monkeypatch.setattr(module, "code_fingerprint", lambda packages=(): code["harness.cases"] * ("torch" in packages))
    for code["harness.cases"] in ("1", "2", "1"):
        cache.lower_named("case", built, Exporting(built), FP32)
    assert lowering.calls == 2
    assert {"harness.cases", "torchvision", "transformers", *PACKAGES} <= set(CASE_PACKAGES)


def test_what_an_id_names_and_did_not_export_is_kept(cache: LoweringCache) -> None:
    broken = Exported(None, failure("ValueError"))
    built, calls = scaling(2.0), []

    def exported() -> Exported:
        calls.append(1)
        return broken

    found = [cache.lower_named("case", built, exported, FP32) for _ in range(2)]
    assert found[0] == found[1] == lower(broken, FP32)
    assert len(calls) == 1


def test_what_did_not_export_is_not_kept(cache: LoweringCache) -> None:
    exported = Exported(None, failure("ValueError"))
    assert cache.lower("case", exported, FP32) == lower(exported, FP32)
    assert files(cache) == []


def test_a_location_that_is_a_file_costs_nothing(tmp_path: Path, lowering: Counting, double: Exported) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert LoweringCache(file).lower("case", double, FP32).failure is None
    assert file.read_text() == ""


def test_no_temporary_file_is_left(cache: LoweringCache, lowering: Counting, double: Exported) -> None:
    cache.lower("case", double, FP32)
    (entry,) = files(cache)
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
    (entry,) = files(cache)
    os.utime(entry, (1, 1))
    cache.lower("case", double, FP32)
    assert entry.stat().st_mtime > 1


def test_where_it_lies_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(LOCATION_VARIABLE, str(tmp_path / "elsewhere"))
    assert location() == tmp_path / "elsewhere"
    assert LoweringCache().directory == tmp_path / "elsewhere" / "lowered"
    monkeypatch.delenv(LOCATION_VARIABLE)
    assert location().name == "coreml-harness"
