"""A storm of crashes and hangs through the real door: every check has its record, and nothing is left behind.

The handler is a light one, so that what is exercised is the isolation and not the measured packages.
"""

import collections
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness.cases.case import Case
from harness.evidence.check import Check
from harness.evidence.journal import read_run
from harness.evidence.vocabulary import Kind, Level, Outcome, Phase
from harness.process.isolation import IsolatedChecker, Settings

TESTS = Path(__file__).resolve().parent
CHECKS = 200
DEADLINE = 1.0
#: In turn.
CRASHES = ("abort", "segfault", "llvm", "hard_exit")
#: What is left behind is found by this variable, which every process below a test inherits.
MARK = "STORM_OF_A_TEST"

CONFTEST = """
    import functools
    import harness.cases.find
    from harness.process.isolation import IsolatedChecker
    import harness.plugin.run as plugin
    import storm_cases

    plugin.IsolatedChecker = functools.partial(IsolatedChecker, handler="fake_handler:make_checker")
    harness.cases.find.SUITES.clear()
    harness.cases.find.SUITES["ops"] = lambda _level: storm_cases.cases()
"""
CASES = """
    from harness.cases.case import Case
    from harness.evidence.vocabulary import Kind, Level

    def cases():
        return [
            Case(id=f"ops/{{op}}/{{what}}/0", kind=Kind.OPERATOR, op=op, api=what, dtype=what, origin="fake",
                 level=Level.SMOKE, build=None)
            for op, what in ((f"aten.n{{n}}.default", what) for n, what in enumerate({storm!r}))
        ]
"""
SUITE = """
    import storm_cases

    def cases():
        return storm_cases.cases()

    def test_operator(check):
        check()
"""


def happening(number):
    """A crash in every tenth check, a hang in every fiftieth."""
    if number % 50 == 24:
        return "hang"
    return CRASHES[number // 10 % len(CRASHES)] if number % 10 == 9 else "pass"


STORM = [happening(number) for number in range(CHECKS)]
EXPECTED = {Outcome.PASS: 176, Outcome.CRASH: 20, Outcome.TIMEOUT: 4}


@pytest.fixture
def marked(monkeypatch, tmp_path):
    """The processes below this test that still live."""
    mark = f"{MARK}={tmp_path}"
    monkeypatch.setenv(MARK, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (tmp_path, TESTS, TESTS.parent))))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "temporary").mkdir()

    def living():
        if Path("/proc/self/environ").exists():
            found = set()
            for entry in Path("/proc").glob("[0-9]*"):
                try:
                    if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                        found.add(int(entry.name))
                except OSError:
                    continue
        else:  # macOS: -E shows the environment
            done = subprocess.run(["ps", "-axEww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
            found = {int(line.split()[0]) for line in done.stdout.splitlines() if mark in line.split()}
        return found - {os.getpid()}

    def none_left(seconds):
        until = time.monotonic() + seconds
        while living() and time.monotonic() < until:
            time.sleep(0.1)
        return not living() and not list((tmp_path / "temporary").glob("coreml-harness-*"))

    living.none_left = none_left
    return living


def test_two_hundred_checks_through_the_checker(marked):
    checker = IsolatedChecker(Settings("here", deadline=DEADLINE), "fake_handler:make_checker")
    began = time.monotonic()
    records = []
    try:
        for number, what in enumerate(STORM):
            op = f"aten.n{number}.default"
            case = Case(
                id=f"ops/{op}/{what}/0",
                kind=Kind.OPERATOR,
                op=op,
                api=what,
                dtype=what,
                origin="test",
                level=Level.SMOKE,
                build=None,
            )
            records.append(checker.check(Check.of(case, "fp16-ios18", "reference")))
        assert marked()  # they are found while they live
    finally:
        checker.close()
    assert time.monotonic() - began < CHECKS * DEADLINE
    assert collections.Counter(record.outcome for record in records) == EXPECTED
    reasons = collections.Counter(record.reason for record in records if record.reason)
    assert reasons == {
        "SIGABRT in phase convert": 10,
        "SIGSEGV in phase convert": 5,
        "exit code 4 in phase convert": 5,
        "no answer within 1 s in phase convert": 4,
    }
    assert len({record.error.signature for record in records if record.error}) == 5
    assert marked.none_left(0)


def write_suite(folder):
    for name, text in {
        "pytest.ini": "[pytest]\naddopts = -p xdist -p harness.plugin.conformance --import-mode=importlib",
        "conftest.py": CONFTEST,
        "storm_cases.py": CASES.format(storm=STORM),
        "suites/fake/test_fake.py": SUITE,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def command(*options):
    chosen = ("--unit", "reference", "--recipe", "fp16-ios18", "--deadline", f"{DEADLINE}", "--run-dir", "run")
    return [sys.executable, "-m", "pytest", "suites", "--measure", "-q", *chosen, *options]


def test_two_hundred_checks_through_pytest_and_its_journal(marked, tmp_path):
    write_suite(tmp_path)
    began = time.monotonic()
    done = subprocess.run(command("-n", "2"), cwd=tmp_path, capture_output=True, text=True, timeout=CHECKS * DEADLINE)
    assert time.monotonic() - began < CHECKS * DEADLINE
    assert done.returncode == 0, done.stdout[-2000:]
    assert f"checks collected: {CHECKS}, records written: {CHECKS}" in done.stdout
    state = read_run(tmp_path / "run")
    assert collections.Counter(record.outcome for record in state.records.values()) == EXPECTED
    assert {record.phase for record in state.records.values()} == {Phase.CONVERT, Phase.VALUE}
    assert state.in_flight == {}
    assert marked.none_left(0)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_storm_that_is_ended_leaves_nothing_behind(marked, tmp_path, how):
    """SIGINT as a terminal sends it, to the group; the others to the one process a user sees."""
    write_suite(tmp_path)
    with subprocess.Popen(
        command("-n", "2"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as run:
        until = time.monotonic() + 60
        while time.monotonic() < until and sum(len(p.read_bytes()) for p in tmp_path.glob("run/journal-*")) < 4000:
            time.sleep(0.05)
        assert run.poll() is None
        assert len(marked()) > 4
        (os.killpg if how == signal.SIGINT else os.kill)(run.pid, how)
        run.wait(60)
    assert marked.none_left(20)
