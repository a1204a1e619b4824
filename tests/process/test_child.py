import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.process import child as module
from harness.process.child import Child, ChildDied, ChildRaised, ChildRefused, ChildTimedOut, Stop, Stopped
from harness.process.endings import STDERR_CHARACTERS, STDERR_LINES

TESTS = Path(__file__).resolve().parent.parent
DEADLINE = 60.0


def start(handler="make"):
    return Child(f"fake_handler:{handler}", {"PYTHONPATH": str(TESTS)})


@pytest.fixture
def child():
    one = start()
    yield one
    one.close()


class Shared:
    """One child for many tests, and another in its place once one has ended."""

    def __init__(self):
        self.child = start()

    def call(self, *arguments):
        if self.child.has_ended():
            self.child = start()
        return self.child.call(*arguments)


@pytest.fixture(scope="module")
def shared():
    """For requests that leave the child as it was, or that any child may answer."""
    one = Shared()
    yield one
    one.child.close()


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
        ("leave_behind", "exit code 5"),
    ],
)
def test_a_death_is_told_with_its_last_words(shared, what, how):
    pid = shared.call({"stderr": "of an earlier request"}, DEADLINE)["pid"]
    with pytest.raises(ChildDied) as caught:
        shared.call({"do": what, "stderr": f"last words\n\nof {what}"}, DEADLINE)
    assert caught.value.how == how
    assert caught.value.stderr.splitlines()[:2] == ["last words", f"of {what}"]
    assert not alive(pid)


@pytest.mark.parametrize(("what", "place"), [("abort", "handle (fake_handler.py)"), ("segfault", "string_at")])
def test_a_fault_leaves_the_python_stack(shared, what, place):
    with pytest.raises(ChildDied) as caught:
        shared.call({"do": what}, DEADLINE)
    assert caught.value.ending.place.startswith(place)
    assert "in handle (fake_handler.py:" in caught.value.stderr
    assert "serve.py" not in caught.value.stderr


def test_a_telling_line_comes_before_all_else(shared):
    with pytest.raises(ChildDied) as caught:
        shared.call({"do": "llvm", "stderr": "a warning"}, DEADLINE)
    assert caught.value.ending.telling == "LLVM ERROR: Failed to infer result type(s)."
    assert caught.value.stderr.splitlines()[:2] == [caught.value.ending.telling, "a warning"]


def test_messages_sent_before_a_death_are_heard(shared):
    heard = []
    with pytest.raises(ChildDied):
        shared.call({"do": "hard_exit", "messages": 3}, DEADLINE, heard.append)
    assert len(heard) == 3


def test_of_a_long_stderr_the_end_is_kept(shared):
    with pytest.raises(ChildDied) as caught:
        shared.call({"do": "hard_exit", "stderr": "\n".join(f"line {n}" for n in range(200_000))}, DEADLINE)
    assert caught.value.stderr.splitlines() == [f"line {n}" for n in range(200_000 - STDERR_LINES, 200_000)]
    with pytest.raises(ChildDied) as caught:
        shared.call({"do": "hard_exit", "stderr": "y" * 5_000_000 + "end"}, DEADLINE)
    assert len(caught.value.stderr) <= STDERR_CHARACTERS
    assert caught.value.stderr.endswith("yend")


def test_megabytes_on_either_descriptor_cost_nothing_but_themselves(shared):
    result = shared.call({"print": "o" * 3_000_000, "stderr": "e" * 3_000_000}, DEADLINE)
    assert len(result["request"]["stderr"]) == 3_000_000
    assert len(shared.child._stderr) <= module.STDERR_BYTES


@pytest.mark.parametrize("what", ["hang", "hang_in_c", "stop", "flood"])
def test_a_hang_ends_at_its_deadline(shared, what):
    pid = shared.call({}, DEADLINE)["pid"]
    began = time.monotonic()
    with pytest.raises(ChildTimedOut, match=r"no answer within 0\.5 s") as caught:
        shared.call({"do": what, "stderr": "still at it"}, 0.5)
    assert time.monotonic() - began < 10
    if what in ("hang", "hang_in_c"):
        assert caught.value.stderr.splitlines()[0] == "still at it"
        assert "in handle (fake_handler.py:" in caught.value.stderr
    assert not alive(pid)


