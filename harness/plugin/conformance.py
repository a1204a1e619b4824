"""The pytest door: options, one item a check, the journal, the judgement by known issues, the summary.

A suite is a module with `cases()` (what it runs) and a test that takes the fixture `check`. The checks run in a child
process; collecting them and judging their records imports no torch.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.cases.case import Case, at_level, matches_op, require_match
from harness.cases.find import all_cases
from harness.evidence.causes import Causes, read_causes
from harness.evidence.check import Check
from harness.evidence.durations import Durations, deal
from harness.evidence.environment import environment_block
from harness.evidence.files import is_simulated
from harness.evidence.journal import (
    FATAL_ATTEMPTS,
    Journal,
    RunState,
    check_writable,
    hold_to_code,
    read_run,
    read_run_or_file,
    write_environment,
)
from harness.evidence.known_issues import KnownIssues, describe, read_known_issues, write_known_issues
from harness.evidence.recipe import DEFAULT_RECIPES, Recipe
from harness.evidence.record import Record
from harness.evidence.triage import update
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HarnessError, Level, Outcome, Phase
from harness.lowering.fingerprint import PACKAGES, code_fingerprint
from harness.plugin import profiling
from harness.plugin.scheduling import Scheduling, checks_of
from harness.process.isolation import DEADLINE, IsolatedChecker, Settings
from harness.process.preparing import prepare
from harness.units import host
from harness.units.registry import connected, unavailable, units_here

#: Where a run goes when no directory is named.
RUNS = "runs"
SUITES_FOLDER = "suites"
KNOWN_ISSUES = "known_issues"
_RUN = pytest.StashKey["Run"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("coreml-harness", "ExecuTorch Core ML conformance")
    group.addoption("--op", action="append", metavar="GLOB", help="operators or API names to check (aten.add*)")
    group.addoption("--unit", action="append", metavar="UNIT", help="where to run; default: every unit of this machine")
    group.addoption("--recipe", action="append", metavar="RECIPE", help=f"default: {' '.join(DEFAULT_RECIPES)}")
    group.addoption(
        "--level", default="standard", metavar="LEVEL", help="smoke, standard (the default) or full: how many cases"
    )
    group.addoption("--ane", action="store_true", help="cases that attract the ANE on every unit, not only where it is")
    group.addoption("--shard", metavar="I/N", help="run the I-th of N parts of the cases, of equal length")
    group.addoption("--run-dir", metavar="DIR", help="where records go; a run with the same directory resumes")
    group.addoption("--no-cache", action="store_true", help="lower everything anew")
    group.addoption("--deadline", metavar="SECONDS", help=f"for one check of an operator; default: {DEADLINE:g}")
    profiling.add_options(group)
    group.addoption("--measure", action="store_true", help="record only: no outcome of the backend fails the run")
    group.addoption(
        "--update-known-issues", action="store_true", help="rewrite the known issues to agree with this run"
    )


class Selection:
    """The options, understood; raises `HarnessError` for what cannot be."""

    def __init__(self, config: pytest.Config) -> None:
        self.units = [UnitSpec.parse(name) for name in config.getoption("--unit") or ()] or units_here()
        self.recipes = [Recipe.parse(name) for name in config.getoption("--recipe") or DEFAULT_RECIPES]
        self.ops: list[str] = config.getoption("--op") or []
        self.ane = bool(config.getoption("--ane"))
        try:
            self.level = Level(config.getoption("--level"))
        except ValueError:
            levels = ", ".join(Level)
            raise HarnessError(f"unknown level {config.getoption('--level')!r}: expected one of {levels}") from None
        self.shard = parse_shard(config.getoption("--shard"))
        self.deadline = parse_deadline(config.getoption("--deadline"))
        self._loads = [0.0] * self.shard[1]

    def cases(self, cases: Sequence[Case], durations: Callable[[], Durations] = Durations) -> list[Case]:
        """Those of the level, operators, units and shard asked for.

        Shards are even over all suites together, those asked for before included; each case is in one of them.
        """
        chosen = [case for case in at_level(cases, self.level) if any(self.pairs(case, unit) for unit in self.units)]
        if self.ops:
            chosen = [case for case in chosen if any(matches_op(case, pattern) for pattern in self.ops)]
        index, count = self.shard
        if count == 1:
            return chosen
        expected = durations()
        seconds = [expected.everywhere(case.id, whole_model=case.whole_model) for case in chosen]
        return [case for case, part in zip(chosen, deal(seconds, self._loads), strict=True) if part == index - 1]

    def pairs(self, case: Case, unit: UnitSpec) -> bool:
        """Whether the case is checked on this unit."""
        return self.ane or case.runs_on(unit)


def parse_shard(text: str | None) -> tuple[int, int]:
    """`(I, N)` of `I/N`, counted from 1; raises `HarnessError`."""
    if text is None:
        return 1, 1
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise HarnessError(f"--shard {text}: expected I/N with 1 <= I <= N")
    return int(first), int(second)


def parse_deadline(text: str | None) -> float:
    """Seconds; raises `HarnessError`."""
    try:
        seconds = DEADLINE if text is None else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise HarnessError(f"--deadline {text}: expected a number of seconds above 0")
    return seconds


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
        self.scheduling = Scheduling(config, _suites_folder(config), self.directory)
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
        reason = unavailable(check.unit, check.recipe.target)
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


def pytest_configure(config: pytest.Config) -> None:
    with one_line():
        run = config.stash[_RUN] = Run(config, Selection(config))
        config.pluginmanager.register(run.scheduling)
        if not run.is_worker:
            _refuse_early(run)
        if _suites_folder(config) is not None:
            # Items and reports of thousands of checks stay to the end: the collector would walk them again and again.
            gc.set_threshold(50_000, 20, 20)
        if run.profile is not None:
            config.pluginmanager.register(run.profile)


def _refuse_early(run: Run) -> None:
    """Raises `HarnessError` for what cannot be carried out, before workers are started and anything runs."""
    if run.selection.ops:
        require_match(all_cases(), run.selection.ops)
    folder = _suites_folder(run.config)
    if folder is not None:
        (read_causes if run.measures else KnownIssues.read)(folder / KNOWN_ISSUES)
    if run.read_only:
        return
    if run.config.getoption("--run-dir"):
        run.read()
    _ = run.scheduling.durations  # a damaged table is told here
    processes = getattr(run.config.option, "numprocesses", None)
    prepare(run.selection.units, print, processes if isinstance(processes, int) else 1)


def _suites_folder(config: pytest.Config) -> Path | None:
    """`suites` of this project, when what is to be run lies in it."""
    suites = config.rootpath / SUITES_FOLDER
    for argument in config.args:
        path = config.invocation_params.dir / argument.partition("::")[0]
        if path.is_relative_to(suites):
            return suites
    return None


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


class _LateExit:
    """pytest names the reason of an exit on stderr until the session has begun, after that on stdout only."""

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.exit.Exception) and excinfo.value.returncode == 2:
            print(f"Exit: {excinfo.value.msg}", file=sys.stderr)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_LateExit())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["run_dir"] = str(node.config.stash[_RUN].directory)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = getattr(metafunc.module, "cases", None)
    if "check" not in metafunc.fixturenames or cases is None:
        return
    run = metafunc.config.stash[_RUN]
    with one_line():
        chosen = run.selection.cases(cases(), lambda: run.scheduling.durations)
    parameters = [
        pytest.param(check := Check(case, recipe, unit), id=str(check))
        for case in chosen
        for recipe in run.selection.recipes
        for unit in run.selection.units
        if run.selection.pairs(case, unit)
    ]
    metafunc.parametrize("check", parameters, indirect=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Open the run directory before the first check."""
    run = session.config.stash[_RUN]
    run.collected = [str(check) for item in session.items for check in checks_of(item)]
    if run.collected:
        gc.freeze()  # all of it stays
    if run.collected and not run.is_worker and not run.read_only:
        with one_line():
            run.start()


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Callable[[], Record]:
    """Call it: runs the check, records it, and fails, skips or expects failure as the known issues say."""
    one: Check[Case] = request.param
    run = request.config.stash[_RUN]

    def run_check() -> Record:
        with one_line(worker=run.is_worker):
            record = run.record(one, run.causes(request.path))
            request.node.user_properties.append(("outcome", str(record.outcome)))
            if run.measures:
                if record.is_harness_fault and record.error is not None:
                    pytest.fail(f"{record.check_id}\n{record.error.message}", pytrace=False)
                return record
            judgement = run.known_issues(request.path).judge(record)
        if judgement.verdict == "red":
            pytest.fail(f"{record.check_id}\n{judgement.message}", pytrace=False)
        if judgement.verdict == "unjudged":
            pytest.skip(judgement.message)
        if judgement.verdict == "expected":
            # As `pytest.xfail` does, which besides has the traceback drawn, with the source of each frame: 4 ms a check.
            raise pytest.xfail.Exception(judgement.message, pytrace=False)
        return record

    return run_check


