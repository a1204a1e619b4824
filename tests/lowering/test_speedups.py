"""The speedups do not change what is emitted: the same operators lowered with and without, in a process each."""

from __future__ import annotations

import gc
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from coremltools.proto import Model_pb2

from harness.lowering import speedups

Files = dict[str, bytes]

#: The package is named by a random identifier, and coremltools names the items of the manifest by random ones.
_IDENTIFIER = re.compile(rb"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Files]]:
    """`programs[mode][operator@recipe]`: the files of the delegates."""
    found = {}
    for mode in ("plain", "speedups"):
        out = tmp_path_factory.mktemp("programs") / mode
        script = Path(__file__).with_name("programs_of.py")
        subprocess.run([sys.executable, str(script), mode, str(out)], check=True, capture_output=True, timeout=540)
        found[mode] = {name: dict(files) for name, files in pickle.loads(out.read_bytes()).items()}
    return found


def comparable(name: str, content: bytes) -> object:
    """What a file says, without the identifiers drawn at random."""
    if name.endswith("Manifest.json"):
        entries = json.loads(content)["itemInfoEntries"]
        return sorted(json.dumps(entry, sort_keys=True) for entry in entries.values())
    content = _IDENTIFIER.sub(b"-", content)
    if name.endswith(".mlmodel"):
        model = Model_pb2.Model()
        model.ParseFromString(content)
        # Maps have no order of their own; serialised sorted, equal models are equal bytes.
        return model.SerializeToString(deterministic=True)
    if name.endswith(".json"):
        return json.loads(content)
    return content


def test_the_same_programs_are_emitted(programs: dict[str, dict[str, Files]]) -> None:
    plain, quick = programs["plain"], programs["speedups"]
    assert len(plain) >= 12
    assert list(plain) == list(quick)
    for name in plain:
        assert list(plain[name]) == list(quick[name]), name
        kinds = {Path(file).name for file in plain[name]}
        assert {"model.mlmodel", "metadata.json"} <= kinds, name
        for file, content in plain[name].items():
            assert comparable(file, content) == comparable(file, quick[name][file]), (name, file)


def test_some_of_them_have_weights_and_several_delegates(programs: dict[str, dict[str, Files]]) -> None:
    files = [name for delegates in programs["speedups"].values() for name in delegates]
    assert any(name.endswith("weight.bin") for name in files)
    assert any(name.startswith("1/") for name in files)


def test_the_comparison_sees_a_difference(programs: dict[str, dict[str, Files]]) -> None:
    """Another recipe of the same operator is another program."""
    files = programs["plain"]
    first, second = files["gelu@fp32-ios18"], files["gelu@fp16-ios18"]
    model = next(name for name in first if name.endswith(".mlmodel"))
    assert comparable(model, first[model]) != comparable(model, second[model])


def test_the_listing_is_made_anew_when_an_operator_is_registered() -> None:
    import torch._export.utils as utils

    speedups.enable()
    before = utils._collect_all_valid_cia_ops()
    assert utils._collect_all_valid_cia_ops() is before
    library = torch.library.Library("harness_test", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: x + x, "CompositeImplicitAutograd")
    try:
        assert torch.ops.harness_test.twice.default in utils._collect_all_valid_cia_ops()
    finally:
        library._destroy()
    assert torch.ops.aten.linear.default in before


def test_the_heap_is_frozen_every_few_lowerings(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = []
    monkeypatch.setattr(
        speedups, "freeze_heap", lambda: frozen.append(monkeypatch.setattr(speedups, "_since_freeze", 0))
    )
    monkeypatch.setattr(speedups, "_enabled", True)
    monkeypatch.setattr(speedups, "_since_freeze", 0)
    for _ in range(3 * speedups.FREEZE_EVERY):
        speedups.before_lowering()
    assert len(frozen) == 3


def test_nothing_is_done_unless_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speedups, "_enabled", False)
    monkeypatch.setattr(speedups, "freeze_heap", lambda: pytest.fail("froze the heap"))
    for _ in range(3 * speedups.FREEZE_EVERY):
        speedups.before_lowering()


def test_garbage_is_collected_before_freezing() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me = self

    Cycle()
    speedups.freeze_heap()
    assert not any(type(o) is Cycle for o in gc.get_objects())
    assert gc.get_freeze_count() > 0
