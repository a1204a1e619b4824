"""The journal of a run: append-only, one pair of files per writing process.

`journal-<process>.jsonl` holds finished records, each appended when it exists. `inflight-<process>.json` is
rewritten at each phase of the running check, so that a run killed from outside says where it was. A run
directory also holds `environment.json`.

Resuming: a finished check is not run again. A check in flight when its run was killed is run again; when it was
in flight twice, the check itself is taken to be what kills the process, and it becomes a `crash`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.evidence.check import Check
from harness.evidence.files import Evidence, merge_evidence, read_evidence, write_text_atomically
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.vocabulary import HarnessError, Outcome, Phase

ENVIRONMENT_FILE = "environment.json"
CODE_FILE = "code.txt"
#: A check found in flight this often is what kills the process.
FATAL_ATTEMPTS = 2


@dataclass(frozen=True)
class InFlight:
    """A check that had begun and has no record: what it is about, where it was, and how often it was begun."""

    begun: Record
    phase: Phase
    attempts: int

    @property
    def check_id(self) -> str:
        return self.begun.check_id

    def as_crash(self, environment: str) -> Record:
        """The record of a check that took its process with it."""
        message = f"the process ended while the check was in phase {self.phase}"
        return self.begun.with_(
            outcome=Outcome.CRASH,
            phase=self.phase,
            reason=message,
            error=ErrorInfo("ProcessEnded", message, f"process ended in {self.phase}"),
            environment=environment,
        )


@dataclass
class RunState:
    """What a run directory already knows."""

    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    in_flight: dict[str, InFlight] = field(default_factory=dict)


class Journal:
    """Writer for one process. Not shared between processes: each opens its own.

    Its files are always new ones: a killed writer's last line may be cut, and process numbers come back.
    """

    def __init__(self, run_dir: Path, process: str) -> None:
        self.run_dir = run_dir
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                name = process if number == 1 else f"{process}.{number}"
                with contextlib.suppress(FileExistsError):
                    # Line-buffered by hand: a record is on disk before the next check begins.
                    self._file = open(run_dir / f"journal-{name}.jsonl", "x", encoding="utf-8")  # noqa: SIM115
                    break
            # Appending, so that what is written after truncating it starts at its beginning.
            self._in_flight = open(run_dir / f"inflight-{name}.json", "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _unwritable(run_dir, error) from None

    def begin(self, check: Check[Any], attempts: int, phase: Phase = Phase.EAGER) -> None:
        begun = Record.of(check, Outcome.NOT_RUN, phase).to_line()
        self._begun = f'{{"attempts":{attempts},"begun":{begun},"phase":'
        self.phase(phase)

    def phase(self, phase: Phase) -> None:
        """Write ahead: called before the phase's work starts."""
        self._in_flight.truncate(0)
        self._in_flight.write(f'{self._begun}"{phase}"}}\n'.encode())

    def append(self, record: Record) -> None:
        self._file.write(record.to_line() + "\n")
        self._file.flush()
        self._in_flight.truncate(0)

    def close(self) -> None:
        self._file.close()
        self._in_flight.close()


def check_writable(run_dir: Path) -> None:
    """Raises `HarnessError` before any work is done when nothing could be recorded."""
    probe = run_dir / f".probe-{os.getpid()}"
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(run_dir, error) from None


def _unwritable(run_dir: Path, error: OSError) -> HarnessError:
    why = "not a directory" if isinstance(error, (FileExistsError, NotADirectoryError)) else error.strerror
    return HarnessError(f"{run_dir}: cannot write the run directory: {why}")


def write_environment(run_dir: Path, environment_id: str, block: dict[str, Any]) -> None:
    """Add this environment to the run's; the first block under an id stays, so a resumed run keeps its date."""
    known = _read_environments(run_dir)
    known.setdefault(environment_id, block)
    write_text_atomically(run_dir / ENVIRONMENT_FILE, json.dumps(known, indent=1, sort_keys=True) + "\n")