def pytest_sessionfinish(session: pytest.Session) -> None:
    run = session.config.stash.get(_RUN, None)
    if run is None:
        return
    run.close()
    folder = _suites_folder(session.config)
    if folder is None or run.is_worker or run.read_only or run.measures:
        return
    known = KnownIssues.read(folder / KNOWN_ISSUES)
    run.unmatched = known.unmatched(case.id for case in all_cases()) if known.issues else []
    if run.unmatched and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    run = config.stash[_RUN]
    # xdist's workers summarise too, unseen: only the process that sees all records may speak, and rewrite.
    if run.is_worker or run.read_only or not (run.directory / "environment.json").exists():
        return
    from harness.publish.summary import one_failure, summary_text

    collected = set(run.collected) or _collected_by_workers(config)
    if not collected:
        return
    evidence = read_run_or_file(run.directory)
    records = [record for record in evidence.records if record.check_id in collected]
    terminalreporter.section("Core ML conformance")
    terminalreporter.write_line(summary_text(records))
    if alike := one_failure(records):
        terminalreporter.write_line(f"\n{alike}")
    terminalreporter.write_line(f"\nchecks collected: {len(collected)}, records written: {len(records)}")
    shown = _shown(run.directory, config)
    terminalreporter.write_line(f"records: {shown}")
    terminalreporter.write_line(
        f"reports: reports/op-support.md, after coreml-harness merge {shown} && coreml-harness docs"
    )
    simulated = any(is_simulated(block) for block in evidence.environments.values())
    for line in _known_issue_lines(run, records, config, simulated):
        terminalreporter.write_line(line)


