"""The path a Mac takes, `pytest suites` with workers and their children, on the simulated Core ML host: what is found
there on Core ML's units is what the reference finds, it is labelled, and no page takes it for evidence of hardware."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "simulated"))
from compare import compare, unlabelled
from left_behind import left_behind
from once import suites_once
from run import environment

from harness.evidence.files import read_evidence
from harness.evidence.journal import read_run_or_file
from harness.evidence.vocabulary import HARDWARE_UNITS, Kind, Outcome
from harness.publish.model import build_matrix

#: One worker waits for what these tests share; the others go on.
pytestmark = pytest.mark.xdist_group("suites")
#: Operators whose smoke cases end in every way a case can end on Linux.
OPERATORS = [
    *("add.Tensor", "gelu.default", "conv2d.default", "layer_norm.default", "logical_not.default", "max.dim"),
    *("matmul.default", "isclose.default", "acosh.default", "addmv.default", "broadcast_tensors.default"),
    *("normal_.default", "soft_margin_loss.default", "_upsample_bilinear2d_aa.vec", "diagonal_copy.default"),
]
OUTCOMES = {
    *(Outcome.PASS, Outcome.PARTIAL, Outcome.FALLBACK, Outcome.UNSUPPORTED, Outcome.CONVERT_ERROR, Outcome.EMIT_ERROR),
    *(Outcome.INVALID_CASE, Outcome.OUT_OF_RANGE, Outcome.WRONG_VALUE),
}
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    options = ["suites", "--level=smoke", "--recipe=fp16-ios18", "-n", "2", *(f"--op=aten.{op}" for op in OPERATORS)]
    done = suites_once(tmp_path_factory, "suites", options)
    return {"done": done, "evidence": read_run_or_file(done.folder / "run")}


@pytest.mark.slow
def test_the_known_issues_explain_every_unit(run) -> None:
    assert run["done"].returncode == 0, run["done"].said


@pytest.mark.slow
def test_every_unit_finds_what_the_reference_finds(run) -> None:
    records = run["evidence"].records
    result = compare(records)
    assert not result.differences, result.text()
    assert result.pairs == 4 * len([r for r in records if r.unit == "reference"]) >= 4 * 20
    assert {r.outcome for r in records} >= OUTCOMES
    assert result.placed > 4 * 5
    assert result.unplaced == 0


@pytest.mark.slow
def test_it_is_labelled_with_the_mac_that_was_played(run) -> None:
    evidence = run["evidence"]
    assert unlabelled(evidence) == []
    ((name, block),) = evidence.environments.items()
    assert name.endswith("-macos15.5-simulated")
    assert block["simulated"] is True
    assert block["simulated_macos"] == "15.5"
    assert block["devices"] == ["cpu", "gpu", "ane"]
    assert {record.environment for record in evidence.records} == {name}


@pytest.mark.slow
def test_no_page_takes_it_for_hardware(run, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    options = ["--reports", str(reports)]
    for command in (["merge", str(run["done"].folder / "run"), *options], ["docs", *options]):
        done = subprocess.run([sys.executable, "-m", "harness", *command], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    (merged,) = (reports / "evidence").glob("*.jsonl")
    matrix = build_matrix(read_evidence(merged))
    assert matrix.columns == []
    # Trials of the partitioner are on a page of their own, and counted nowhere else.
    assert matrix.ignored == len([r for r in run["evidence"].records if r.kind is not Kind.PARTITIONER]) > 0
    assert matrix.shown == []
    assert matrix.unmeasured_units == list(HARDWARE_UNITS)
    assert (reports / "op-support.csv").read_text().count("\n") == 1  # its head


@pytest.mark.slow
def test_nothing_is_left_behind(run) -> None:
    assert run["done"].left == []


@pytest.mark.slow
def test_a_users_own_file_is_checked_on_a_virtual_mac(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\ndef gelu(): return torch.nn.GELU(), (torch.linspace(-2, 2, 12),)\n"
    )
    command = [sys.executable, "-m", "harness", "check", "mine.py", "--target", "iOS17", "--precision", "fp16"]
    played = {**os.environ, **environment(macos="14.4", devices="cpu,gpu"), "TMPDIR": str(tmp_path)}
    done = subprocess.run([*command, "--json", "found"], cwd=tmp_path, env=played, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    evidence = read_evidence(tmp_path / "found")
    ((name, block),) = evidence.environments.items()
    assert name.endswith("-macos14.4-simulated")
    assert block["devices"] == ["cpu", "gpu"]
    outcomes = {record.unit: record.outcome for record in evidence.records}
    passing = dict.fromkeys(("reference", "cpu_only", "cpu_and_gpu", "all"), Outcome.PASS)
    assert outcomes == {**passing, "cpu_and_ne": Outcome.NOT_RUN}
    (refused,) = (record.reason for record in evidence.records if record.unit == "cpu_and_ne")
    assert refused == "Core ML offers no Neural Engine on this machine (cpu, gpu only): cpu_and_ne would be the CPU"
    devices = {d for r in evidence.records for entry in r.placement.values() for d in entry["supported"]}
    assert devices == {"cpu", "gpu"}
    assert left_behind(tmp_path) == []
