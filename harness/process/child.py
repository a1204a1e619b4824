"""Work in a child process: spawned, never forked, kept and reused. `harness.process.pool` replaces it when it ends.

Lowering and Core ML can abort the process, segfault or hang. The parent sends one request at a time as a JSON line, the
child answers with any number of messages and one result; when it dies instead, the parent learns the signal
and the last lines of its stderr.

A child leads a session and process group of its own, so that what it starts (compilers of Core ML, `xcrun`) ends with
it and a Ctrl-C reaches the parent alone, which ends the rest. It has a temporary folder of its own, removed with it. A
shell beside it waits for the parent's end, however that comes, and then kills the group: it needs no lock of the
interpreter, which a hang can hold.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from typing import IO, NoReturn

from harness.process import serve
from harness.process.endings import Ending, memory_kills, read_ending, signal_name
from harness.process.serve import WHERE, Message

#: Importing torch, executorch and coremltools takes seconds, on a loaded machine many.
START_DEADLINE = 300.0
#: Seconds for a child to end once its input is closed, or its answers.
END_GRACE = 5.0
#: Seconds for a killed process to be gone.
KILL_GRACE = 10.0
#: Seconds to say where it is, at the deadline.
WHERE_GRACE = 0.5
#: Of stderr this much is kept: room for the stacks of many threads after the telling line.
STDERR_BYTES = 1 << 18
#: No answer is longer: what is has gone wrong, and must not fill the parent's memory.
ANSWER_BYTES = 1 << 26
#: The messages that end a request.
_ANSWERS = ("result", "refused", "raised")

#: Reads the child's number, then until the parent's end closes the pipe: group and folder go.
_GUARD = 'read -r pid && { read -r _; kill -9 "-$pid"; }; rm -rf "$1"'

#: Temporary files may lie there when so much is free: a big model's packages and what is made of them.
MEMORY, MEMORY_BYTES = "/dev/shm", 4 << 30

#: Hears a message; may answer with the seconds within which the next one must come, when those end before the deadline.
Listener = Callable[[Message], float | None]


class ChildDied(Exception):
    """The child ended before it answered. `how` is the signal's name or the exit code.

    `stderr` are its last lines, the telling one first; `ending` has that one alone, and the Python frame it was in.
    """

    def __init__(self, how: str, ending: Ending) -> None:
        super().__init__(how)
        self.how = how
        self.ending = ending

    @property
    def stderr(self) -> str:
        return self.ending.text


class ChildTimedOut(ChildDied):
    """No answer within the deadline; the child was killed."""


class ChildRaised(Exception):
    """The handler raised, and the child lives on; or it could not be made, or its answer not be read: it is gone.

    The message is the exception's, `trace` its traceback.
    """

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


class ChildRefused(Exception):
    """The handler raised `HarnessError`: the request itself cannot be carried out."""


class Stopped(Exception):
    """Another thread said so (`Stop`), in the midst of a call; the child is gone."""


class Stop:
    """One thread's word to others that own children: who waits for a child that was given it has `Stopped`, at once.

    A descriptor, and no flag: waiting for an answer wakes up by it, and a child started afterwards finds it as well.
    """

    def __init__(self) -> None:
        read, write = os.pipe()
        self._read, self._write = os.fdopen(read, "rb", 0), os.fdopen(write, "wb", 0)

    def fileno(self) -> int:
        return self._read.fileno()

    def set(self) -> None:
        """Once is for ever."""
        self._write.write(b"x")

    def close(self) -> None:
        """Afterwards no child that was given it may be asked anything."""
        self._read.close()
        self._write.close()


class Child:
    """A process running a handler, `package.module:function`, which makes the `harness.process.serve.Handler`.

    It is started at once and gets ready while nobody waits. Not for several threads.
    """

    def __init__(self, handler: str, environment: dict[str, str] | None = None, stop: Stop | None = None) -> None:
        self._lines: deque[bytes] = deque()
        self._incoming = bytearray()
        self._outgoing = memoryview(b"")
        self._stderr = bytearray()
        self._answers_closed = self._unreadable = False
        self._is_ready = self._gone = False
        self._folder = tempfile.mkdtemp(prefix="coreml-harness-child-", dir=memory_folder())
        try:
            # First, so that from here on nothing is left behind, wherever a Ctrl-C strikes.
            self._guard = _spawn(["/bin/sh", "-c", _GUARD, "sh", self._folder], subprocess.DEVNULL)
            command = [sys.executable, serve.__file__, handler]
            variables = {**os.environ, **(environment or {}), "TMPDIR": self._folder}
            self._process = _spawn(command, subprocess.PIPE, variables)
            _pipe(self._guard.stdin).write(b"%d\n" % self._process.pid)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._requests = _pipe(self._process.stdin)
        self._answers, self._errors = _pipe(self._process.stdout), _pipe(self._process.stderr)
        for pipe in (self._requests, self._answers, self._errors):
            os.set_blocking(pipe.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ, self._read_answers)
        self._selector.register(self._errors, selectors.EVENT_READ, self._read_errors)
        if stop is not None:
            self._selector.register(stop, selectors.EVENT_READ, _be_stopped)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether it has been waited for and can answer."""
        return self._is_ready

    def has_ended(self) -> bool:
        return self._gone or self._process.poll() is not None

    def wait_until_ready(self) -> None:
        """The imports of a child take seconds. Raises `ChildRaised` when the handler cannot be made, and `Stopped`."""
        if self._is_ready:
            return
        try:
            message = self._next(time.monotonic() + START_DEADLINE, START_DEADLINE)
        except ChildDied as error:
            # No request is to blame for a child that does not start.
            raise ChildRaised(f"the child process did not start: {error.how}", error.stderr) from None
        if "ready" not in message:
            self.close()
            raise ChildRaised(message.get("raised", "no handler"), message.get("trace", ""))
        self._is_ready = True

    def call(self, request: Message, deadline: float, on_message: Listener = lambda _m: None) -> Message:
        """Send a request and wait for its result, `deadline` seconds at most (starting up not counted).

        Seconds are those of `time.monotonic`, which stands still while the machine sleeps, on Linux (CLOCK_MONOTONIC)
        as on macOS (mach_absolute_time, CPython issue 86273): a closed lid costs no check.

        Raises `ChildDied`, `ChildTimedOut` and `Stopped`, after which the child is gone, `ChildRaised` and
        `ChildRefused`.
        """
        self.wait_until_ready()
        self._stderr.clear()
        self._send(json.dumps(request).encode() + b"\n")
        kills = memory_kills()
        end, allowed = time.monotonic() + deadline, deadline
        until = end
        while True:
            try:
                message = self._next(until, allowed, kills)
                if message.keys().isdisjoint(_ANSWERS):
                    until, allowed = end, deadline
                    share = on_message(message)
                    if share is not None and (soon := time.monotonic() + share) < end:
                        until, allowed = soon, share
                    continue
            except BaseException:
                # What is still to come from it must not be taken for the answer to the next request.
                self.kill()
                raise
            if "result" in message:
                return message["result"]
            if "refused" in message:
                raise ChildRefused(message["refused"])
            raise ChildRaised(message["raised"], message.get("trace", ""))

    def close(self) -> None:
        """End the child, letting it tidy up, and wait for it."""
        if self._is_ready and not self.has_ended():
            self._forget(self._requests)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_GRACE)
        self.kill()

    def kill(self) -> None:
        """End the child and all it started, at once."""
        if self._gone:
            return
        self._gone = True
        # macOS has no permission (EPERM) to signal a group of which only a zombie is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        # One that waits for a driver in the kernel ends later, or never: no reason to wait with it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_GRACE)
        for pipe in (self._requests, self._answers, self._errors):
            self._forget(pipe)
        self._selector.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        # Last: should this be interrupted, the guard does it.
        self._guard.kill()
        self._guard.wait()
        self._forget(_pipe(self._guard.stdin))

    def _next(self, until: float, allowed: float, memory_kills_before: int | None = None) -> Message:
        """The next message; raises `ChildDied`, `ChildTimedOut`, and `ChildRaised` for one that cannot be read."""
        while not self._lines:
            if self._unreadable:
                self._fail_to_read(bytes(self._incoming))
            # What is there counts, however late it is read: this process itself may have been stopped.
            wait = 0.0 if self._answers_closed else min(1.0, max(0.0, until - time.monotonic()))
            events = self._selector.select(wait)
            for key, _ in events:
                key.data()
            if self._lines:
                break
            # Its end is asked for as well: a process it forked may hold its answers open.
            if not events and (self._answers_closed or self.has_ended()):
                raise self._died(memory_kills_before)
            if time.monotonic() >= until:
                raise self._timed_out(allowed)
        line = self._lines.popleft()
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self._fail_to_read(line)
        return message

    def _fail_to_read(self, line: bytes) -> NoReturn:
        text = self._ending().text
        self.kill()
        raise ChildRaised(f"the child's answer is unreadable: {line[:80]!r}", text)

    def _died(self, memory_kills_before: int | None) -> ChildDied:
        try:
            how = signal_name(self._process.wait(END_GRACE))
        except subprocess.TimeoutExpired:
            how = "closed its answers and stayed"
        if how == "SIGKILL" and memory_kills_before is not None and memory_kills() > memory_kills_before:
            how = "SIGKILL (out of memory)"
        ending = self._ending()
        self.kill()
        return ChildDied(how, ending)

    def _timed_out(self, allowed: float) -> ChildTimedOut:
        if self._is_ready:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(WHERE)
            self._listen(WHERE_GRACE)
        ending = self._ending()
        self.kill()
        return ChildTimedOut(f"no answer within {allowed:g} s", ending)

    def _ending(self) -> Ending:
        self._listen(0.0)
        return read_ending(self._stderr.decode(errors="replace"))

    def _listen(self, seconds: float) -> None:
        """Read stderr until nothing has come for so long; one that never stops, for some seconds."""
        if self._errors.closed:
            return
        last = time.monotonic() + 4 * WHERE_GRACE
        with selectors.DefaultSelector() as selector:
            selector.register(self._errors, selectors.EVENT_READ)
            while selector.select(seconds) and self._read_errors() and time.monotonic() <= last:
                pass

    def _send(self, data: bytes) -> None:
        self._outgoing = memoryview(data)
        self._selector.register(self._requests, selectors.EVENT_WRITE, self._write)

    def _write(self) -> None:
        try:
            self._outgoing = self._outgoing[os.write(self._requests.fileno(), self._outgoing) :]
        except BlockingIOError:
            return
        except OSError:  # it reads no more; how it ended is told by what follows
            self._forget(self._requests)
            return
        if not self._outgoing:
            self._selector.unregister(self._requests)

    def _read_answers(self) -> None:
        chunk = os.read(self._answers.fileno(), 1 << 16)
        if not chunk:
            self._answers_closed = True
            self._forget(self._answers)
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._lines.append(bytes(self._incoming) + line)
            self._incoming.clear()
        self._incoming += rest
        self._unreadable = len(self._incoming) > ANSWER_BYTES

    def _read_errors(self) -> bool:
        """Keep the end of stderr. False when there was none."""
        try:
            chunk = os.read(self._errors.fileno(), 1 << 16)
        except BlockingIOError:
            return False
        if not chunk:
            self._forget(self._errors)
            return False
        self._stderr += chunk
        del self._stderr[:-STDERR_BYTES]
        return True

    def _forget(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(pipe)
        with contextlib.suppress(OSError):
            pipe.close()


def memory_folder() -> str | None:
    """Where Linux keeps files in memory, as long as there is plenty: a check writes and reads its programs several
    times, and removes them. None elsewhere, and where `TMPDIR` names a place."""
    if os.environ.get("TMPDIR") or not (os.path.ismount(MEMORY) and os.access(MEMORY, os.W_OK | os.X_OK)):
        return None
    return MEMORY if shutil.disk_usage(MEMORY).free >= MEMORY_BYTES else None


def _spawn(command: list[str], output: int, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A process that leads a session; its stdin is a pipe that closes with this process."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        bufsize=0,
        env=environment,
        start_new_session=True,
    )


def _be_stopped() -> NoReturn:
    raise Stopped


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
