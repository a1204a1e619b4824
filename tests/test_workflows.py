"""The workflows: valid, with actions, runners, options and units that exist, and artifacts that find each other."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import cli
from harness.evidence.unit import UnitSpec

FOLDER = Path(__file__).parents[1] / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
#: Actions by their newest major version looked at, all of GitHub's own.
ACTIONS = {
    "actions/checkout@v4",
    "actions/setup-python@v5",
    "actions/upload-artifact@v4",
    "actions/download-artifact@v4",
}
#: Labels of GitHub's own runners, and ours.
HOSTED = {"ubuntu-latest", "macos-14", "macos-15", "macos-26"}
SELF_HOSTED = ["self-hosted", "macOS", "ARM64", "ane"]


def workflow(path: Path) -> dict[str, Any]:
    """The file as GitHub reads it; YAML 1.1 takes the key `on` for a truth."""
    content = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in content.items()}


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def test_both_are_here() -> None:
    assert [path.name for path in FILES] == ["ci.yml", "mac.yml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_is_well_formed(path: Path) -> None:
    content = workflow(path)
    assert set(content) <= {"name", "on", "permissions", "concurrency", "jobs"}
    assert content["permissions"] == {"contents": "read"}
    for name, job in content["jobs"].items():
        known = {"if", "needs", "strategy", "runs-on", "timeout-minutes", "steps", "concurrency", "env"}
        assert set(job) <= known, name
        assert job["runs-on"] in [*HOSTED, SELF_HOSTED]
        assert job["timeout-minutes"] <= 600
        needed = job.get("needs", [])
        assert set(needed) <= set(content["jobs"]) - {name}
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert set(step) <= {"name", "uses", "with", "run", "if"}
            if "uses" in step:
                assert step["uses"] in ACTIONS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_is_filled_in_exists(path: Path) -> None:
    content = workflow(path)
    inputs = ((content["on"].get("workflow_dispatch") or {}) if isinstance(content["on"], dict) else {}).get(
        "inputs", {}
    )
    text = path.read_text()
    assert set(re.findall(r"inputs\.(\w+)", text)) == set(inputs)
    axes = {axis for job in content["jobs"].values() for axis in job.get("strategy", {}).get("matrix", {})}
    assert set(re.findall(r"matrix\.(\w+)", text)) == axes
    # What comes from outside reaches a shell as a variable, never as text of the command.
    for step in steps(path):
        assert set(re.findall(r"inputs\.(\w+)", step.get("run", ""))) <= {"level"}, "only a choice may be filled in"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_and_units_exist(path: Path, pytestconfig: pytest.Config) -> None:
    groups = pytestconfig._parser._groups + [pytestconfig._parser._anonymous]
    options = {name for group in groups for option in group.options for name in option.names()}
    for step in steps(path):
        for line in re.split(r"&&|\n", step.get("run", "")):
            words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "1", line))
            words = words[2:] if words[:1] == ["caffeinate"] else words
            if not words or words[0] in ("cp", "make"):
                continue
            program = Path(words[0]).name
            assert program in ("pytest", "coreml-harness"), line
            known = options if program == "pytest" else {o for p in cli.commands[words[1]].params for o in p.opts}
            assert {word for word in words if word.startswith("-")} <= known, line
            for flag, value in pairwise(words):
                if flag == "--unit":
                    UnitSpec.parse(value)


def test_shards_make_a_whole_and_are_all_merged() -> None:
    content = workflow(FOLDER / "mac.yml")
    shards = content["jobs"]["hosted"]["strategy"]["matrix"]["shard"]
    assert shards == list(range(1, len(shards) + 1))
    assert f"--shard ${{{{ matrix.shard }}}}/{len(shards)}" in (FOLDER / "mac.yml").read_text()
    uploaded = [
        step["with"]["name"]
        for name in ("hosted", "ane")
        for step in content["jobs"][name]["steps"]
        if step.get("uses", "").startswith("actions/upload-artifact")
    ]
    (download,) = [s for s in content["jobs"]["merge"]["steps"] if s.get("uses", "").startswith("actions/download")]
    pattern = download["with"]["pattern"].replace("*", ".*")
    assert uploaded
    assert all(re.fullmatch(pattern, name) for name in uploaded)
    assert content["jobs"]["merge"]["needs"] == ["hosted", "ane"]


def test_no_hosted_mac_is_asked_for_the_neural_engine() -> None:
    for path in FILES:
        for job in workflow(path)["jobs"].values():
            asked = re.findall(r"--unit (\S+)", " ".join(step.get("run", "") for step in job["steps"]))
            if job["runs-on"] != SELF_HOSTED:
                assert {"cpu_and_ne", "all"}.isdisjoint(asked)
            else:
                assert {"cpu_and_ne", "all"} <= set(asked)
