"""What can go wrong with a program, in words a caller can act on. Every exception here is a `MilError`."""

from __future__ import annotations

from collections.abc import Iterable


class MilError(Exception):
    """Base of everything this package raises on purpose."""


class PackageError(MilError):
    """The package cannot be read: missing or truncated files, a foreign format, not an ML Program."""


class MissingKernel(MilError):
    """The program uses operators this interpreter has no kernel for."""

    def __init__(self, op_types: Iterable[str], available: Iterable[str]) -> None:
        self.op_types = sorted(op_types)
        self.available = sorted(available)
        super().__init__(f"no kernel for {', '.join(self.op_types)} ({len(self.available)} operators are available)")


class InvalidProgram(MilError):
    """The program contradicts itself: a declared type differs from the computed one, a value is undefined, ..."""

    def __init__(self, op_type: str, output: str, what: str) -> None:
        self.op_type, self.output, self.what = op_type, output, what
        super().__init__(f"{op_type} -> {output}: {what}")


class InputError(MilError):
    """The caller's inputs do not fit the function: names, shapes, data types or states."""


class KernelError(MilError):
    """A kernel raised while computing an operation."""

    def __init__(self, op_type: str, output: str, cause: BaseException) -> None:
        self.op_type, self.output, self.cause = op_type, output, cause
        super().__init__(f"{op_type} -> {output}: {type(cause).__name__}: {cause}")
