"""Commands in processes of their own, with what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.evidence.vocabulary import HarnessError

ROOT = Path(__file__).resolve().parents[1]
#: Seconds for an interrupted process to end.
GRACE = 15.0
#: One thread for each process, no progress bars.
CALM = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore"}


@dataclass(frozen=True)
class Cost:
    """`cpu`: seconds of processor of the process and of all it started and waited for."""

    cpu: float
    wall: float
    code: int
    output: str
    errors: str

    @property
    def last_words(self) -> str:
        """The last line the command printed, of stderr if there is one."""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        return lines[-1][:300] if lines else "nothing printed"


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, *, group: bool = False) -> Cost:
    """Run a command to its end, in the root of the project.

    With `group` it leads a process group of its own, which an interrupt here ends.
    """
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(command),
            cwd=ROOT,
            env={**os.environ, **CALM, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=group,
        )
        assert process.stdout is not None
        try:
            output = process.stdout.read().decode(errors="replace")
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            if group:
                _end(process)
            raise
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4000))
        said = errors.read().decode(errors="replace")
    return Cost(usage.ru_utime + usage.ru_stime, wall, process.returncode, output, said)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt the group, which then removes its temporary files; kill what does not end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answer(module: str, arguments: Sequence[str]) -> Any:
    """The JSON in the last line that a benchmark's part prints in a process of its own.

    Raises `HarnessError` where there is none.
    """
    command = " ".join(("benchmarks/child.py", module, *arguments))
    cost = run([sys.executable, str(ROOT / "benchmarks/child.py"), module, *arguments], group=True)
    if cost.code != 0:
        raise HarnessError(f"{command}: exit code {cost.code}: {cost.last_words}")
    try:
        return json.loads(cost.output.splitlines()[-1])
    except (IndexError, ValueError):
        raise HarnessError(f"{command}: its last line is no JSON") from None
