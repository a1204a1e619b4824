"""The ExecuTorch unit: the emitted `.pte` on the ExecuTorch runtime, as an application would run it.

The file is written to disk, read back, and loaded from there. The macOS wheels register `CoreMLBackend`; other wheels
do not, and refuse a program with Core ML delegates: that is the runtime's own answer, and the record holds it. The
compute unit is a compile spec inside the `.pte`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import mmap
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import Phase, Unit
from harness.lowering.emitted import BACKEND, with_compute_unit
from harness.lowering.lower import Emitted, silence
from harness.lowering.program import LoweredProgram
from harness.lowering.readback import read_back, written
from harness.units import host
from harness.units.base import EmittedOtherwise, LoadFailed, NotRunnable, PredictFailed, ProgramResult
from harness.units.whole_program import answered, numbered

#: Where a wheel has the backend's code, below the package's folder; a build of one's own may have it in the other.
LIBRARIES = ("lib/libexecutorch_backend_coreml.dylib", "extension/pybindings/_C*.so")
#: What a build says of itself. State is code behind a macro that needs the SDK of macOS 15 (`MODEL_STATE_IS_SUPPORTED`
#: in ETCoreMLModel.mm): with it there is a call of `newState`. Where functions are lacking there is a sentence instead
#: (ETCoreMLModelManager.mm).
_STATE_SELECTOR = b"newState\0"
_NO_FUNCTIONS = b"Multifunction CoreML models require iOS 18.0+ / macOS 15.0+ SDK to build."
_CORE_ML_CLASS = b"MLModelConfiguration"


class ExecuTorchUnit:
    """Runs a `.pte`. Nothing is loaded before the first question.

    `compute_unit` is one of Core ML's (`cpu_only`, ...), empty for the one the program was lowered with.
    """

    def __init__(self, compute_unit: str = "") -> None:
        self.compute_unit = compute_unit
        self.unit = UnitSpec(Unit.EXECUTORCH, compute_unit)

    def unavailable(self, target: str) -> str | None:
        """Why a program with Core ML delegates for `target` cannot run here, where that is plain without the runtime.

        A runtime that lacks the backend is no such reason: it says so itself, once it is given the program.
        """
        if importlib.util.find_spec("executorch") is None:
            return "executorch is not installed"
        return host.system_too_old(target) if host.macos_version() is not None else None

    def run(
        self,
        emitted: Emitted,
        inputs: Sequence[Any],
        on_phase: Callable[[Phase], None] = silence,
        *,
        plan: bool = True,
        then: Sequence[Sequence[Any]] = (),
        refused: Sequence[Sequence[Any]] = (),
    ) -> ProgramResult:
        """The outputs of the program's method, flattened, as copies, and those of a second, equal call where they
        differ bit by bit. A program with state is loaded anew for the second.

        Raises `EmittedOtherwise` when the file is not what was lowered, `NotRunnable` when this runtime was built
        without what the program needs, `LoadFailed` and `PredictFailed`, all with the runtime's message and what it
        logged.
        """
        pte, program = emitted.pte, emitted.program
        on_phase(Phase.EMIT)
        if self.compute_unit:
            try:
                pte = with_compute_unit(pte, self.compute_unit)
            except ValueError as error:
                raise EmittedOtherwise(str(error)) from error
        with written(pte) as path:
            if problem := read_back(path, program, self.compute_unit):
                raise EmittedOtherwise(problem)
            on_phase(Phase.LOAD)
            if reason := _lacking(program):
                raise NotRunnable(reason)
            method = _load(path, program)
            on_phase(Phase.RUN)
            calls = [inputs, *then]
            firsts = _execute_all(method, calls)
            seconds = _execute_all(_load(path, program) if program.stateful else method, calls)
            taken = answered(lambda arguments: _execute(method, arguments), refused)
        result, *result.then = map(_result, firsts, seconds)
        result.answered = taken
        return result


class _Loaded:
    """A method with the program it lives in: its memory is the program's."""

    def __init__(self, path: Path, name: str) -> None:
        self.program = _runtime().load_program(path)
        if name not in self.program.method_names:
            raise RuntimeError(f"no method {name}; the program has {', '.join(sorted(self.program.method_names))}")
        self.method = self.program.load_method(name)


