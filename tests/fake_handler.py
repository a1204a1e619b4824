"""Handlers for child processes in tests: they do what they are told, and need no torch.

`make` obeys a request's `do`. `make_checker` answers as the checks' own handler does; what happens to a case is
the third part of its id, `ops/<op>/<what happens>/<sample>`, and each call leaves a line in `FAKE_HANDLER_LOG`.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from harness.evidence.record import ErrorInfo, Record
from harness.evidence.remedy import Remedy
from harness.evidence.vocabulary import HarnessError, Outcome, Phase

#: How a process may end or stay, by name.
ENDINGS = {
    "abort": os.abort,
    "llvm": lambda: _say_and_abort("LLVM ERROR: Failed to infer result type(s)."),
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "silent_kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: sys.exit(3),
    "hard_exit": lambda: os._exit(4),
    "hang": lambda: time.sleep(600),
    # Holds the interpreter's lock: no other Python thread runs.
    "hang_in_c": lambda: ctypes.PyDLL(None).sleep(600),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "close": lambda: (os.closerange(3, 100), time.sleep(600)),
    # What it started keeps its pipes open.
    "leave_behind": lambda: (
        subprocess.Popen(["sleep", "600"], pass_fds=[n for n in range(3, 20) if _is_pipe(n)]),
        os._exit(5),
    ),
    "flood": lambda: _flood(),
}
WITHOUT_A_WORD = ("silent_kill",)


def _say_and_abort(text):
    print(text, file=sys.stderr, flush=True)
    os.abort()


def _flood():
    """Writes to stderr without end."""
    while True:
        os.write(2, b"word after word\n" * 4096)


RESULTS = {str(outcome): outcome for outcome in Outcome}


def make():
    calls = []

    def handle(request, send):
        calls.append(request)
        what = request.get("do", "echo")
        if "print" in request:
            print(request["print"], flush=True)
            os.write(1, b"written to descriptor 1\n")
        if "raw" in request:
            os.write(_answers(), request["raw"].encode())
        if "spawn" in request:
            return {"pid": subprocess.Popen(["sleep", "600"]).pid, "folder": tempfile.gettempdir()}
        if "stderr" in request:
            print(request["stderr"], file=sys.stderr, flush=True)
        for number in range(request.get("messages", 0)):
            send({"phase": number})
        time.sleep(request.get("nap", 0))
        if what in ENDINGS:
            ENDINGS[what]()
        if what == "raise":
            raise KeyError("a key")
        if what == "refuse":
            raise HarnessError("no such thing: tea")
        if what == "unserialisable":
            return {"value": object()}
        if what == "input":
            return {"read": sys.stdin.read()}
        return {"request": request, "pid": os.getpid(), "calls": len(calls), "threads": threading.active_count()}

    return handle


def _answers():
    """The descriptor the child answers on: the only pipe of ours that is written to besides stderr."""
    return max(n for n in range(3, 20) if _is_pipe(n) and fcntl.fcntl(n, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY)


def _is_pipe(number):
    with contextlib.suppress(OSError):
        return stat.S_ISFIFO(os.fstat(number).st_mode)
    return False


def make_broken():
    raise ImportError("libtorch.so: cannot open shared object file")


def make_slowly():
    time.sleep(float(os.environ["FAKE_HANDLER_START"]))
    return make()


def make_settings():
    import faulthandler
    import gc
    import resource

    core, collected = resource.getrlimit(resource.RLIMIT_CORE)[0], gc.isenabled()
    return lambda _request, _send: {
        "faulthandler": faulthandler.is_enabled(),
        "core": core,
        "collected": [collected, gc.isenabled()],
    }


def make_dying():
    print("about to die", file=sys.stderr, flush=True)
    os.abort()


def make_checker():
    def handle(request, send):
        log = os.environ.get("FAKE_HANDLER_LOG")
        if log and "case" in request:
            with open(log, "a") as file:
                file.write(f"{os.getpid()} {request['case']}@{request['recipe']}@{request['unit']}\n")
        if request.get("question") == "flame":
            Path(log).with_name(f"flame-{os.getpid()}.html").touch()
            return {}
        what = request["case"].split("/")[2]
        if request.get("question") == "way around":
            if request["case"].endswith("/dies"):
                os.abort()
            found = Remedy(outcome=Outcome.PARTIAL, skip=(request["case"].split("/")[1],), tries=request["tries"])
            return {"remedy": found.to_json()}
        if what != "late":
            send({"phase": "eager"})
            send({"phase": "convert"})
        if what.startswith("plan-"):  # plan-<what asking for the plan does>[-<what running does>]
            _, planning, what = f"{what}-pass".split("-")[:3]
            send({"phase": "load"})
            if request["plan"]:
                send({"phase": "plan"})
                ENDINGS.get(planning, bool)()
            send({"phase": "run"})
        if what == "late":  # no phase is entered while a program is looked for
            time.sleep(0.3)
            send({"phase": "load"})
        if request.get("times") and what not in ENDINGS:
            began = time.perf_counter()
            time.sleep(0.05)
            send({"spent": {"cache" if what == "late" else "convert": time.perf_counter() - began}})
        if what == "nap":
            time.sleep(float(os.environ.get("FAKE_HANDLER_NAP", "0")))
        if what == "hang_once":
            mark = Path(log or ".").with_name("hung")
            if not mark.exists():
                mark.touch()
                time.sleep(600)
        if what in ENDINGS:
            if what not in WITHOUT_A_WORD:
                print(f"last words of {what}", file=sys.stderr, flush=True)
            ENDINGS[what]()
        if what == "raise":
            raise RuntimeError("a bug of ours")
        if what == "refuse":
            raise HarnessError("no such thing: tea")
        outcome = RESULTS.get(what, Outcome.PASS)
        error = None
        if outcome is Outcome.CONVERT_ERROR:
            error = ErrorInfo("ValueError", "no conversion", "ValueError: no conversion")
        phase = Phase.CONVERT if error else Phase.VALUE
        return Record(
            request["case"],
            request["recipe"],
            request["unit"],
            outcome,
            phase,
            op=request["case"].split("/")[1],
            error=error,
            environment=request["environment"],
        ).to_json()

    return handle


def make_explored():
    """Answers by the call that an explored case's id holds: eager refuses special values, and alpha is dropped."""

    def handle(request, send):
        call = request["case"].partition("/")[2]
        outcome, phase = Outcome.PASS, Phase.VALUE
        if "special" in call:
            outcome, phase = Outcome.INVALID_CASE, Phase.EAGER
        elif "alpha=" in call:
            outcome = Outcome.WRONG_VALUE
        ids = request["case"], request["recipe"], request["unit"]
        op = call.partition("(")[0]
        return Record(*ids, outcome, phase, op=op, environment=request["environment"]).to_json()

    return handle


def make_user_file():
    """Makes a user's case and answers that it passes: the loading is real, nothing is lowered."""
    from harness.cases import user_file
    from harness.cases.case import CaseFault, NoCase

    def handle(request, send):
        case = user_file.load_case(Path(request["file"]), request["case"])
        ids = request["case"], request["recipe"], request["unit"]
        record = Record(*ids, Outcome.PASS, Phase.VALUE, environment=request["environment"])
        try:
            case.build()
        except NoCase as error:
            return {"no_case": str(error)}
        except CaseFault as error:
            record = record.with_(outcome=Outcome.INVALID_CASE, phase=Phase.EAGER, reason=str(error))
        return record.to_json()

    return handle


def make_preparer():
    """In the place of the runner app's: what happens is the device's name."""

    def handle(request, send):
        send({"show": f"building for {request['device']}"})
        if request["device"] == "refused":
            raise HarnessError("no signing identity")
        if request["device"] == "raises":
            raise RuntimeError("xcodebuild is gone")
        if request["device"] in ENDINGS:
            ENDINGS[request["device"]]()
        return {}

    return handle
