import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness.units.child import (
    STDERR_CHARACTERS,
    STDERR_LINES,
    Child,
    ChildDied,
    ChildRaised,
    ChildRefused,
    ChildTimedOut,
)

TESTS = Path(__file__).resolve().parent.parent
DEADLINE = 60.0


def start(handler="make"):
    return Child(f"fake_handler:{handler}", environment={"PYTHONPATH": str(TESTS)})


@pytest.fixture
def child():
    one = start()
    yield one
    one.close()


@pytest.fixture(scope="module")
def shared():
    """For requests that leave the child as it was, or that any child may answer."""
    one = start()
    yield one
    one.close()


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self/stat").exists()


def gone_within(pid, seconds):
    until = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(pid)


def test_nothing_starts_before_the_first_request():
    one = start()
    assert one.started == 0
    one.close()


def test_one_child_answers_request_after_request(shared):
    before = shared.call({"n": 0}, DEADLINE)
    results = [shared.call({"n": n, "text": "µ\u2028\n\0" * n}, DEADLINE) for n in range(5)]
    assert [r["request"]["n"] for r in results] == [0, 1, 2, 3, 4]
    assert results[3]["request"]["text"] == "µ\u2028\n\0" * 3
    assert {r["pid"] for r in results} == {before["pid"]}
    assert before["pid"] != os.getpid()


def test_a_large_answer_comes_whole(shared):
    assert shared.call({"text": "x" * 3_000_000}, DEADLINE)["request"]["text"] == "x" * 3_000_000


def test_messages_come_before_the_result_and_in_order(shared):
    heard = []
    shared.call({"messages": 50}, DEADLINE, heard.append)
    assert heard == [{"phase": n} for n in range(50)]


def test_what_is_printed_does_not_disturb_the_answer(shared):
    result = shared.call({"print": '{"result": "not this"}', "messages": 1}, DEADLINE)
    assert result["request"]["messages"] == 1


def test_code_that_reads_stdin_takes_no_request(shared):
    assert shared.call({"do": "input"}, DEADLINE) == {"read": ""}
    assert "pid" in shared.call({}, DEADLINE)


def test_an_exception_comes_over_and_the_child_lives_on(shared):
    pid = shared.call({}, DEADLINE)["pid"]
    with pytest.raises(ChildRaised, match="KeyError: 'a key'") as caught:
        shared.call({"do": "raise"}, DEADLINE)
    assert "in handle" in caught.value.trace
    assert shared.call({}, DEADLINE)["pid"] == pid


def test_a_refusal_is_told_from_an_exception(shared):
    with pytest.raises(ChildRefused, match=r"^no such thing: tea$"):
        shared.call({"do": "refuse"}, DEADLINE)


def test_an_answer_that_is_not_json_is_an_exception_of_the_handler(shared):
    with pytest.raises(ChildRaised, match="not JSON serializable"):
        shared.call({"do": "unserialisable"}, DEADLINE)
    assert "pid" in shared.call({}, DEADLINE)


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("abort", "SIGABRT"),
        ("segfault", "SIGSEGV"),
        ("kill", "SIGKILL"),
        ("exit", "exit code 3"),
        ("hard_exit", "exit code 4"),
    ],
)
def test_a_death_is_told_with_its_last_words_and_the_child_is_replaced(shared, what, how):
    pid, started = shared.call({"stderr": "of an earlier request"}, DEADLINE)["pid"], shared.started
    with pytest.raises(ChildDied) as caught:
        shared.call({"do": what, "stderr": f"last words\n\nof {what}"}, DEADLINE)
    assert caught.value.how == how
    assert caught.value.stderr == f"last words\nof {what}"
    assert not alive(pid)
    assert shared.call({}, DEADLINE)["pid"] != pid
    assert shared.started == started + 1


def test_messages_sent_before_a_death_are_heard(shared):
    heard = []
    with pytest.raises(ChildDied):
        shared.call({"do": "hard_exit", "messages": 3}, DEADLINE, heard.append)
    assert len(heard) == 3


