import subprocess
import sys
from pathlib import Path

import pytest

from harness.cases.case import Case
from harness.evidence.known_issues import KnownIssues
from harness.evidence.vocabulary import HarnessError, Level, Outcome, Phase
from harness.isolation import MODEL_DEADLINE, IsolatedChecker, Settings

TESTS = Path(__file__).resolve().parent


def case(what, whole_model=False):
    """A case to which the fake handler does what its third part says."""
    return Case(
        f"ops/aten.{what}.default/{what}/0", f"aten.{what}.default", what, what, "test", Level.SMOKE, None, whole_model
    )


@pytest.fixture
def checker(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("FAKE_HANDLER_LOG", str(tmp_path / "log"))
    made = []

    def make(handler="make_checker", **settings):
        made.append(IsolatedChecker(Settings("here", **settings), f"fake_handler:{handler}"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_record_comes_back_with_its_phases_told_ahead(checker):
    phases = []
    record = checker().check(case("pass"), "fp16-ios18", "reference", phases.append)
    assert record.check_id == "ops/aten.pass.default/pass/0@fp16-ios18@reference"
    assert (record.outcome, record.environment) == (Outcome.PASS, "here")
    assert phases == [Phase.EAGER, Phase.CONVERT]


@pytest.mark.parametrize(
    ("what", "how"), [("abort", "SIGABRT"), ("segfault", "SIGSEGV"), ("hard_exit", "exit code 4"), ("kill", "SIGKILL")]
)
def test_a_death_is_a_crash_at_its_phase_with_signal_and_stderr(checker, what, how):
    one = checker()
    record = one.check(case(what), "fp16-ios18", "reference")
    assert (record.outcome, record.phase) == (Outcome.CRASH, Phase.CONVERT)
    assert record.reason == f"{how} in phase convert"
    assert (record.error.type, record.error.message) == (how, f"last words of {what}")
    assert (record.op, record.api, record.dtype, record.origin) == (f"aten.{what}.default", what, what, "test")
    assert record.environment == "here"
    assert one.check(case("pass"), "fp16-ios18", "reference").outcome is Outcome.PASS


def test_a_hang_is_a_timeout_at_its_phase(checker):
    one = checker(deadline=0.5)
    record = one.check(case("hang"), "fp16-ios18", "reference")
    assert (record.outcome, record.phase) == (Outcome.TIMEOUT, Phase.CONVERT)
    assert record.reason == "no answer within 0.5 s in phase convert"
    assert record.error.type == "Timeout"
    assert one.check(case("pass"), "fp16-ios18", "reference").outcome is Outcome.PASS


def test_equal_deaths_group_and_others_do_not(checker):
    one = checker()
    signatures = {w: one.check(case(w), "fp16-ios18", "reference").error.signature for w in ("abort", "kill")}
    again = one.check(case("abort"), "fp32-ios18", "reference").error.signature
    assert signatures["abort"] == again != signatures["kill"]


def test_a_bug_of_the_harness_is_red_and_no_verdict(checker):
    one = checker()
    record = one.check(case("raise"), "fp16-ios18", "reference")
    assert record.outcome is Outcome.NOT_RUN
    assert record.error.type == "HarnessFault"
    assert "RuntimeError: a bug of ours" in record.reason
    assert "in handle" in record.error.message
    assert KnownIssues([]).judge(record).verdict == "red"
    assert one.check(case("pass"), "fp16-ios18", "reference").outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("handler", "says"), [("make_broken", "libtorch.so"), ("make_dying", "did not start: SIGABRT")]
)
def test_a_child_that_cannot_start_is_no_crash_of_the_backend(checker, handler, says):
    record = checker(handler).check(case("pass"), "fp16-ios18", "reference")
    assert (record.outcome, record.error.type) == (Outcome.NOT_RUN, "HarnessFault")
    assert says in record.reason


def test_a_refused_request_is_an_error_of_the_user(checker):
    with pytest.raises(HarnessError, match="no such thing: tea"):
        checker().check(case("refuse"), "fp16-ios18", "reference")


def test_whole_models_have_more_time(checker, monkeypatch):
    asked = []
    one = checker(deadline=1.0)
    monkeypatch.setattr(one._child, "call", lambda _r, deadline, _m: asked.append(deadline) or {})
    for whole in (False, True):
        with pytest.raises(HarnessError):  # the answer is no record
            one.check(case("pass", whole), "fp16-ios18", "reference")
    assert asked == [1.0, MODEL_DEADLINE]


def test_one_child_serves_all_checks_until_it_dies(checker, tmp_path):
    one = checker()
    for what in ("pass", "partial", "abort", "pass", "pass"):
        one.check(case(what), "fp16-ios18", "reference")
    pids = [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()]
    assert pids[0] == pids[1] == pids[2] != pids[3] == pids[4]


def test_importing_it_loads_nothing_heavy():
    script = "import sys, harness.isolation; print([m for m in ('torch', 'numpy', 'executorch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
