"""`Run`: what one process of a session holds while it checks."""

from __future__ import annotations

import contextlib
import datetime
import os
from pathlib import Path
from typing import Any

import pytest

from harness.cases.case import Case
from harness.evidence.causes import Causes, read_causes
from harness.evidence.check import Check
from harness.evidence.environment import environment_block
from harness.evidence.journal import (
    FATAL_ATTEMPTS,
    Journal,
    RunState,
    check_writable,
    hold_to_code,
    read_run,
    write_environment,
)
from harness.evidence.known_issues import KnownIssues
from harness.evidence.record import Record
from harness.evidence.verify import CODE
from harness.evidence.vocabulary import HarnessError, Level, Outcome, Phase
from harness.lowering.fingerprint import PACKAGES, code_digests, code_fingerprint
from harness.plugin import profiling, ways_around
from harness.plugin.scheduling import Scheduling
from harness.plugin.selection import Selection
from harness.process.isolation import IsolatedChecker, Settings
from harness.units import host
from harness.units.registry import connected, unavailable

#: Where a run goes when no directory is named.
RUNS = "runs"
#: What the environment of a measured run has digests of, so that `merge` notices parts measured with other code.
MEASURED_CODE = ("torch", "executorch", "coremltools", "torchao", "harness")
SUITES_FOLDER = "suites"
KNOWN_ISSUES = "known_issues"
_RUN = pytest.StashKey["Run"]()