def hold_to_code(run_dir: Path, fingerprint: str) -> None:
    """Remember which code a run was begun with; raises `HarnessError` when it was other code than this.

    Records of two states of the code under one environment would be evidence of neither.
    """
    path = run_dir / CODE_FILE
    try:
        known = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        write_text_atomically(path, fingerprint + "\n")
        return
    except (OSError, UnicodeDecodeError):
        raise HarnessError(f"{path}: unreadable") from None
    if known != fingerprint:
        raise HarnessError(
            f"{run_dir}: begun with other installed code (torch, executorch, coremltools or the harness changed "
            "since): remove it or name another run directory"
        )


def _read_environments(run_dir: Path) -> dict[str, dict[str, Any]]:
    path = run_dir / ENVIRONMENT_FILE
    if not path.exists():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise HarnessError(f"{path}: unreadable or not JSON") from None
    if not isinstance(known, dict):
        raise HarnessError(f"{path}: not an environment file")
    return known


def read_run(run_dir: Path) -> RunState:
    """Everything recorded in a run directory, by any process that wrote there."""
    state = RunState(environments=_read_environments(run_dir))
    for path in sorted(run_dir.glob("journal-*.jsonl")):
        for record in _read_journal(path):
            # What a resumed run measured replaces the harness's own failure, and what has a remedy the same without,
            # in whatever order they are read.
            known = state.records.get(record.check_id)
            if known is None or not (record.is_harness_fault or (known.remedy and not record.remedy)):
                state.records[record.check_id] = record
    for path in sorted(run_dir.glob("inflight-*.json")):
        entry = _read_in_flight(path)
        if entry is None or entry.check_id in state.records:
            continue
        before = state.in_flight.get(entry.check_id)
        if before is None or before.attempts < entry.attempts:
            state.in_flight[entry.check_id] = entry
    return state


def _read_journal(path: Path) -> list[Record]:
    try:
        # Bytes, because a cut may fall in the middle of a character.
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}") from None
    records = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            records.append(Record.from_json(json.loads(line)))
        except ValueError:
            if number == len(lines):  # no newline after it: the writer was killed in the middle of it
                continue
            raise HarnessError(f"{path}: line {number} is not JSON: damaged or not a journal") from None
        except HarnessError as error:
            raise HarnessError(f"{path}: line {number}: {error}") from None
    return records


def _read_in_flight(path: Path) -> InFlight | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, HarnessError):
        data = json.loads(path.read_text(encoding="utf-8"))
        return InFlight(Record.from_json(data["begun"]), Phase(data["phase"]), int(data["attempts"]))
    return None


def latest_run(runs: Path, but: Path | None = None) -> Path | None:
    """The run directory in `runs`, other than `but`, whose journal was written to last."""
    journals = [
        (path.stat().st_mtime, path)
        for path in runs.glob("*/journal-*.jsonl")
        if path.parent != but and path.stat().st_size
    ]
    return max(journals)[1].parent if journals else None


def read_run_or_file(path: Path) -> Evidence:
    """Evidence from a run directory, from an evidence file, or from all of those in a folder.

    A check still in flight in a run that nobody resumed is a `crash` at the phase it was in. In a folder the part
    beside a file comes after it, so that of a check in both the part's record is taken.
    """
    if not path.exists():
        raise HarnessError(f"{path}: no such file or run directory")
    if not path.is_dir():
        return read_evidence(path)
    state = read_run(path)
    if not state.records and not state.in_flight:
        if files := sorted(path.glob("*.jsonl")):
            folder = merge_evidence(read_evidence(file) for file in files)
            return Evidence(folder.environments, folder.records, path)
        raise HarnessError(f"{path}: no journal in this directory")
    environment = next(iter(state.environments), "")
    crashed = [entry.as_crash(environment) for entry in state.in_flight.values()]
    part = Evidence(environments=state.environments, records=[*state.records.values(), *crashed], path=path)
    return merge_evidence([part])
