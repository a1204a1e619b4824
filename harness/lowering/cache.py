"""Content-addressed cache of lowered programs.

The key holds the case, the recipe, the exported program itself and a fingerprint of the installed code. Failures
are kept too, being as reproducible as programs, except those of the machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import platformdirs

from harness.lowering import entries
from harness.lowering.fingerprint import code_fingerprint, program_digest
from harness.lowering.lower import Exported, Lowered, PhaseListener, lower, methods, silence
from harness.lowering.recipe import Recipe

#: Where it lies can be set, for a runner that keeps caches between jobs.
LOCATION_VARIABLE = "COREML_HARNESS_CACHE"
#: Oldest entries go first when it has grown past this.
MAX_BYTES = 4 << 30
#: A process looks at the size of the cache when it first writes to it, and each time it has written so much.
PRUNE_EVERY_BYTES = 128 << 20
#: Seconds after which a file that was never finished is its killed writer's.
_ABANDONED = 3600.0
_FORMAT = "3"
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
        found = self._read(path)
        if found is None:
            found = lower(exported, recipe, on_phase)
            if found.failure is None or found.failure.error.type not in _PASSING:
                self._write(path, found)
        return found

    def _path(self, case_id: str, exported: Exported, recipe: Recipe) -> Path:
        assert exported.program is not None
        programs = [f"{name} {program_digest(program)}" for name, program in methods(exported).items()]
        how = f"{exported.partitioning!r} {exported.method}"
        parts = (_FORMAT, case_id, recipe.name, how, code_fingerprint(), *programs)
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return self.directory / key[:2] / key

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