def _collected_by_workers(config: pytest.Config) -> set[str]:
    """Under xdist the controller collects nothing itself; its scheduler holds what the workers collected."""
    session = config.pluginmanager.get_plugin("dsession")
    scheduler = getattr(session, "sched", None)
    collections = getattr(scheduler, "registered_collections", None) or {}
    names = next(iter(collections.values()), ())
    identities = {name.partition("[")[2][:-1] for name in names if name.endswith("]") and name.count("@") == 2}
    # An item that explores an operator is no check: it names no case.
    return {identity for identity in identities if "/" in identity}


def _known_issue_lines(run: Run, records: Sequence[Record], config: pytest.Config, simulated: bool) -> Iterator[str]:
    """What units of Core ML do otherwise than the entries say, and entries that name no check of any suite; with
    `--update-known-issues`, what was rewritten, which nothing of a simulated host is."""
    from harness.publish.triage import changes_text, triage_text

    directory = config.rootpath / SUITES_FOLDER / KNOWN_ISSUES
    if config.getoption("--update-known-issues"):
        if simulated:
            yield "known issues: not rewritten by the records of a simulated host"
            return
        causes = read_causes(directory)
        before = read_known_issues(directory, causes, triage=True)
        after = update(before, records, causes)
        write_known_issues(directory, after)
        here = Causes(causes)
        yield changes_text(before, after)
        yield triage_text([here.name(record) for record in records], causes)
        return
    if not run.measures and any(record.unit_spec.runs_core_ml for record in records):
        yield from KnownIssues.read(directory).unit_lines(records)
    for line in run.unmatched:
        yield f"known issue names no check: {line}"


def _shown(path: Path, config: pytest.Config) -> str:
    return str(path.relative_to(config.rootpath)) if path.is_relative_to(config.rootpath) else str(path)


__all__ = ["Run", "Selection", "describe", "parse_shard"]
