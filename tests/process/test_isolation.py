import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cases.case import Case
from harness.evidence.check import Check
from harness.evidence.known_issues import KnownIssues
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import PRECISIONS, TARGETS
from harness.evidence.times import Stopwatch
from harness.evidence.vocabulary import HarnessError, Kind, Level, Outcome, Phase
from harness.process import child
from harness.process.isolation import MODEL_DEADLINE, PLANS_LOST, RENEW_BYTES, IsolatedChecker, Settings

TESTS = Path(__file__).resolve().parents[1]


def case(what, whole_model=False):
    """A case to which the fake handler does what its third part says."""
    return Case(
        id=f"ops/aten.{what}.default/{what}/0",
        kind=Kind.OPERATOR,
        op=f"aten.{what}.default",
        api=what,
        dtype=what,
        origin="test",
        level=Level.SMOKE,
        build=None,
        whole_model=whole_model,
    )


@pytest.fixture
def checker(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("FAKE_HANDLER_LOG", str(tmp_path / "log"))
    made = []

    def make(handler="make_checker", watch=None, **settings):
        made.append(IsolatedChecker(Settings("here", **settings), f"fake_handler:{handler}", watch=watch))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_record_comes_back_with_its_phases_told_ahead(checker):
    phases = []
    record = checker().check(Check.of(case("pass"), "fp16-ios18", "reference"), phases.append)
    assert record.check_id == "ops/aten.pass.default/pass/0@fp16-ios18@reference"
    assert (record.outcome, record.environment) == (Outcome.PASS, "here")
    assert phases == [Phase.EAGER, Phase.CONVERT]


@pytest.mark.parametrize("what", ["pass", "abort", "hang", "raise"])
def test_the_time_of_the_whole_check_is_kept_however_it_ends(checker, what):
    record = checker(deadline=1.0).check(Check.of(case(what), "fp16-ios18", "reference"))
    assert list(record.timing) == ["total"]
    assert 0 < record.timing["total"] < 60


@pytest.mark.parametrize(
    ("what", "how"), [("abort", "SIGABRT"), ("segfault", "SIGSEGV"), ("hard_exit", "exit code 4"), ("kill", "SIGKILL")]
)
def test_a_death_is_a_crash_at_its_phase_with_signal_and_stderr(checker, what, how):
    one = checker()
    record = one.check(Check.of(case(what), "fp16-ios18", "reference"))
    assert (record.outcome, record.phase) == (Outcome.CRASH, Phase.CONVERT)
    assert record.reason == f"{how} in phase convert"
    assert (record.error.type, record.error.message.splitlines()[0]) == (how, f"last words of {what}")
    assert (record.op, record.api, record.dtype, record.origin) == (f"aten.{what}.default", what, what, "test")
    assert record.environment == "here"
    assert one.check(Check.of(case("pass"), "fp16-ios18", "reference")).outcome is Outcome.PASS


def test_a_hang_is_a_timeout_at_its_phase(checker):
    one = checker(deadline=0.5)
    record = one.check(Check.of(case("hang"), "fp16-ios18", "reference"))
    assert (record.outcome, record.phase) == (Outcome.TIMEOUT, Phase.CONVERT)
    assert record.reason == "no answer within 0.5 s in phase convert"
    assert record.error.type == "Timeout"
    assert one.check(Check.of(case("pass"), "fp16-ios18", "reference")).outcome is Outcome.PASS


def test_equal_deaths_group_and_others_do_not(checker):
    one = checker()
    signatures = {w: one.check(Check.of(case(w), "fp16-ios18", "reference")).error.signature for w in ("abort", "kill")}
    again = one.check(Check.of(case("abort"), "fp32-ios18", "reference")).error.signature
    assert signatures["abort"] == again != signatures["kill"]


def test_a_bug_of_the_harness_is_red_and_no_verdict(checker):
    one = checker()
    record = one.check(Check.of(case("raise"), "fp16-ios18", "reference"))
    assert record.outcome is Outcome.NOT_RUN
    assert record.error.type == "HarnessFault"
    assert "RuntimeError: a bug of ours" in record.reason
    assert "in handle" in record.error.message
    assert KnownIssues([]).judge(record).verdict == "red"
    assert one.check(Check.of(case("pass"), "fp16-ios18", "reference")).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("handler", "says"), [("make_broken", "libtorch.so"), ("make_dying", "did not start: SIGABRT")]
)
def test_a_child_that_cannot_start_is_no_crash_of_the_backend(checker, handler, says):
    record = checker(handler).check(Check.of(case("pass"), "fp16-ios18", "reference"))
    assert (record.outcome, record.error.type) == (Outcome.NOT_RUN, "HarnessFault")
    assert says in record.reason


