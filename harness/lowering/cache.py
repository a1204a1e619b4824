"""Content-addressed cache of lowered programs.

The key holds the case, the recipe, a fingerprint of the installed code, and the exported program itself or, where the
case's id and the code say what that is, what the case was made into. Failures are kept too, being as reproducible as
programs, except those of the machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import platformdirs

from harness.cases.case import Built
from harness.evidence.recipe import Recipe
from harness.lowering import entries
from harness.lowering.fingerprint import CASE_PACKAGES, built_digest, code_fingerprint, program_digest
from harness.lowering.lower import Exported, Lowered, PhaseListener, lower, methods, silence

#: Where it lies can be set, for a runner that keeps caches between jobs.
LOCATION_VARIABLE = "COREML_HARNESS_CACHE"
#: Oldest entries go first when it has grown past this.
MAX_BYTES = 4 << 30
#: A process looks at the size of the cache when it first writes to it, and each time it has written so much.
PRUNE_EVERY_BYTES = 128 << 20
#: Seconds after which a file that was never finished is its killed writer's.
_ABANDONED = 3600.0
_FORMAT = "8"
#: What the machine did to a lowering (no space, no memory, no file handles) is not what the backend does.
_PASSING = frozenset(
    {"MemoryError", "OSError", "FileNotFoundError", "PermissionError", "BlockingIOError", "TimeoutError"}
)


def location() -> Path:
    chosen = os.environ.get(LOCATION_VARIABLE)
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("coreml-harness"))


class LoweringCache:
    """Reads and writes never fail a check: what cannot be read is lowered again, what cannot be written is not kept."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or location() / "lowered"
        self._until_pruning = 0

    def lower(self, case_id: str, exported: Exported, recipe: Recipe, on_phase: PhaseListener = silence) -> Lowered:
        """As `lower.lower`, from the cache where it can be."""
        if exported.program is None:
            return lower(exported, recipe, on_phase)
        path = self._path(case_id, exported, recipe)
        return self._read(path) or self._keep(path, lower(exported, recipe, on_phase))

    def lower_named(
        self,
        case_id: str,
        built: Built,
        exported: Callable[[], Exported],
        recipe: Recipe,
        on_phase: PhaseListener = silence,
    ) -> Lowered:
        """As `lower`, for a case that its id names as long as the installed code is the same: what is in the cache is
        found before anything is exported."""
        how = f"{built.partitioning!r} {built.method}"
        path = self._at(case_id, recipe.name, how, code_fingerprint(CASE_PACKAGES), built_digest(built))
        return self._read(path) or self._keep(path, lower(exported(), recipe, on_phase))

    def _path(self, case_id: str, exported: Exported, recipe: Recipe) -> Path:
        assert exported.program is not None
        programs = [f"{name} {program_digest(program)}" for name, program in methods(exported).items()]
        how = f"{exported.partitioning!r} {exported.method}"
        return self._at(case_id, recipe.name, how, code_fingerprint(), *programs)

    def _at(self, *parts: str) -> Path:
        key = hashlib.sha256("\n".join((_FORMAT, *parts)).encode()).hexdigest()
        return self.directory / key[:2] / key

    def _keep(self, path: Path, lowered: Lowered) -> Lowered:
        if lowered.failure is None or lowered.failure.error.type not in _PASSING:
            self._write(path, lowered)
        return lowered

    def _read(self, path: Path) -> Lowered | None:
        # A file cut short, altered or of another version is as good as none.
        with contextlib.suppress(OSError, entries.NotAnEntry):
            found = entries.read(path.name, path.read_bytes())
            os.utime(path)
            return found
        return None

    def _write(self, path: Path, lowered: Lowered) -> None:
        temporary = path.with_suffix(f".{os.getpid()}")
        # What cannot be written holds a value that is no data; torch raises errors of many kinds for it.
        with contextlib.suppress(Exception):
            content = entries.written(path.name, lowered)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary.write_bytes(content)
                temporary.replace(path)
            except OSError:  # a full disk leaves half a file
                temporary.unlink(missing_ok=True)
                raise
            self._until_pruning -= len(content)
            if self._until_pruning < 0:
                self._until_pruning = PRUNE_EVERY_BYTES
                self.prune()

    def prune(self, max_bytes: int = MAX_BYTES) -> int:
        """Remove the entries unused for longest until the rest fits; returns how many were removed.

        What a killed writer left unfinished goes too.
        """
        found = []
        for path in self.directory.glob("??/*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                if path.suffix and stat.st_mtime < time.time() - _ABANDONED:
                    path.unlink()
                    continue
                found.append((stat.st_mtime, stat.st_size, path))
        total = sum(size for _, size, _ in found)
        removed = 0
        for _, size, path in sorted(found):
            if total <= max_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
                removed += 1
        return removed
