"""The exploring plugin on a suite of its own; the checks are answered by a fake handler in which `alpha` is dropped."""

import os
import textwrap
from pathlib import Path

import pytest

from harness.evidence.journal import read_run
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.vocabulary import HarnessError, Outcome, Phase
from harness.plugin.explore import is_new, parse_seed, refused

pytest_plugins = ["pytester"]

TESTS = Path(__file__).resolve().parents[1]
CONFTEST = """
    import functools
    from harness.process.isolation import IsolatedChecker
    import harness.plugin.run as plugin

    plugin.IsolatedChecker = functools.partial(IsolatedChecker, handler="fake_handler:make_explored")
"""
SUITE = """
    def test_explored(explore):
        explore()
"""
CAUSE = """
    - cause: alpha-dropped
      title: alpha is dropped
      stage: converter
      sees: a wrong sum
      explanation: it is not read
      source: ops.py add
      script: own
      matches:
      - {outcome: wrong_value, op: 'aten.add.*'}
"""
SMALLEST = "explore/aten.add.Tensor(float32(3, 5), float32(3, 5), alpha="


class Suite:
    def __init__(self, pytester, monkeypatch):
        self.pytester, self.path = pytester, pytester.path
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (self.path, TESTS, TESTS.parent))))
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        plugins = "-p xdist -p _hypothesis_pytestplugin -p harness.plugin.conformance -p harness.plugin.explore"
        self.write("pytest.ini", f"[pytest]\naddopts = {plugins} --import-mode=importlib -p no:cacheprovider")
        self.write("conftest.py", CONFTEST)
        self.write("suites/fake/test_explore.py", SUITE)

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def run(self, *options, op="aten.add.Tensor", run_dir="run"):
        chosen = ("--op", op, "--recipe", "fp16-ios18", "--unit", "reference", "--run-dir", run_dir)
        return self.pytester.runpytest_subprocess("suites", *chosen, *options, timeout=120)


@pytest.fixture
def suite(pytester, monkeypatch):
    return Suite(pytester, monkeypatch)


def test_what_is_found_is_shrunk_named_recorded_and_drawn_again_by_the_seed(suite):
    result = suite.run("--explore", "40", "--hypothesis-seed", "7")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "exploring: 40 calls an operator, --hypothesis-seed=7 draws them again",
            f"{SMALLEST}*)@fp16-ios18@reference",
            "new: wrong_value in value",
            f"smallest call found with --hypothesis-seed=7; coreml-harness repro '{SMALLEST}*",
        ]
    )
    (record,) = read_run(suite.path / "run").records.values()
    assert record.case.startswith(SMALLEST)
    again = suite.run("--explore", "40", "--hypothesis-seed", "7", "-n", "2", run_dir="again")
    again.assert_outcomes(failed=1)
    assert "checks collected" not in again.stdout.str()
    assert list(read_run(suite.path / "again").records) == [record.check_id]


def test_what_is_found_fails_no_run_that_measures(suite):
    suite.run("--explore", "40", "--hypothesis-seed", "7", "--measure").assert_outcomes(passed=1)
    assert len(read_run(suite.path / "run").records) == 1


def test_a_described_cause_is_no_new_finding(suite):
    suite.write("suites/known_issues/causes/converter.yaml", CAUSE)
    suite.run("--explore", "40", "--hypothesis-seed", "7").assert_outcomes(passed=1)


def test_what_eager_refuses_is_no_finding(suite):
    suite.run("--explore", "5", op="aten.gelu.default").assert_outcomes(passed=1)


def test_nothing_is_explored_below_full_unless_asked(suite):
    result = suite.run("--level", "standard")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "exploring" not in result.stdout.str()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--explore", "many"), "--explore many: expected a number of calls"),
        (("--explore", "2", "--hypothesis-seed", "x"), "--hypothesis-seed"),
    ],
)
def test_bad_input_is_exit_code_2(suite, options, says):
    result = suite.run(*options)
    assert result.ret not in (0, 1)
    assert says in result.stderr.str()


def test_a_seed_is_a_whole_number_or_drawn():
    assert parse_seed("12") == 12
    assert parse_seed(None) != parse_seed(None)
    with pytest.raises(HarnessError, match="--hypothesis-seed x"):
        parse_seed("x")


def record(outcome, phase=Phase.VALUE, **more):
    return Record("explore/aten.x.y()", "fp16-ios18", "reference", outcome, phase, **more)


def test_what_counts_as_refused_by_eager():
    assert refused(record(Outcome.INVALID_CASE, Phase.EAGER))
    assert refused(record(Outcome.CRASH, Phase.EAGER))
    assert not refused(record(Outcome.CRASH, Phase.CONVERT))


def test_what_counts_as_new():
    assert is_new(record(Outcome.CONVERT_ERROR, Phase.CONVERT))
    assert not is_new(record(Outcome.CONVERT_ERROR, Phase.CONVERT, cause="known"))
    assert not is_new(record(Outcome.PARTIAL))
    assert not is_new(record(Outcome.NOT_RUN, Phase.RUN, reason="no Mac"))
    assert is_new(record(Outcome.NOT_RUN, Phase.RUN, error=ErrorInfo("HarnessFault", "a bug", "a bug")))
