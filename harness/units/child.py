"""Work in a child process: spawned, never forked, kept and reused, replaced when it dies or hangs.

Lowering and Core ML can abort the process, segfault or hang. The parent sends one request at a time as a JSON line, the
child answers with any number of messages and one result; when it dies instead, the parent learns the signal
and the last lines of its stderr, and the next request gets a new child.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

#: Importing torch, executorch and coremltools takes seconds, on a loaded machine many.
START_DEADLINE = 300.0
#: Seconds after its deadline at which a child without a parent ends itself.
ORPHAN_GRACE = 30.0
STDERR_LINES = 12
STDERR_CHARACTERS = 2000
#: The messages that end a request.
_ANSWERS = ("result", "refused", "raised")

Message = dict[str, Any]
Handler = Callable[[Message, Callable[[Message], None]], Message]


class ChildDied(Exception):
    """The child ended before it answered. `how` is the signal's name or the exit code; `stderr` its last lines."""

    def __init__(self, how: str, stderr: str) -> None:
        super().__init__(how)
        self.how = how
        self.stderr = stderr


class ChildTimedOut(ChildDied):
    """No answer within the deadline; the child was killed."""


class ChildRaised(Exception):
    """The handler raised, and the child lives on; or it could not be made, and there is no child.

    The message is the exception's, `trace` its traceback.
    """

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.trace = trace


class ChildRefused(Exception):
    """The handler raised `HarnessError`: the request itself cannot be carried out."""


class Child:
    """A reusable child process running a handler, `package.module:function`, which makes the `Handler`."""

    def __init__(self, handler: str, *, environment: dict[str, str] | None = None) -> None:
        self.handler = handler
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self.started = 0

    def call(
        self, request: Message, deadline: float, on_message: Callable[[Message], None] = lambda _m: None
    ) -> Message:
        """Send a request and wait for its result, `deadline` seconds at most (starting up not counted).

        Raises `ChildDied`, `ChildTimedOut`, `ChildRaised`, `ChildRefused`.
        """
        process = self._running()
        self._forget_stderr()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"request": request, "deadline": deadline}).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            raise self._died() from None
        until = time.monotonic() + deadline
        while True:
            try:
                message = self._next(until, deadline)
                answered = not message.keys().isdisjoint(_ANSWERS)
                if not answered:
                    on_message(message)
            except BaseException:
                # What is still to come from it must not be taken for the answer to the next request.
                self._kill()
                raise
            if "result" in message:
                return message["result"]
            if "refused" in message:
                raise ChildRefused(message["refused"])
            if "raised" in message:
                raise ChildRaised(message["raised"], message.get("trace", ""))

    def close(self) -> None:
        """End the child and wait for it."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            assert process.stdin is not None
            process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
        self._stderr.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._buffer = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.units.child", self.handler],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=self._environment,
        )
        self.started += 1
        try:
            message = self._next(time.monotonic() + START_DEADLINE, START_DEADLINE)
        except ChildDied as error:
            # No request is to blame for a child that does not start.
            self._kill()
            raise ChildRaised(f"the child process did not start: {error.how}", error.stderr) from None
        except BaseException:
            self._kill()
            raise
        if "ready" not in message:
            self.close()
            raise ChildRaised(message["raised"], message["trace"])
        return self._process

    def _next(self, until: float, deadline: float) -> Message:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, until - time.monotonic())):
                    process.kill()
                    process.wait()
                    raise ChildTimedOut(f"no answer within {deadline:g} s", self._stderr_tail())
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise self._died()
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def _died(self) -> ChildDied:
        assert self._process is not None
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return ChildDied(how, self._stderr_tail())

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self.close()

    def _forget_stderr(self) -> None:
        # Parent and child share the position in the file.
        self._stderr.seek(0)
        self._stderr.truncate()

    def _stderr_tail(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").splitlines()
        return "\n".join([line for line in lines if line.strip()][-STDERR_LINES:])[-STDERR_CHARACTERS:]


def serve(handler: Handler, requests: Any, answers: Any) -> None:
    """The child's loop: a request a line from `requests`, messages and a result a line to `answers`."""
    from harness.evidence.vocabulary import HarnessError

    def send(message: Message) -> None:
        _send(answers, message)

    send({"ready": True})
    for line in requests:
        envelope = json.loads(line)
        # Should the parent be gone by then, and a library hang that lets no other thread run, the system ends us.
        signal.setitimer(signal.ITIMER_REAL, envelope["deadline"] + ORPHAN_GRACE)
        try:
            send({"result": handler(envelope["request"], send)})
        except HarnessError as error:
            send({"refused": str(error)})
        except Exception as error:
            send(_raised(error))
        signal.setitimer(signal.ITIMER_REAL, 0)


def _send(answers: Any, message: Message) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


def _raised(error: BaseException) -> Message:
    return {"raised": f"{type(error).__name__}: {error}", "trace": "".join(traceback.format_exception(error))}


def _end_with_parent(parent: int) -> None:
    """A parent killed outright closes nothing for a child that is busy; so watch it."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main(arguments: list[str]) -> int:
    # Messages go over descriptors of their own: what libraries print must not get between them, and code that reads
    # stdin must not swallow a request.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    module, _, name = arguments[0].partition(":")
    try:
        handler = getattr(importlib.import_module(module), name)()
    except Exception as error:
        _send(answers, _raised(error))
        return 1
    serve(handler, requests, answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