def test_a_refused_request_is_an_error_of_the_user(checker):
    with pytest.raises(HarnessError, match="no such thing: tea"):
        checker().check(Check.of(case("refuse"), "fp16-ios18", "reference"))


def test_whole_models_have_more_time(checker, monkeypatch):
    asked = []
    one = checker(deadline=1.0)
    monkeypatch.setattr(one._pool, "call", lambda _r, deadline, _m: asked.append(deadline) or {})
    for whole in (False, True):
        one.check(Check.of(case("pass", whole), "fp16-ios18", "reference"))
    assert asked == [1.0, MODEL_DEADLINE]


@pytest.mark.parametrize("answer", [{}, [], 5, {"schema": 1, "case": "x"}])
def test_an_answer_that_is_no_record_is_the_harness_own_fault(checker, monkeypatch, answer):
    one = checker()
    monkeypatch.setattr(one._pool, "call", lambda *_: answer)
    record = one.check(Check.of(case("pass"), "fp16-ios18", "reference"))
    assert (record.outcome, record.error.type) == (Outcome.NOT_RUN, "HarnessFault")
    assert "the harness itself failed: the child's answer: " in record.reason


def test_a_known_end_has_a_signature_of_its_own_and_says_it_first(checker):
    record = checker().check(Check.of(case("llvm"), "fp16-ios18", "cpu_and_gpu"))
    assert record.reason == "SIGABRT in phase convert"
    assert record.error.message.splitlines()[0] == "LLVM ERROR: Failed to infer result type(s)."
    assert record.error.signature == "SIGABRT in convert: LLVM ERROR: Failed to infer result type(s)."


def test_a_fault_without_words_has_the_python_frame_as_signature(checker):
    signature = checker().check(Check.of(case("segfault"), "fp16-ios18", "reference")).error.signature
    assert signature == "SIGSEGV in convert: string_at (__init__.py)"


@pytest.mark.parametrize("what", ["abort", "segfault", "hang", "kill"])
def test_nothing_of_the_machine_is_in_an_error(checker, what):
    error = checker(deadline=0.5).check(Check.of(case(what), "fp16-ios18", "reference")).error
    for text in (error.message, error.signature):
        assert not re.search(r"(?<![\w.])/\w+/|0x|" + str(TESTS), text), text
    assert not re.search(r"\d{2,}", error.signature)


def test_of_a_hang_the_message_has_the_stack_and_the_signature_not(checker):
    error = checker(deadline=0.5).check(Check.of(case("hang"), "fp16-ios18", "reference")).error
    assert "in handle (fake_handler.py:" in error.message
    assert error.signature == "Timeout in convert"


def test_killed_from_outside_is_told_and_for_want_of_memory_where_that_is_known(checker, monkeypatch):
    one = checker()
    silent = one.check(Check.of(case("silent_kill"), "fp16-ios18", "reference"))
    assert silent.reason == "SIGKILL in phase convert"
    assert "killed from outside without a word" in silent.error.message
    counts = iter([3, 4])
    monkeypatch.setattr(child, "memory_kills", lambda: next(counts))
    known = one.check(Check.of(case("silent_kill"), "fp16-ios18", "reference"))
    assert known.reason == "SIGKILL (out of memory) in phase convert"
    assert known.error.signature == "SIGKILL (out of memory) in convert"


# Compute plans.


