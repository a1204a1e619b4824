"""How a session that cannot be carried out ends: one line on stderr, exit code 2."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from harness.evidence.vocabulary import HarnessError


class one_line:
    """A `HarnessError` ends the session with its one line on stderr and exit code 2.

    In a worker it fails the one check: the other processes go on, and xdist would start a new worker for ever.
    """

    def __init__(self, *, worker: bool = False) -> None:
        self.worker = worker

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, HarnessError):
            if self.worker:
                pytest.fail(str(error), pytrace=False)
            pytest.exit(str(error), returncode=2)


class LateExit:
    """pytest names the reason of an exit on stderr until the session has begun, after that on stdout only."""

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.exit.Exception) and excinfo.value.returncode == 2:
            print(f"Exit: {excinfo.value.msg}", file=sys.stderr)
