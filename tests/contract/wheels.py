"""Wheels for macOS from the package index, downloaded once for a test session.

Only an index that cannot be reached is a reason to skip: a version it does not have, or a broken pip, fails.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_BROKEN_CONNECTION = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ConnectionResetError|ProtocolError|"
    r"ProxyError|Failed to establish a new connection|Name or service not known|Connection refused|"
    r"Temporary failure in name resolution|HTTP error 50\d|50\d Server Error|too many 50\d error responses"
)
#: pip lists what it found of a package it looked for: then the index answered.
_ANSWERED = re.compile(r"\(from versions: (?!none)")
_LONGEST = 300


def unreachable(stderr: str) -> str | None:
    """What kept pip from the index; None when it reached it, or failed for another reason."""
    if _ANSWERED.search(stderr):
        return None
    match = _BROKEN_CONNECTION.search(stderr)
    return match[0] if match else None


def macos_wheel(requirement: str, platform: str, session: pytest.TempPathFactory) -> Path:
    """The wheel of `name==version` for an arm64 Mac and this Python. Skips when the index cannot be reached."""
    # The workers of one run share a folder above their own; a run alone has its own only.
    base = session.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder = shared / "macos-wheels" / requirement
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found := list(folder.glob("*.whl"))):
            _download(requirement, platform, folder)
            found = list(folder.glob("*.whl"))
    (wheel,) = found
    return wheel


def _download(requirement: str, platform: str, folder: Path) -> None:
    if os.environ.get("PIP_NO_INDEX"):
        pytest.skip("the package index is switched off (PIP_NO_INDEX)")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", "--quiet", "-d", str(folder)]
    command += ["--platform", platform, "--only-binary=:all:", "--python-version", python]
    command += ["--retries", "1", "--timeout", "20", "--disable-pip-version-check"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the package index gave no {requirement} within {_LONGEST} s")
    if done.returncode and (reason := unreachable(done.stderr)):
        pytest.skip(f"the package index cannot be reached: {reason}")
    assert done.returncode == 0, done.stderr[-2000:]
