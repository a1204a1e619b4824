"""Scripts run under a plain Python, where this project cannot be imported: one after the other in a child process,
which imports torch once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

#: Seconds for one script; the first one's include the imports.
PATIENCE = 120

#: Runs every script named on its command line and writes one line of JSON about each. What one leaves behind is kept
#: from the collector: ExecuTorch collects often, and the heap of all that was imported is large.
RUNNER = """
import contextlib, gc, io, json, os, runpy, sys, traceback

sys.modules["harness"] = None
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for path in sys.argv[1:]:
    out = io.StringIO()
    gc.freeze()
    with contextlib.redirect_stdout(out):
        try:
            runpy.run_path(path, run_name="__main__")
            code = None
        except SystemExit as end:
            code = end.code
        except BaseException:
            code = traceback.format_exc()
    answers.write(json.dumps({"path": path, "code": code, "output": out.getvalue()}) + "\\n")
    answers.flush()
"""


def run(paths: Iterable[Path], cwd: Path) -> dict[str, tuple[int | str | None, str]]:
    """`{path: (exit code, output)}` of the scripts; the traceback is the code of one that raises. One that ends the
    process takes nothing of the others with it."""
    answers: dict[str, tuple[int | str | None, str]] = {}
    waiting = [str(path) for path in paths]
    while waiting:
        environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, *waiting],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=environment,
        )
        try:
            out, err = process.communicate(timeout=PATIENCE + 10 * len(waiting))
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        for line in out.splitlines():
            answer = json.loads(line)
            answers[answer["path"]] = answer["code"], answer["output"]
        left = [path for path in waiting if path not in answers]
        if left:
            answers[left[0]] = f"ended the process (code {process.returncode})", err[-2000:]
        waiting = left[1:]
    return answers
