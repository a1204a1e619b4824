"""The child's side of `harness.process.child`: make the handler, then answer request after request.

python harness/process/serve.py PACKAGE.MODULE:FUNCTION

Run as a file, not with `-m`: for a frame that belongs to no file of a module, as runpy's would at the bottom of every
stack, `inspect.getmodule` looks through all modules anew, and torch asks for stacks dozens of times in an export.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Message = dict[str, Any]
Handler = Callable[[Message, Callable[[Message], None]], Message]

#: The parent asks with it where a child is that gives no answer.
WHERE = signal.SIGUSR1


def serve(handler: Handler, requests: Any, answers: Any) -> None:
    """A request a line from `requests`; messages, then one of `result`, `refused`, `raised`, a line to `answers`."""
    from harness.evidence.vocabulary import HarnessError

    def send(message: Message) -> None:
        _send(answers, message)

    send({"ready": True})
    for line in requests:
        try:
            send({"result": handler(json.loads(line), send)})
        except HarnessError as error:
            send({"refused": str(error)})
        except Exception as error:
            send(_raised(error))


def _send(answers: Any, message: Message) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


def _raised(error: BaseException) -> Message:
    return {"raised": f"{type(error).__name__}: {error}", "trace": "".join(traceback.format_exception(error))}


def main(arguments: list[str]) -> int:
    # The stack of a fault, and of a hang when asked, even while the interpreter's lock is held.
    faulthandler.enable()
    faulthandler.register(WHERE)
    # A core file of a process that holds torch takes seconds to write and gigabytes to keep.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # Messages go over descriptors of their own: what libraries print must not get between them, and code that reads
    # stdin must not swallow a request.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.dup2(2, 1)
    module, _, name = arguments[0].partition(":")
    # Imports make hundreds of thousands of objects that stay; the collector, which walks them again and again in vain,
    # takes a fifth of the time that torch, executorch and coremltools need.
    gc.disable()
    try:
        handler = getattr(importlib.import_module(module), name)()
    except Exception as error:
        _send(answers, _raised(error))
        return 1
    gc.enable()
    # The parent may be gone: then there is nobody left to answer.
    with contextlib.suppress(BrokenPipeError):
        serve(handler, requests, answers)
    return 0


if __name__ == "__main__":
    # The folder of this file stands there, whose modules are none at the top; the package's own takes its place.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    raise SystemExit(main(sys.argv[1:]))