@pytest.mark.parametrize(
    ("what", "note"),
    [
        ("abort", "asking for the compute plan ended the process (SIGABRT)"),
        ("segfault", "asking for the compute plan ended the process (SIGSEGV)"),
        ("hang", "asking for the compute plan gave no answer within 0.5 s"),
    ],
)
def test_a_plan_that_ends_the_process_or_hangs_leaves_the_placement_unknown(checker, tmp_path, what, note):
    """It says nothing about the program: the record has the outcome without it."""
    one = checker(deadline=2.0)
    phases = []
    record = one.check(Check.of(case(f"plan-{what}"), "fp16-ios18", "all"), phases.append)
    assert (record.outcome, record.phase, record.error) == (Outcome.PASS, Phase.VALUE, None)
    assert record.notes == [Note(NoteCode.PLACEMENT_UNKNOWN, f"placement unknown: {note}")]
    assert [str(phase) for phase in phases] == ["eager", "convert", "load", "plan", "eager", "convert", "load", "run"]
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_without_a_plan_a_program_that_crashes_still_crashes(checker):
    record = checker().check(Check.of(case("plan-abort-abort"), "fp16-ios18", "all"))
    assert (record.outcome, record.phase) == (Outcome.CRASH, Phase.RUN)
    (note,) = record.notes
    assert note.code is NoteCode.PLACEMENT_UNKNOWN
    assert str(note) == "placement unknown: asking for the compute plan ended the process (SIGABRT)"


@pytest.mark.parametrize(
    ("what", "unit", "stage"),
    [("plan-abort-abort", "all", "runtime"), ("abort", "all", ""), ("abort", "reference", "")],
)
def test_a_program_that_core_ml_does_not_survive_is_the_runtimes_fault(checker, what, unit, stage):
    record = checker().check(Check.of(case(what), "fp16-ios18", unit))
    assert (record.outcome, record.stage) == (Outcome.CRASH, stage)


def test_after_some_plans_lost_in_a_row_a_unit_is_asked_for_no_more(checker, tmp_path):
    one = checker()
    recipes = [f"{precision}-{target}" for precision in PRECISIONS for target in TARGETS][: PLANS_LOST + 2]
    lost = [one.check(Check.of(case("plan-abort"), recipe, "all")) for recipe in recipes]
    assert {record.outcome for record in lost} == {Outcome.PASS}
    assert [str(record.notes[0]) for record in lost[PLANS_LOST:]] == [
        f"placement unknown: {PLANS_LOST} compute plans in a row cost the process"
    ] * 2
    assert len((tmp_path / "log").read_text().splitlines()) == 2 * PLANS_LOST + 2
    # Other units are, and a plan that is had begins the count anew.
    for _ in range(2):
        for _ in range(PLANS_LOST - 1):
            (note,) = one.check(Check.of(case("plan-abort"), "fp16-ios18", "cpu_only")).notes
            assert "ended the process" in str(note)
        assert one.check(Check.of(case("plan-pass"), "fp16-ios18", "cpu_only")).notes == []


def test_one_child_serves_all_checks_until_it_dies(checker, tmp_path):
    one = checker()
    for what in ("pass", "partial", "abort", "pass", "pass"):
        one.check(Check.of(case(what), "fp16-ios18", "reference"))
    pids = [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()]
    assert pids[0] == pids[1] == pids[2] != pids[3] == pids[4]


