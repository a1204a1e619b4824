import io
import json
import os
import subprocess
import sys
from pathlib import Path

from harness.evidence.vocabulary import HarnessError
from harness.process import serve as serve_module
from harness.process.serve import serve

TESTS = Path(__file__).resolve().parent.parent


def answers_to(handler, *requests):
    written = io.BytesIO()
    serve(handler, [json.dumps(request).encode() + b"\n" for request in requests], written)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_each_request_has_its_messages_and_one_answer_in_order():
    def handle(request, send):
        send({"phase": request["n"]})
        return {"twice": 2 * request["n"]}

    told = answers_to(handle, {"n": 1}, {"n": 2})
    assert told == [{"ready": True}, {"phase": 1}, {"result": {"twice": 2}}, {"phase": 2}, {"result": {"twice": 4}}]


def test_what_a_handler_raises_is_an_answer_and_the_next_request_is_heard():
    def handle(request, send):
        if request == "refuse":
            raise HarnessError("no such thing")
        return {"value": object() if request == "object" else 1 / request}

    _, refused, unserialisable, raised, result = answers_to(handle, "refuse", "object", 0, 2)
    assert refused == {"refused": "no such thing"}
    assert unserialisable["raised"].startswith("TypeError: ")
    assert raised["raised"] == "ZeroDivisionError: division by zero"
    assert "in handle" in raised["trace"]
    assert result == {"result": {"value": 0.5}}


def test_the_process_writes_stacks_but_no_core_files_collects_once_it_is_ready_and_ends_with_its_input():
    done = subprocess.run(
        [sys.executable, serve_module.__file__, "fake_handler:make_settings"],
        input=b"{}\n",
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        check=True,
        timeout=60,
    )
    _, answer = map(json.loads, done.stdout.splitlines())
    assert answer["result"] == {"faulthandler": True, "core": 0, "collected": [False, True]}
