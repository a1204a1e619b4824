"""A child process for request after request: replaced when it ends, and once one has died, with a spare warming up.

Getting ready takes a child seconds and holds the memory of torch, executorch and coremltools (see benchmarks/), so
there is no spare before the first death, and none any more when deaths have become rare.
"""

from __future__ import annotations

import psutil

from harness.process.child import Child, ChildDied, ChildRaised, Listener, Stop
from harness.process.serve import Message

#: After so many children in a row that did not get ready no other is started: each may take minutes to fail.
STARTS = 3
#: After so many requests without a death the spare is let go.
QUIET = 200


class Pool:
    """Calls go to one child at a time. Nothing starts before the first; not for several threads.

    With `stop`, another thread can end the call it is in, which raises `harness.process.child.Stopped`.
    """

    def __init__(self, handler: str, environment: dict[str, str] | None = None, stop: Stop | None = None) -> None:
        self._handler, self._environment, self._stop = handler, environment, stop
        self._child: Child | None = None
        self._spare: Child | None = None
        self._quiet = QUIET
        self._failures: list[ChildRaised] = []
        self.started = 0

    def prepare(self) -> None:
        """Start the first child, which gets ready while nobody waits."""
        if self._child is None:
            self._child = self._start()

    @property
    def is_ready(self) -> bool:
        """Whether a call would be answered without waiting for a child to get ready."""
        return self._child is not None and self._child.is_ready and not self._child.has_ended()

    def wait_until_ready(self) -> None:
        """Start a child where there is none, and wait for it. Raises as `call` does for a child that does not start."""
        self._ready()

    def call(self, request: Message, deadline: float, on_message: Listener = lambda _m: None) -> Message:
        """As `Child.call`; the next request finds another child where this one ended it.

        Where `STARTS` children in a row did not get ready, what the last of them raised is raised at once.
        """
        child = self._ready()
        self._quiet += 1
        try:
            return child.call(request, deadline, on_message)
        except ChildDied:
            self._quiet = 0
            # Begun now, the next one is ready sooner.
            self._child, self._spare = self._spare or self._start(), None
            raise

    def memory(self) -> int:
        """Bytes that the child in service holds resident; 0 without one."""
        if self._child is None:
            return 0
        try:
            return psutil.Process(self._child.pid).memory_info().rss
        except psutil.Error:  # it has ended, or is none of ours to look at
            return 0

    def renew(self) -> None:
        """End the child in service: the next call finds a fresh one. No death; the spare, if there is one, serves."""
        child, self._child, self._spare = self._child, self._spare, None
        if child is not None:
            child.close()

    def pids(self) -> list[int]:
        """Of the children that live: the one in service, then the spare."""
        return [child.pid for child in (self._child, self._spare) if child is not None and not child.has_ended()]

    def close(self) -> None:
        """End all of them."""
        child, spare, self._child, self._spare = self._child, self._spare, None, None
        if spare is not None:
            spare.kill()
        if child is not None:
            child.close()

    def _ready(self) -> Child:
        if len(self._failures) >= STARTS:
            raise self._failures[-1]
        # One that ended while idle, or warming up, says nothing about a request.
        if self._child is None or self._child.has_ended():
            if self._child is not None:
                self._child.kill()
            self._child = self._start()
        try:
            self._child.wait_until_ready()
        except BaseException as error:
            if isinstance(error, ChildRaised):
                self._failures.append(error)
            self._child.kill()
            self._child = None
            raise
        self._failures.clear()
        if self._quiet >= QUIET:
            if self._spare is not None:
                self._spare.kill()
                self._spare = None
        elif self._spare is None:
            # Only now: the one that is waited for has the processor for itself.
            self._spare = self._start()
        return self._child

    def _start(self) -> Child:
        self.started += 1
        return Child(self._handler, self._environment, self._stop)