def test_a_request_larger_than_any_pipe_is_taken_or_costs_its_deadline(shared):
    """A child that is stopped reads nothing: sending must not wait for ever."""
    text = "x" * 3_000_000
    assert len(shared.call({"text": text}, DEADLINE)["request"]["text"]) == len(text)
    os.kill(shared.child.pid, signal.SIGSTOP)
    with pytest.raises(ChildTimedOut):
        shared.call({"text": text}, 0.5)


def test_a_child_that_closes_its_answers_and_stays_is_ended(shared, monkeypatch):
    monkeypatch.setattr(module, "END_GRACE", 0.2)
    pid = shared.call({}, DEADLINE)["pid"]
    with pytest.raises(ChildDied, match="closed its answers and stayed"):
        shared.call({"do": "close"}, DEADLINE)
    assert not alive(pid)


@pytest.mark.parametrize("raw", ["no JSON\n", "[1]\n", "\0\xff{}\n", "x" * 3_000])
def test_an_unreadable_answer_is_the_harness_own_fault_and_costs_the_child(shared, monkeypatch, raw):
    monkeypatch.setattr(module, "ANSWER_BYTES", 2_000)
    pid = shared.call({}, DEADLINE)["pid"]
    with pytest.raises(ChildRaised, match="the child's answer is unreadable: b'"):
        shared.call({"raw": raw, "do": "hang"}, DEADLINE)
    assert not alive(pid)


def test_what_a_child_started_ends_with_it_and_its_folder_goes(shared):
    for how in ({"do": "abort"}, {"do": "hang"}):
        left = shared.call({"spawn": True}, DEADLINE)
        assert alive(left["pid"])
        assert Path(left["folder"]).is_dir()
        assert left["folder"] != tempfile.gettempdir()
        with pytest.raises(ChildDied):
            shared.call(how, 0.3)
        assert gone_within(left["pid"], 5)
        assert not Path(left["folder"]).exists()


def test_a_listener_can_set_a_shorter_time_for_the_next_message(shared):
    began = time.monotonic()
    with pytest.raises(ChildTimedOut, match=r"no answer within 0\.3 s"):
        shared.call({"do": "hang", "messages": 2}, DEADLINE, lambda m: 0.3 if m["phase"] == 1 else None)
    assert time.monotonic() - began < 10
    # For that message alone, and never longer than the deadline.
    assert "pid" in shared.call({"messages": 2, "nap": 0.6}, DEADLINE, lambda m: 0.3 if m["phase"] == 0 else None)
    with pytest.raises(ChildTimedOut, match=r"no answer within 0\.2 s"):
        shared.call({"do": "hang", "messages": 1}, 0.2, lambda m: 50.0)


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
    with pytest.raises(ChildRaised, match=says) as caught:
        one.call({}, DEADLINE)
    assert caught.value.trace
    assert not alive(one.pid)
    one.close()


def test_closing_ends_the_child(child):
    pid = child.call({}, DEADLINE)["pid"]
    child.close()
    assert not alive(pid)
    child.close()


def test_a_child_that_does_not_end_when_told_to_is_killed(monkeypatch):
    monkeypatch.setattr(module, "END_GRACE", 0.2)
    one = start()
    pid = one.call({}, DEADLINE)["pid"]
    os.kill(pid, signal.SIGSTOP)
    one.close()
    assert not alive(pid)


#: How a parent may end while its child is at work; `interrupt` is what Ctrl-C sends.
PARENTS = {
    "kill": (lambda parent: parent.kill(), -signal.SIGKILL),
    "terminate": (lambda parent: parent.terminate(), -signal.SIGTERM),
    "interrupt": (lambda parent: parent.send_signal(signal.SIGINT), -signal.SIGINT),
    "exit": (lambda parent: parent.stdin.close(), 7),
}


