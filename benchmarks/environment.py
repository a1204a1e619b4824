"""What the numbers were measured on, in one line: no names, no paths."""

from __future__ import annotations

import os
import platform

from harness.evidence.environment import chip, git_revision, version_of

PACKAGES = ("torch", "executorch", "coremltools")


def memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def cores() -> int:
    """Those this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment_line() -> str:
    versions = ", ".join(f"{name} {version_of(name) or 'absent'}" for name in PACKAGES)
    count = cores()
    return (
        f"{chip() or platform.machine()}, {count} core{'s' if count != 1 else ''}, {memory_gib():.0f} GB, "
        f"{platform.system()} {platform.machine()}; Python {platform.python_version()}, {versions}; "
        f"revision {git_revision() or 'unknown'}"
    )
