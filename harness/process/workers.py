"""Checks of many cases on several workers: a thread and a child process each, records as they come.

Import-cheap: the threads wait, what works are the children.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cases.case import Case, NoCase
from harness.evidence.check import Check
from harness.evidence.record import Record
from harness.evidence.vocabulary import WORKING, Outcome
from harness.process.child import Stop, Stopped
from harness.process.isolation import IsolatedChecker


@dataclass(frozen=True)
class Share:
    """Checks of one case: one worker's, since they share its eager, export and edge stages.

    `file` is the user's file of a case of that kind. With `tries`, a way around is looked for where a check fails, by
    so many lowerings at most; `records` are then those of checks that were done before, in their order.
    """

    checks: tuple[Check[Case], ...]
    file: Path | None = None
    tries: int = 0
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class LeftOut:
    """A case that turned out to be none, and why in one line."""

    case: Case
    why: str


@dataclass(frozen=True)
class _Unfinished:
    record: Record


#: What nothing of the user's can be changed about: it works, was not judged, or never came to an end.
_PAST_HELP = WORKING | {Outcome.NOT_RUN, Outcome.INVALID_CASE, Outcome.TIMEOUT}


def asks_for_help(record: Record) -> bool:
    """Whether a way around is worth looking for."""
    return record.outcome not in _PAST_HELP or bool(record.outcome in WORKING and record.missing_kernels)


class Workers:
    """Checkers, each with a child of its own that gets ready from now on; `make` is given what stops them all."""

    def __init__(self, make: Callable[[Stop], IsolatedChecker], count: int) -> None:
        self._make = make
        self._stop = Stop()
        self._checkers: list[IsolatedChecker] = []
        self.resize(count)

    def resize(self, count: int) -> None:
        """As many workers as that; before they check."""
        while len(self._checkers) < count:
            self._checkers.append(self._make(self._stop))
            self._checkers[-1].prepare()
        while len(self._checkers) > count:
            self._checkers.pop().close()

    def devices(self) -> list[str]:
        """As `IsolatedChecker.devices`; the other workers get ready meanwhile."""
        return self._checkers[0].devices()

    def check(
        self,
        shares: Sequence[Share],
        on_record: Callable[[Record], None],
        on_left_out: Callable[[LeftOut], None] = lambda _: None,
        on_unfinished: Callable[[Record], None] = lambda _: None,
    ) -> None:
        """Check them all, once: the next share, in order, is the next free worker's. `on_record` hears each record in
        the calling thread, as soon as it exists, `on_left_out` of a share whose case is none, and `on_unfinished` of a
        record for which a way around is looked for still: it comes again, with it.

        What a worker raises is raised here. Whatever ends this, all children are gone then, and each record that exists
        was heard of.
        """
        todo = iter(shares)
        lock = threading.Lock()
        found: queue.SimpleQueue[Record | _Unfinished | LeftOut | BaseException | None] = queue.SimpleQueue()

        def work(checker: IsolatedChecker) -> None:
            try:
                while True:
                    with lock:
                        share = next(todo, None)
                    if share is None:
                        return
                    try:
                        for number, check in enumerate(share.checks):
                            done = share.records[number] if share.records else checker.check(check, file=share.file)
                            if share.tries and asks_for_help(done):
                                found.put(_Unfinished(done))
                                done = done.with_(remedy=checker.way_around(check, done, share.tries, share.file))
                            found.put(done)
                    except NoCase as error:
                        found.put(LeftOut(share.checks[0].case, str(error)))
            except Stopped:
                return
            except BaseException as error:
                found.put(error)
            finally:
                checker.close()
                found.put(None)

        # Daemons: a second Ctrl-C waits for nobody, and children end with this process by themselves.
        threads = [threading.Thread(target=work, args=(checker,), daemon=True) for checker in self._checkers]
        self._checkers = []
        for thread in threads:
            thread.start()
        working = len(threads)
        try:
            while working:
                one = found.get()
                if one is None:
                    working -= 1
                elif isinstance(one, BaseException):
                    raise one
                elif isinstance(one, LeftOut):
                    on_left_out(one)
                elif isinstance(one, _Unfinished):
                    on_unfinished(one.record)
                else:
                    on_record(one)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
            while not found.empty():
                if isinstance(late := found.get(), Record):
                    on_record(late)

    def close(self) -> None:
        """End all of them."""
        while self._checkers:
            self._checkers.pop().close()
        self._stop.close()
