"""`--profile` on a small suite whose checks a fake handler answers, each with a moment of conversion."""

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness.evidence.times import STAGES
from harness.plugin import profiling
from harness.plugin.profiling import Profile
from harness.process import flame

pytest_plugins = ["pytester"]

TESTS = Path(__file__).resolve().parents[1]
CONFTEST = """
    import functools
    from harness.process.isolation import IsolatedChecker
    import harness.plugin.run as plugin

    plugin.IsolatedChecker = functools.partial(IsolatedChecker, handler="fake_handler:make_checker")
"""
SUITE = """
    from harness.cases.case import Case
    from harness.evidence.vocabulary import Kind, Level

    def cases():
        return [
            Case(id=f"ops/aten.abs.default/pass/fake-{n}", kind=Kind.OPERATOR, op="aten.abs.default", api="abs",
                 dtype="pass", origin="fake", level=Level.SMOKE, build=None)
            for n in range(3)
        ]

    def test_operator(check):
        check()
"""


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS, TESTS.parent))))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("FAKE_HANDLER_LOG", str(pytester.path / "run" / "log"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    options = "-p xdist -p harness.plugin.conformance --import-mode=importlib -p no:cacheprovider"
    for name, text in {
        "pytest.ini": f"[pytest]\naddopts = {options}",
        "conftest.py": CONFTEST,
        "suites/small/test_small.py": SUITE,
    }.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def go(*arguments):
        return pytester.runpytest_subprocess("suites", "--measure", "--run-dir", "run", *arguments)

    return go


def parts_of(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob(profiling.PARTS))]


@pytest.mark.parametrize(("workers", "processes"), [((), 1), (("-n", "2"), 2), (("-n", "4"), 4)])
def test_the_table_adds_up_to_the_lives_of_the_processes(run, pytester, workers, processes):
    """Of four workers one finds none of the three cases left: it is idle, and counts."""
    began = time.time()
    result = run("--profile", *workers)
    lasted = time.time() - began
    result.assert_outcomes(passed=6)
    folder = pytester.path / "run"
    parts = parts_of(folder)
    assert len(parts) == processes
    for part in parts:
        assert sum(part["stages"].values()) == pytest.approx(part["seconds"])
        assert 0 < part["seconds"] < lasted
        busy = ("convert", "write") if part["checks"] else ()
        assert all(part["stages"][stage] > 0 for stage in ("import", "collect", *busy))
    assert sum(part["checks"] for part in parts) == 6
    assert sum(part["times"].get("convert", 0) for part in parts) == 6
    text = (folder / profiling.TABLE).read_text()
    assert text.strip() in "\n".join(line.rstrip() for line in result.outlines)
    rows = dict(re.findall(r"^\| (\w+) +\| +([0-9.]+) \|", text, re.MULTILINE))
    assert list(rows) == [*STAGES, "all"]
    sums = json.loads((folder / profiling.SUMS).read_text())
    assert sums["seconds"] == pytest.approx(sum(part["seconds"] for part in parts))
    assert sum(row["seconds"] for row in sums["stages"].values()) == pytest.approx(sums["seconds"])
    assert (sums["processes"], sums["checks"], sums["stages"]["convert"]["times"]) == (processes, 6, 6)
    assert f"{rows['all']} s: {processes} process" in text
    assert "over 6 checks" in text


def test_nothing_is_written_without_it(run, pytester):
    result = run()
    result.assert_outcomes(passed=6)
    assert not list((pytester.path / "run").glob("*profile*"))
    assert "where the time went" not in result.stdout.str()


def test_a_run_that_goes_on_tells_its_own_time(run, pytester):
    run("--profile", "-n", "2").assert_outcomes(passed=6)
    result = run("--profile")
    result.assert_outcomes(passed=6)
    (left,) = parts_of(pytester.path / "run")
    assert (left["stages"]["convert"], left["checks"]) == (0, 0)
    result.stdout.fnmatch_lines(["*over 0 checks.*"])


def test_without_flames_no_child_is_asked_for_one(run, pytester):
    run("--profile").assert_outcomes(passed=6)
    assert len(list((pytester.path / "run").glob(profiling.FLAMES))) == 1
    result = run("--profile", "--no-flame", "--run-dir", "other")
    assert (pytester.path / "other" / profiling.TABLE).exists()
    assert not list((pytester.path / "other").glob(profiling.FLAMES))
    result.stdout.fnmatch_lines(["*over 6 checks.*"])
    assert "o flame graph" not in result.stdout.str()
    assert "Flame graphs of" not in result.stdout.str()


def test_what_cannot_be_written_is_said_and_raises_nothing(tmp_path, capsys):
    (tmp_path / "profile-main.json").mkdir()
    Profile(tmp_path, "main", shows=True).close(0)
    assert "profile-main.json: cannot write: Is a directory" in capsys.readouterr().err
    (tmp_path / "profile-main.json").rmdir()
    (tmp_path / "profile-main.json").write_text(part(judge=2.0))
    (tmp_path / profiling.TABLE).mkdir()
    assert "profile.md: cannot write: Is a directory" in profiling.finish(tmp_path).splitlines()[-1]


def test_what_cannot_be_removed_is_refused_before_anything_runs(run, pytester):
    (pytester.path / "run" / profiling.TABLE).mkdir(parents=True)
    result = run("--profile")
    assert result.ret == 2
    (line,) = result.errlines
    assert "profile.md: cannot remove it: Is a directory" in line


def part(**stages):
    seconds = sum(stages.values())
    return json.dumps({"seconds": seconds, "checks": 1, "stages": stages, "times": dict.fromkeys(stages, 1)})


def test_what_is_missing_for_a_flame_graph_is_said(tmp_path, monkeypatch):
    (tmp_path / "profile-main.json").write_text(part(judge=2.0))
    monkeypatch.setattr(flame, "PROFILER", "no_such_profiler")
    assert "No flame graph: pip install no_such_profiler." in profiling.finish(tmp_path)
    assert "flame graph" not in profiling.finish(tmp_path, flames=False).splitlines()[-1]
    (tmp_path / "flame-12.html").write_text("")
    assert "flame-12.html" in profiling.finish(tmp_path)
    profiling.begin(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert profiling.finish(tmp_path) == ""


def test_of_no_check_there_is_no_mean():
    text = profiling.table({"import": 1.5, "idle": 0.5}, {"import": 2}, 0)
    assert re.search(r"\| import +\| +1\.5 \| +75\.0% \| +\| +2 \|", text)
    assert re.search(r"\| idle +\| +0\.5 \| +25\.0% \| +\| +\|", text)


def test_the_age_of_a_process_is_no_more_than_the_time_since_it_was_asked_for():
    """Not by a boot time in whole seconds, which makes it up to a second more."""
    script = "import sys, harness.plugin.profiling as p; print(p.age())"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=TESTS.parent)
    lasted = time.monotonic() - began
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert 0 < float(done.stdout) <= lasted + tick
