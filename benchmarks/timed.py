"""The handler of checks in a child process, with what each cost in the record's timing."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

HANDLER = "benchmarks.timed:make_timed_handler"
#: Where they stand in a record's timing: seconds of the handler, of the processor, and the process's peak memory in MB.
SECONDS, CPU, PEAK = "handler", "cpu", "peak"


def peak_megabytes() -> float:
    """Largest resident set of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # kilobytes but on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def make_timed_handler() -> Callable[[Any, Any], Any]:
    """As `harness.commands.answer.make_handler`."""
    from harness.commands.answer import make_handler

    handle = make_handler()

    def timed_handle(request: Any, send: Any) -> Any:
        started, before = time.perf_counter(), time.process_time()
        record = handle(request, send)
        spent = {SECONDS: time.perf_counter() - started, CPU: time.process_time() - before, PEAK: peak_megabytes()}
        record.setdefault("timing", {}).update(spent)
        return record

    return timed_handle
