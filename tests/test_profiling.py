"""`--profile` on a small suite whose checks a fake handler answers, each with a quarter second of conversion."""

import json
import os
import re
import textwrap
from pathlib import Path

import pytest

from harness import flame, profiling
from harness.evidence.times import STAGES

pytest_plugins = ["pytester"]

TESTS = Path(__file__).resolve().parent
CONFTEST = """
    import functools
    import harness.isolation
    import harness.pytest_plugin as plugin

    plugin.IsolatedChecker = functools.partial(harness.isolation.IsolatedChecker, handler="fake_handler:make_checker")
"""
SUITE = """
    from harness.cases.case import Case
    from harness.evidence.vocabulary import Level

    def cases():
        return [
            Case(f"ops/aten.abs.default/pass/fake-{n}", "aten.abs.default", "abs", "pass", "fake", Level.SMOKE, None)
            for n in range(3)
        ]

    def test_operator(check):
        check()
"""


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (TESTS, TESTS.parent))))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    options = "-p xdist -p harness.pytest_plugin --import-mode=importlib -p no:cacheprovider"
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


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_table_adds_up_to_the_lives_of_the_processes(run, pytester, workers):
    result = run("--profile", *workers)
    result.assert_outcomes(passed=6)
    folder = pytester.path / "run"
    parts = [json.loads(path.read_text()) for path in folder.glob("profile-*.json")]
    assert len(parts) == (2 if workers else 1)
    for part in parts:
        assert sum(part["stages"].values()) >= part["seconds"] - 1e-6
        assert part["stages"]["import"] > 0
        assert part["stages"]["collect"] > 0
        assert part["stages"]["write"] > 0
    assert sum(part["stages"]["convert"] for part in parts) == pytest.approx(6 * 0.25)
    text = (folder / profiling.TABLE).read_text()
    assert text.strip() in "\n".join(line.rstrip() for line in result.outlines)
    rows = dict(re.findall(r"^\| (\w+) +\| +([0-9.]+) \|", text, re.MULTILINE))
    assert list(rows) == [*STAGES, "all"]
    assert rows["convert"] == "1.5"
    assert "over 6 checks" in text


def test_nothing_is_written_without_it(run, pytester):
    result = run()
    result.assert_outcomes(passed=6)
    assert not list((pytester.path / "run").glob("*profile*"))
    assert "where the time went" not in result.stdout.str()


def test_a_run_that_goes_on_tells_its_own_time(run, pytester):
    run("--profile", "-n", "2").assert_outcomes(passed=6)
    run("--profile").assert_outcomes(passed=6)
    (left,) = (pytester.path / "run").glob("profile-*.json")
    assert json.loads(left.read_text())["stages"]["convert"] == 0


def test_what_is_missing_for_a_flame_graph_is_said(tmp_path, monkeypatch):
    (tmp_path / "profile-main.json").write_text(json.dumps({"seconds": 2.0, "stages": {"judge": 2.0}}))
    monkeypatch.setattr(flame, "PROFILER", "no_such_profiler")
    assert "No flame graph: pip install no_such_profiler." in profiling.finish(tmp_path, 1)
    (tmp_path / "flame-12.html").write_text("")
    assert "flame-12.html" in profiling.finish(tmp_path, 1)
    profiling.begin(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert profiling.finish(tmp_path, 1) == ""


def test_of_no_check_there_is_no_mean():
    text = profiling.table([{"import": 1.5}], 0)
    assert re.search(r"\| import +\| +1\.5 \| +100\.0% \| +\|", text)
