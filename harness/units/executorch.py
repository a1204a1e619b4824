"""The ExecuTorch unit: the emitted `.pte` on the ExecuTorch runtime, as an application would run it.

The macOS wheels register `CoreMLBackend`; other wheels do not, and can run only a program in which every operator
fell back. The compute unit is a compile spec inside the `.pte`, not a choice made here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import torch

from harness.evidence.vocabulary import Unit
from harness.units import host
from harness.units.base import LoadFailed, NotRunnable, PredictFailed

BACKEND = "CoreMLBackend"
METHOD = "forward"


class ExecuTorchUnit:
    """Runs `.pte` bytes. Nothing is loaded before the first question.

    `compute_unit` is one of Core ML's (`cpu_only`, ...), empty for the one the program was lowered with.
    """

    def __init__(self, compute_unit: str = "") -> None:
        self.compute_unit = compute_unit
        self.name = f"{Unit.EXECUTORCH}:{compute_unit}" if compute_unit else str(Unit.EXECUTORCH)

    def unavailable(self, target: str) -> str | None:
        """Why a program with Core ML delegates for `target` cannot run here; None when it can.

        Importing the runtime is the only way to learn which backends it registers; with torch loaded that is cheap.
        """
        try:
            registered = registered_backends()
        except NotRunnable as error:
            return str(error)
        if BACKEND not in registered:
            return _not_registered(registered)
        return host.system_too_old(target)

    def run_pte(self, buffer: bytes, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The outputs of method `forward`, flattened, as copies; the program is loaded anew for each call.

        Raises `NotRunnable` when the program needs Core ML and this runtime has it not, `LoadFailed` and
        `PredictFailed` with the runtime's message and what it logged.
        """
        runtime = _runtime()
        # The delegate's backend id stands in the flatbuffer as plain text.
        if BACKEND.encode() in buffer and BACKEND not in (registered := registered_backends()):
            raise NotRunnable(_not_registered(registered))

        def load() -> Any:
            program = runtime.load_program(bytes(buffer))
            if METHOD not in program.method_names:
                raise RuntimeError(f"no method {METHOD}; the program has {', '.join(sorted(program.method_names))}")
            # The method lives in memory the program owns: both are returned.
            return program, program.load_method(METHOD)

        try:
            _program, method = load()
        except Exception as error:
            raise LoadFailed(_with_log(error, load)) from error
        try:
            outputs = method.execute([tensor.detach().contiguous() for tensor in inputs])
        except Exception as error:
            raise PredictFailed(_with_log(error, lambda: method.execute(list(inputs)))) from error
        return [value.clone() if isinstance(value, torch.Tensor) else torch.tensor(value) for value in outputs]


def registered_backends() -> list[str]:
    """Names of the backends in this runtime; raises `NotRunnable` when there is no runtime."""
    return list(_runtime().backend_registry.registered_backend_names)


def _runtime() -> Any:
    try:
        from executorch.runtime import Runtime
    except ImportError as error:
        raise NotRunnable(f"no ExecuTorch runtime: {error}") from error
    return Runtime.get()


def _not_registered(registered: list[str]) -> str:
    names = ", ".join(sorted(registered)) or "none"
    return f"the ExecuTorch runtime on this {host.system_name()} has no {BACKEND} (registered: {names})"


def _with_log(error: Exception, again: Callable[[], object]) -> str:
    """The message with what the runtime logged.

    The exception carries an error number alone; the reason (`Missing operator: ...`) goes to standard error. It is
    captured in a second attempt, so that the first one's last words are not lost if it kills the process.
    """
    lines = [line.strip() for line in _logged_by(again).splitlines() if line.strip()]
    return "; ".join([str(error) or type(error).__name__, *lines])


def _logged_by(action: Callable[[], object]) -> str:
    """What an action that fails writes to standard error: Python's stream and the file descriptor under it."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        os.dup2(log.fileno(), 2)
        try:
            with contextlib.redirect_stderr(log), contextlib.suppress(Exception):  # it fails as it did before
                action()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        log.seek(0)
        return log.read()
