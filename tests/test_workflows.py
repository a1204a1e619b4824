"""The workflows: valid, with actions, runners, options and units that exist, and artifacts that find each other."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import cli
from harness.evidence.unit import UnitSpec

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
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
    assert [path.name for path in FILES] == ["ci.yml", "matrix.yml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_is_well_formed(path: Path) -> None:
    content = workflow(path)
    assert set(content) <= {"name", "on", "permissions", "concurrency", "jobs"}
    assert content["permissions"] == {"contents": "read"}
    for name, job in content["jobs"].items():
        known = {"if", "needs", "strategy", "runs-on", "timeout-minutes", "steps", "concurrency", "env", "permissions"}
        assert set(job) <= known, name
        assert ("permissions" in job) is (name == "propose"), "one job alone may write, and measures nothing"
        assert job["runs-on"] in [*HOSTED, SELF_HOSTED]
        assert job["timeout-minutes"] <= 600
        needed = job.get("needs", [])
        assert set(needed) <= set(content["jobs"]) - {name}
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert set(step) <= {"name", "uses", "with", "run", "if"}
            if "uses" in step:
                assert step["uses"] in ACTIONS
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


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
    for job in content["jobs"].values():
        assert set(re.findall(r"needs\.(\w+)", str(job))) <= set(job.get("needs", []))
        # What comes from outside reaches a shell as a variable, never as text of the command.
        variables = {*content.get("env", {}), *job.get("env", {})}
        for step in job["steps"]:
            command = step.get("run", "")
            assert set(re.findall(r"\$\{\{ *([\w.]+) *\}\}", command)) <= {"matrix.shard"}
            named = set(re.findall(r"\$\{?([A-Z_]+)", command))
            assert named <= variables | {"GITHUB_STEP_SUMMARY", "GITHUB_RUN_ID"}
            assert set(re.findall(r"env\.(\w+)", str(step.get("if", "")))) <= variables


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_and_units_exist(path: Path, pytestconfig: pytest.Config) -> None:
    groups = pytestconfig._parser._groups + [pytestconfig._parser._anonymous]
    options = {name for group in groups for option in group.options for name in option.names()}
    for step in steps(path):
        for line in re.split(r"&&|\n", step.get("run", "")):
            text = re.sub(r"\$\{\w+:\+(.*?)\}", r"\1", re.sub(r"\$\{\{.*?\}\}", "1", line))
            words = shlex.split(text)
            words = words[2:] if words[:1] == ["caffeinate"] else words
            if not words or words[0] in ("git", "gh", "make"):
                continue
            program = Path(words[0]).name
            assert program in ("pytest", "coreml-harness"), line
            known = options if program == "pytest" else {o for p in cli.commands[words[1]].params for o in p.opts}
            assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, line
            for flag, value in pairwise(words):
                if flag == "--unit":
                    UnitSpec.parse(value)


MEASURING = ("linux", "hosted", "ane")


def matrix_job(name: str) -> dict[str, Any]:
    return workflow(FOLDER / "matrix.yml")["jobs"][name]


@pytest.mark.parametrize("name", ["linux", "hosted"])
def test_shards_make_a_whole(name: str) -> None:
    job = matrix_job(name)
    shards = job["strategy"]["matrix"]["shard"]
    assert shards == list(range(1, len(shards) + 1))
    assert f"--shard ${{{{ matrix.shard }}}}/{len(shards)} " in " ".join(step.get("run", "") for step in job["steps"])


def uploads(job: dict[str, Any]) -> list[dict[str, Any]]:
    return [step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/upload-artifact")]


def download(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = (step["with"] for step in job["steps"] if step.get("uses", "").startswith("actions/download-artifact"))
    return found


def test_all_that_is_measured_is_merged_with_its_reports() -> None:
    pattern = download(matrix_job("merge"))["pattern"].replace("*", ".*")
    for name in MEASURING:
        (uploaded,) = uploads(job := matrix_job(name))
        assert re.fullmatch(pattern, uploaded["name"])
        assert uploaded["path"] == job["env"]["RUN"]
        (run,) = (step["run"] for step in job["steps"] if "pytest" in step.get("run", ""))
        for option in ('--run-dir "$RUN"', '--junitxml "$RUN/junit.xml"', '--summary "$GITHUB_STEP_SUMMARY"'):
            assert option in run
    assert matrix_job("merge")["needs"] == [*MEASURING]


def test_the_gate_is_told_in_every_form_and_its_failure_is_the_jobs() -> None:
    job = matrix_job("merge")
    gates = [step for step in job["steps"] if " gate " in step.get("run", "")]
    assert [re.findall(r"--format (\w+) >+ (.*)", step["run"])[0] for step in gates] == [
        ("markdown", '"$GITHUB_STEP_SUMMARY"'),
        ("junit", "gate.xml"),
        ("json", "gate.json"),
    ]
    assert not [step for step in job["steps"] if "continue-on-error" in step or "|| true" in step.get("run", "")]
    (uploaded,) = uploads(job)
    assert uploaded["path"].split() == ["candidate.jsonl", "gate.xml", "gate.json", "index.html"]


def test_only_a_whole_that_passed_is_proposed() -> None:
    job = matrix_job("propose")
    assert job["needs"] == [*MEASURING, "merge"]
    for part in ("!failure()", "!cancelled()", "inputs.propose", "inputs.level != 'smoke'"):
        assert part in job["if"]
    assert download(job)["name"] == uploads(matrix_job("merge"))[0]["name"]
    assert job["permissions"] == {"contents": "write", "pull-requests": "write"}


@pytest.mark.parametrize(
    ("linter", "before", "after", "says"),
    [
        ("check-jsonschema", "runs-on: ubuntu-latest", "runs_on: ubuntu-latest", "runs_on"),
        ("check-jsonschema", "timeout-minutes: 60", "timeout-minutes: soon", "soon"),
        ("zizmor", 'SUMMARY="$GITHUB_STEP_SUMMARY"', "REF=${{ github.head_ref }}", "template-injection"),
        ("zizmor", "actions/setup-python@v5", "someone/setup-python@v5", "unpinned-uses"),
        ("zizmor", "persist-credentials: false", "fetch-depth: 1", "artipacked"),
    ],
)
def test_the_linters_of_make_lint_see_a_planted_fault(
    tmp_path: Path, linter: str, before: str, after: str, says: str
) -> None:
    (line,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if f"$(BIN)/{linter} " in line)
    _, *options = shlex.split(line.replace("$(WORKFLOWS)", ""))
    program = shutil.which(linter, path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    if program is None:
        pytest.skip(f"{linter} is not installed: an environment from before it was asked for")
    text = (FOLDER / "ci.yml").read_text()
    assert before in text
    for content, code in ((text, False), (text.replace(before, after), True)):
        path = tmp_path / ".github" / "workflows" / "ci.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        done = subprocess.run([program, *options, path], cwd=ROOT, capture_output=True, text=True, check=False)
        assert bool(done.returncode) is code, done.stdout + done.stderr
    assert says in done.stdout + done.stderr


def test_no_hosted_mac_is_asked_for_the_neural_engine() -> None:
    for path in FILES:
        for job in workflow(path)["jobs"].values():
            asked = re.findall(r"--unit (\S+)", " ".join(step.get("run", "") for step in job["steps"]))
            if job["runs-on"] != SELF_HOSTED:
                assert {"cpu_and_ne", "all"}.isdisjoint(asked)
            else:
                assert {"cpu_and_ne", "all"} <= set(asked)