class Run:
    """What one process of a run holds: selection, run directory, and, once a check is run, journal and child."""

    def __init__(self, config: pytest.Config, selection: Selection) -> None:
        self.config = config
        self.selection = selection
        worker_input = getattr(config, "workerinput", None)
        if worker_input is not None:
            self.directory = Path(worker_input["run_dir"])
            self.worker = worker_input["workerid"]
        else:
            named = config.getoption("--run-dir")
            stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
            self.directory = Path(named) if named else config.rootpath / RUNS / f"{stamp}-{os.getpid()}"
            self.worker = "main"
            self.directory = self.directory.absolute()
        self.collected: list[str] = []
        self.unmatched: list[str] = []
        self.scheduling = Scheduling(config, suites_folder(config), self.directory)
        self.read_only = bool(config.option.collectonly)
        self.measures = bool(config.getoption("--measure") or config.getoption("--update-known-issues"))
        self.profile = None if self.read_only else profiling.asked_for(config, self.directory, self.worker)
        self._issues: dict[Path, KnownIssues] = {}
        self._causes: dict[Path, Causes] = {}
        self._open: tuple[Journal, IsolatedChecker] | None = None
        self._environment, self._block = "", dict[str, Any]()
        self._before: dict[str, Record] = {}
        self._attempts: dict[str, Any] = {}

    @property
    def is_worker(self) -> bool:
        return self.worker != "main"

    def read(self) -> RunState:
        """What the run directory knows. Raises `HarnessError` when this run cannot go on in it."""
        check_writable(self.directory)
        state = read_run(self.directory)
        self._environment, self._block = environment_block(
            simulated_macos=host.simulated_macos(), connected=connected(self.selection.units)
        )
        if others := [name for name in state.environments if name != self._environment]:
            raise HarnessError(f"{self.directory}: holds a run of another environment, {others[0]}")
        if not self.is_worker:
            hold_to_code(self.directory, code_fingerprint((*PACKAGES, "harness")))
        return state

    def start(self) -> tuple[Journal, IsolatedChecker]:
        """Open the journal and read what the run directory knows; done by the first check of a process."""
        if self._open is None:
            with self._stage("write"):
                self._open = self._started()
        return self._open

    def _started(self) -> tuple[Journal, IsolatedChecker]:
        state = self.read()
        use_cache, profile = not self.config.getoption("--no-cache"), self.profile
        settings = Settings(self._environment, use_cache, self.selection.deadline, profile.flames if profile else None)
        checker = IsolatedChecker(settings, watch=profile.watch if profile else None)
        if self._environment not in state.environments:
            self._block["devices"] = checker.devices()
            if self.measures:
                self._block[CODE] = code_digests(MEASURED_CODE)
        write_environment(self.directory, self._environment, self._block)
        # What failed by the harness's own fault is tried again.
        self._before = {name: record for name, record in state.records.items() if not record.is_harness_fault}
        self._attempts = state.in_flight
        return Journal(self.directory, f"{self.worker}-{os.getpid()}"), checker

    def _stage(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self.profile.stage(name) if self.profile else contextlib.nullcontext()

    def record(self, check: Check[Case], causes: Causes) -> Record:
        """The record of a check: the one a resumed run has already, or a new one, appended as soon as it exists."""
        journal, checker = self.start()
        identity = str(check)
        if identity in self._before:
            return self._before[identity]
        interrupted = self._attempts.get(identity)
        attempts = interrupted.attempts + 1 if interrupted else 1
        record = self._unavailable(check)
        if record is None and interrupted is not None and attempts > FATAL_ATTEMPTS:
            record = interrupted.as_crash(self._environment)
        if record is None:
            journal.begin(check, attempts)
            record = checker.check(check, journal.phase)
        with self._stage("write"):
            record = causes.name(record)
            journal.append(record)
        return record

    def unrecorded(self, check: Check[Case]) -> Record:
        """A check outside of the journal: of many drawn while exploring only what was found is kept, by `append`."""
        _, checker = self.start()
        return self._unavailable(check) or checker.check(check)

    def _unavailable(self, check: Check[Case]) -> Record | None:
        """The record of a unit this machine does not have; nothing is done for it."""
        reason = unavailable(check.unit, check.recipe.loaded_as.name)
        if reason is None:
            return None
        return Record.of(check, Outcome.NOT_RUN, Phase.LOAD, reason=reason, environment=self._environment)

    def append(self, record: Record) -> None:
        """Keep a record that was made by `unrecorded`."""
        journal, _ = self.start()
        with self._stage("write"):
            journal.append(record)

    def causes(self, suite_file: Path) -> Causes:
        """Those described beside the suites the file belongs to."""
        directory = suite_file.parent.parent / KNOWN_ISSUES
        if directory not in self._causes:
            with self._stage("write"):
                self._causes[directory] = Causes(read_causes(directory))
        return self._causes[directory]

    def known_issues(self, suite_file: Path) -> KnownIssues:
        """Those beside the suites the file belongs to."""
        directory = suite_file.parent.parent / KNOWN_ISSUES
        if directory not in self._issues:
            with self._stage("write"):
                self._issues[directory] = KnownIssues.read(directory)
        return self._issues[directory]

    def look_for_ways_around(self) -> None:
        """With as many processes as the run had, which has ended: what is found is told on the terminal."""
        reporter: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        processes = getattr(self.config.option, "numprocesses", None)
        workers = processes if isinstance(processes, int) else 1
        settings = Settings(self._environment, not self.config.getoption("--no-cache"), self.selection.deadline)
        reporter.ensure_newline()
        most = None if self.selection.level is Level.FULL else ways_around.OF_A_CAUSE
        ways_around.look(self.directory, settings, workers, reporter.write_line, of_a_cause=most)

    def close(self) -> None:
        if self._open is not None:
            journal, checker = self._open
            checker.close()
            journal.close()
            self._open = None
            if self.profile is not None:
                self.profile.close(checker.checks)
        elif self.profile is not None and self.is_worker and self.directory.is_dir():
            self.profile.close(0)  # it waited for work while others had some


def run_of(config: pytest.Config) -> Run:
    """The run a session is."""
    return config.stash[_RUN]


def begin(config: pytest.Config) -> Run:
    """Make the run of a session; raises `HarnessError` for options that cannot be understood."""
    run = config.stash[_RUN] = Run(config, Selection(config))
    return run


def begun(config: pytest.Config) -> Run | None:
    """The run of a session, None where it never began."""
    return config.stash.get(_RUN, None)


def suites_folder(config: pytest.Config) -> Path | None:
    """`suites` of this project, when what is to be run lies in it."""
    suites = config.rootpath / SUITES_FOLDER
    for argument in config.args:
        path = config.invocation_params.dir / argument.partition("::")[0]
        if path.is_relative_to(suites):
            return suites
    return None