def test_importing_it_loads_nothing_heavy():
    heavy = ("torch", "numpy", "executorch")
    script = f"import sys, harness.process.isolation; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_users_file_waits_for_nothing_that_only_suites_need():
    script = """
import sys
from harness.commands.answer import make_file_handler
make_file_handler()
names = "executorch.exir", "coremltools", "torch.testing._internal.common_methods_invocations"
print([name in sys.modules for name in names])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, True, False]"


def test_devices_are_asked_where_core_ml_predicts_and_a_refusal_is_no_answer(checker, monkeypatch):
    one = checker()
    monkeypatch.setattr("harness.units.host.coreml_unavailable", lambda unit, target: "only on macOS")
    assert one.devices() == []
    assert one._pool.started == 0
    monkeypatch.setattr("harness.units.host.coreml_unavailable", lambda unit, target: None)
    assert one.devices() == []  # this handler knows no such question
    assert one._pool.started == 1


def test_a_child_that_holds_much_is_replaced_between_cases(checker, monkeypatch):
    one = checker()
    held = {"bytes": 0}
    monkeypatch.setattr(one._pool, "memory", lambda: held["bytes"])

    def child_of(what, recipe):
        assert one.check(Check.of(case(what), recipe, "reference")).outcome is Outcome.PASS
        return one._pool.pids()[0]

    first = child_of("pass", "fp16-ios18")
    held["bytes"] = RENEW_BYTES + 1
    assert child_of("pass", "fp32-ios18") == first, "the checks of a case stay together"
    second = child_of("pass_again", "fp16-ios18")
    assert second != first
    held["bytes"] = RENEW_BYTES
    assert child_of("pass", "fp16-ios18") == second


# Where the time goes.


def test_what_is_told_of_the_time_is_exclusive(checker):
    """Planted: a child that looks for a program before it enters a phase, and is not waited for to get ready then."""
    watch = Stopwatch()
    one = checker(watch=watch)
    one.check(Check.of(case("pass"), "fp16-ios18", "reference"))
    assert list(watch.take()) == ["import", "convert"]
    began = time.perf_counter()
    one.check(Check.of(case("late"), "fp16-ios18", "reference"))
    told = watch.take()
    assert list(told) == ["cache"]
    assert sum(told.values()) <= time.perf_counter() - began
    assert watch.times == {"import": 1, "convert": 1, "cache": 1}
    assert one.checks == 2


def test_waiting_for_a_child_stops_the_clock_of_what_waits(checker, monkeypatch):
    monkeypatch.setenv("FAKE_HANDLER_START", "0.5")
    monkeypatch.setattr("harness.units.host.coreml_unavailable", lambda unit, target: None)
    watch = Stopwatch()
    one = checker("make_slowly", watch=watch)
    began = time.perf_counter()
    with watch.stage("collect"), pytest.raises(KeyError):  # this handler knows no such question
        one.devices()
    told = watch.take()
    assert told["import"] >= 0.5
    assert sum(told.values()) <= time.perf_counter() - began


@pytest.mark.parametrize("what", ["hang", "abort"])
def test_the_time_of_a_check_that_ends_its_child_is_that_of_its_phases(checker, what):
    watch = Stopwatch()
    # The fake child dies before it tells what it spent.
    checker(watch=watch, deadline=1.0).check(Check.of(case(what), "fp16-ios18", "reference"))
    assert list(watch.take()) == ["import", "eager", "convert"]


def test_nothing_is_asked_of_the_child_where_nobody_asks_where_the_time_goes(checker, monkeypatch):
    one = checker()
    asked = []
    monkeypatch.setattr(one._pool, "call", lambda request, *_: asked.append(request) or {})
    one.check(Check.of(case("pass"), "fp16-ios18", "reference"))
    one.close()
    ((times, flames),) = [(request["times"], request["flames"]) for request in asked]
    assert (times, flames) == (False, None)


def test_the_child_that_checked_leaves_a_flame_graph(checker, tmp_path):
    one = checker(flames=tmp_path)
    one.check(Check.of(case("pass"), "fp16-ios18", "reference"))
    (pid,) = one._pool.pids()[:1]
    one.close()
    assert [path.name for path in tmp_path.glob("flame-*")] == [f"flame-{pid}.html"]


def test_no_child_is_started_or_waited_for_to_ask_it_for_a_flame_graph_it_has_not(checker, tmp_path):
    one = checker(flames=tmp_path)
    one.check(Check.of(case("abort"), "fp16-ios18", "reference"))
    one.close()
    never = checker(flames=tmp_path)
    never.prepare()
    never.close()
    assert list(tmp_path.glob("flame-*")) == []
    assert never._pool.started == 1