@pytest.mark.parametrize(
    ("end", "what"),
    [
        ("kill", "echo"),
        ("kill", "hang_in_c"),
        ("kill", "stop"),
        ("terminate", "hang"),
        ("interrupt", "hang"),
        ("exit", "hang"),
    ],
)
def test_nothing_outlives_the_parent_however_it_ends(end, what):
    """Neither a child that is idle, busy, stopped or holds the interpreter's lock, nor what it started."""
    script = textwrap.dedent(f"""
        import os, signal, sys, threading
        from harness.process.child import Child
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell began the tests with `&`
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(7)), daemon=True).start()
        child = Child("fake_handler:make")
        started = child.call({{"spawn": True}}, 60)
        print(child.pid, child._guard.pid, started["pid"], started["folder"], flush=True)
        child.call({{"do": {what!r}, "messages": 1}}, 600, lambda m: print("busy", flush=True))
        threading.Event().wait()
    """)
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", script]
    act, code = PARENTS[end]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as parent:
        *pids, folder = parent.stdout.readline().split()
        assert parent.stdout.readline() == "busy\n"
        assert all(alive(int(pid)) for pid in pids)
        act(parent)
        try:
            assert parent.wait(20) == code
        finally:
            parent.kill()
    assert all(gone_within(int(pid), 5) for pid in pids)
    assert not Path(folder).exists()


def test_the_guard_does_nothing_while_the_parent_lives(shared):
    """A signal to the group of the parent, as Ctrl-C sends it, reaches neither child nor guard."""
    pid = shared.call({}, DEADLINE)["pid"]
    groups = {os.getpgid(pid), os.getpgid(shared.child._guard.pid), os.getpgid(0)}
    assert len(groups) == 3
    assert os.getpgid(pid) == pid


def test_a_process_that_cannot_be_killed_is_not_waited_for(monkeypatch):
    """As one that waits in the kernel for a driver."""
    one = start()
    pid = one.call({}, DEADLINE)["pid"]
    with monkeypatch.context() as patched:
        patched.setattr(module, "KILL_GRACE", 0.1)
        patched.setattr(os, "killpg", lambda *_: None)
        with pytest.raises(ChildTimedOut):
            one.call({"do": "hang"}, 0.1)
    assert one.has_ended()
    assert alive(pid)
    os.killpg(pid, signal.SIGKILL)
    one._process.wait()


@pytest.fixture
def stop():
    one = Stop()
    yield one
    one.close()


def test_another_thread_ends_a_call_and_the_child(stop):
    one = Child("fake_handler:make", {"PYTHONPATH": str(TESTS)}, stop)
    pid = one.call({}, DEADLINE)["pid"]
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    with pytest.raises(Stopped):
        one.call({"do": "hang"}, DEADLINE)
    timer.join()
    assert one.has_ended()
    assert not alive(pid)


def test_a_child_started_after_the_word_is_stopped_as_well(stop):
    stop.set()
    one = Child("fake_handler:make", {"PYTHONPATH": str(TESTS)}, stop)
    with pytest.raises(Stopped):
        one.wait_until_ready()
    one.kill()
    assert not alive(one.pid)


@pytest.mark.parametrize(
    ("mounted", "free", "named", "found"),
    [
        (True, 4 << 30, "", True),
        (True, (4 << 30) - 1, "", False),
        (False, 4 << 30, "", False),
        (True, 4 << 30, "/x", False),
    ],
)
def test_temporary_files_lie_in_memory_where_there_is_plenty(mounted, free, named, found, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MEMORY", str(tmp_path))
    monkeypatch.setenv("TMPDIR", named)
    monkeypatch.setattr("os.path.ismount", lambda path: mounted and path == str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free))
    assert module.memory_folder() == (str(tmp_path) if found else None)