def _load(path: Path, program: LoweredProgram) -> _Loaded:
    _runtime()
    try:
        return _Loaded(path, program.method)
    except Exception as error:
        message = _with_log(error, lambda: _Loaded(path, program.method))
        if program.delegates and BACKEND not in (registered := registered_backends()):
            names = ", ".join(sorted(registered)) or "none"
            raise NotRunnable(
                f"the ExecuTorch runtime on this {host.system_name()} refused the program: "
                f"{message} (registered: {names})"
            ) from error
        raise LoadFailed(message) from error


def _result(first: list[Any], again: list[Any]) -> ProgramResult:
    same = len(first) == len(again) and all(map(_same_bits, first, again))
    return ProgramResult(outputs=first, again=None if same else again)


def _execute_all(loaded: _Loaded, calls: Sequence[Sequence[Any]]) -> list[list[Any]]:
    found = [_execute(loaded, calls[0])]
    for number, inputs in enumerate(calls[1:]):
        with numbered(number):
            found.append(_execute(loaded, inputs))
    return found


def _execute(loaded: _Loaded, inputs: Sequence[Any]) -> list[Any]:
    """Copies throughout: the runtime may work in the memory it is given, and gives out its own."""

    def copied(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return value.detach().clone(memory_format=torch.contiguous_format)

    def call() -> Sequence[Any]:
        return loaded.method.execute([copied(value) for value in inputs])

    try:
        outputs = call()
    except Exception as error:
        raise PredictFailed(_with_log(error, call)) from error
    return [value.clone() if isinstance(value, torch.Tensor) else value for value in outputs]


def _same_bits(one: Any, other: Any) -> bool:
    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return type(one) is type(other) and (one == other or one != one)
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(_bytes_of(one), _bytes_of(other))


def _bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def registered_backends() -> list[str]:
    """Names of the backends in this runtime; raises `NotRunnable` when there is no runtime."""
    return list(_runtime().backend_registry.registered_backend_names)


def _runtime() -> Any:
    try:
        from executorch.runtime import Runtime
    except ImportError as error:
        raise NotRunnable(f"no ExecuTorch runtime: {error}") from error
    return Runtime.get()


def _lacking(program: LoweredProgram) -> str | None:
    """What the program needs and this build of the backend was made without.

    Asked before loading: without state the backend would predict on a stateful model as if it had none, which Core ML
    may answer with anything.
    """
    needs = {
        "state": any(delegate.stateful for delegate in program.delegates),
        "functions": any(delegate.function for delegate in program.delegates),
    }
    if not any(needs.values()):
        return None
    built = built_with()
    lacking = [what for what, needed in needs.items() if needed and built.get(what) is False]
    if not lacking:
        return None
    what = {"state": "state", "functions": "multifunction models"}
    return f"this ExecuTorch runtime's {BACKEND} was built without Core ML's {' and '.join(what[w] for w in lacking)}"


@functools.cache
def built_with() -> dict[str, bool]:
    """Whether the backend's code here handles `state` and `functions`; empty where no such code is found."""
    for library in _libraries():
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as code:
            if code.find(_CORE_ML_CLASS) >= 0:
                return {"state": code.find(_STATE_SELECTOR) >= 0, "functions": code.find(_NO_FUNCTIONS) < 0}
    return {}


def _libraries() -> Iterator[Path]:
    spec = importlib.util.find_spec("executorch")
    for root in map(Path, (spec.submodule_search_locations or ()) if spec else ()):
        for pattern in LIBRARIES:
            yield from sorted(root.glob(pattern))


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