def test_of_a_long_stderr_the_end_is_kept(shared):
    with pytest.raises(ChildDied) as caught:
        shared.call({"do": "abort", "stderr": "\n".join(f"line {n}" for n in range(1000))}, DEADLINE)
    assert caught.value.stderr.splitlines() == [f"line {n}" for n in range(1000 - STDERR_LINES, 1000)]
    with pytest.raises(ChildDied) as caught:
        shared.call({"do": "abort", "stderr": "y" * 10_000 + "end"}, DEADLINE)
    assert len(caught.value.stderr) == STDERR_CHARACTERS
    assert caught.value.stderr.endswith("yend")


@pytest.mark.parametrize("what", ["hang", "hang_in_c"])
def test_a_hang_ends_at_its_deadline_and_the_child_is_replaced(shared, what):
    pid = shared.call({}, DEADLINE)["pid"]
    began = time.monotonic()
    with pytest.raises(ChildTimedOut, match=r"no answer within 0\.5 s") as caught:
        shared.call({"do": what, "stderr": "still at it"}, 0.5)
    assert time.monotonic() - began < 10
    assert caught.value.stderr == "still at it"
    assert not alive(pid)
    assert shared.call({}, DEADLINE)["pid"] != pid


def test_messages_do_not_move_the_deadline(shared):
    shared.call({}, DEADLINE)
    with pytest.raises(ChildTimedOut):
        shared.call({"do": "hang", "messages": 20}, 0.3, lambda _m: time.sleep(0.05))


def test_a_listener_that_raises_costs_the_child_but_never_mixes_answers(shared):
    """What the interrupted request still sends must not be taken for the answer to the next one."""

    def full(_message):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        shared.call({"n": "first", "messages": 2}, DEADLINE, full)
    assert shared.call({"n": "second"}, DEADLINE)["request"]["n"] == "second"


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        ("make_broken", "ImportError: libtorch.so"),
        ("make_missing", "AttributeError"),
        ("make_dying", "did not start: SIGABRT"),
    ],
)
def test_a_handler_that_cannot_be_made_is_no_death_by_request(handler, says):
    one = start(handler)
    for _ in range(2):
        with pytest.raises(ChildRaised, match=says) as caught:
            one.call({}, DEADLINE)
        assert caught.value.trace
    assert one.started == 2
    one.close()


def test_closing_ends_the_child(child):
    pid = child.call({}, DEADLINE)["pid"]
    child.close()
    assert not alive(pid)
    child.close()


def test_a_closed_child_starts_again_when_asked(child):
    first = child.call({}, DEADLINE)["pid"]
    child.close()
    assert child.call({}, DEADLINE)["pid"] != first


@pytest.mark.parametrize("what", ["echo", "hang"])
def test_no_child_outlives_a_parent_killed_outright(what):
    """Idle or busy: the parent closes nothing when it is killed."""
    script = textwrap.dedent(f"""
        import sys
        from harness.units.child import Child
        child = Child("fake_handler:make")
        print(child.call({{}}, 60)["pid"], flush=True)
        child.call({{"do": {what!r}, "messages": 1}}, 600, lambda m: print("busy", flush=True))
        sys.stdin.read()
    """)
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environment) as parent:
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == "busy\n"
        assert alive(pid)
        os.kill(parent.pid, signal.SIGKILL)
    assert gone_within(pid, 15)


def test_a_hang_that_lets_no_thread_run_ends_some_time_after_its_deadline():
    """Without a parent to kill it the child is ended by a timer of the system."""
    script = textwrap.dedent("""
        import harness.units.child as child
        child.ORPHAN_GRACE = 0.5
        raise SystemExit(child.main(["fake_handler:make"]))
    """)
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as orphan:
        assert b"ready" in orphan.stdout.readline()
        orphan.stdin.write(b'{"request": {"do": "hang_in_c"}, "deadline": 0.5}\n')
        orphan.stdin.flush()
        assert orphan.wait(20) == -signal.SIGALRM
