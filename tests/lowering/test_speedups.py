"""The speedups change nothing that is emitted, nor any error: the same programs lowered with and without, in a process
each, each recipe for itself and all sharing what they can, in one order and in another."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from coremltools.proto import Model_pb2

from harness.lowering import speedups

Files = dict[str, bytes]

#: Besides the operators of `programs_of.py`. More of them cost minutes: after an update of a package, or a new
#: speedup, `COREML_HARNESS_PROGRAMS=300` compares what every family has.
CASES = int(os.environ.get("COREML_HARNESS_PROGRAMS", "18"))

#: The package is named by a random identifier, and coremltools names the items of the manifest by random ones.
_IDENTIFIER = re.compile(rb"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_CONSTANT = re.compile(r"\bconst_\d+")


def lower_both(folder: Path) -> dict[str, dict[str, tuple[Files, str]]]:
    """`lowered[mode][name@recipe]`: the files of the delegates, and what else was found."""
    found = {}
    for mode in ("plain", "speedups"):
        out = folder / mode
        command = [sys.executable, str(Path(__file__).with_name("programs_of.py")), mode, str(out), str(CASES)]
        subprocess.run(command, check=True, capture_output=True, timeout=3600)
        found[mode] = {name: (dict(files), told) for name, (files, told) in pickle.loads(out.read_bytes()).items()}
    return found


def comparable(name: str, content: bytes) -> object:
    """What a file says, without the identifiers drawn at random.

    Which of two constants is `const_32` and which `const_34` hangs on the order of a set of objects in coremltools, and
    changes from run to run: in a model they are numbered as they appear, elsewhere they have no number.
    """
    if name.endswith("Manifest.json"):
        entries = json.loads(content)["itemInfoEntries"]
        return sorted(json.dumps(entry, sort_keys=True) for entry in entries.values())
    content = _IDENTIFIER.sub(b"-", content)
    if name.endswith(".mlmodel"):
        model = Model_pb2.Model()
        model.ParseFromString(content)
        # Maps have no order of their own; as text they are sorted.
        numbers: dict[str, str] = {}
        return _CONSTANT.sub(lambda found: numbers.setdefault(found[0], f"const_#{len(numbers)}"), str(model))
    if name.endswith(".json"):
        return sorted(_CONSTANT.sub("const_#", line) for line in json.dumps(json.loads(content), indent=0).splitlines())
    return content


def assert_the_same_programs(programs: dict[str, dict[str, Files]]) -> None:
    plain, quick = programs["plain"], programs["speedups"]
    assert len(plain) >= 50
    assert set(plain) == set(quick)
    for name in plain:
        assert list(plain[name]) == list(quick[name]), name
        kinds = {Path(file).name for file in plain[name]}
        assert {"model.mlmodel", "metadata.json"} <= kinds, name
        for file, content in plain[name].items():
            assert comparable(file, content) == comparable(file, quick[name][file]), (name, file)


def assert_the_same_is_told(lowered: dict[str, dict[str, tuple[Files, str]]]) -> None:
    """Steps outside of delegates, signatures, missing kernels; of what fails phase, outcome and error."""
    told = {
        mode: {name: _IDENTIFIER.sub(b"-", told.encode()) for name, (_, told) in lowered[mode].items()}
        for mode in lowered
    }
    assert told["plain"] == told["speedups"]
    assert any(b"CONVERT_ERROR" in text for text in told["plain"].values())
    assert any(b"UNSUPPORTED" in text for text in told["plain"].values())


def assert_some_have_weights_and_several_delegates(programs: dict[str, dict[str, Files]]) -> None:
    files = [name for delegates in programs["speedups"].values() for name in delegates]
    assert any(name.endswith("weight.bin") for name in files)
    assert any(name.startswith("1/") for name in files)


def assert_the_comparison_sees_a_difference(programs: dict[str, dict[str, Files]]) -> None:
    """Another recipe of the same operator is another program."""
    files = programs["plain"]
    first, second = files["gelu@fp32-ios18"], files["gelu@fp16-ios18"]
    model = next(name for name in first if name.endswith(".mlmodel"))
    assert comparable(model, first[model]) != comparable(model, second[model])


@pytest.mark.slow
def test_the_same_programs_are_emitted(tmp_path: Path) -> None:
    """Slow, because the side without the speedups is: half a second a program. One test, so that it is lowered once."""
    lowered = lower_both(tmp_path)
    programs = {mode: {name: files for name, (files, _) in found.items() if files} for mode, found in lowered.items()}
    assert_the_same_programs(programs)
    assert_the_same_is_told(lowered)
    assert_some_have_weights_and_several_delegates(programs)
    assert_the_comparison_sees_a_difference(programs)


def test_nothing_is_done_unless_enabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speedups, "_enabled", False)
    monkeypatch.setattr(speedups.heap, "freeze", lambda: pytest.fail("froze the heap"))
    for _ in range(3 * speedups.heap.FREEZE_EVERY):
        speedups.before_lowering()
