"""The pytest door: options, one item a check, the journal, the judgement by known issues, the summary.

A suite is a module with `cases()` (what it runs) and a test that takes the fixture `check`. The checks run in a child
process; collecting them and judging their records imports no torch.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cases.case import Case, require_match
from harness.cases.find import all_cases
from harness.evidence.causes import read_causes
from harness.evidence.check import Check
from harness.evidence.known_issues import KnownIssues
from harness.evidence.recipe import DEFAULT_RECIPES
from harness.evidence.record import Record
from harness.plugin import profiling
from harness.plugin.refusal import LateExit, one_line
from harness.plugin.run import KNOWN_ISSUES, Run, begin, begun, run_of, suites_folder
from harness.plugin.scheduling import checks_of
from harness.plugin.summary import append_to, write_summary
from harness.process.isolation import DEADLINE
from harness.process.preparing import prepare


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("coreml-harness", "ExecuTorch Core ML conformance")
    group.addoption("--op", action="append", metavar="GLOB", help="operators or API names to check (aten.add*)")
    group.addoption("--unit", action="append", metavar="UNIT", help="where to run; default: every unit of this machine")
    group.addoption(
        "--recipe", action="append", metavar="RECIPE", help=f"default: {' '.join(DEFAULT_RECIPES)}, or a case's own"
    )
    group.addoption(
        "--level", default="standard", metavar="LEVEL", help="smoke, standard (the default) or full: how many cases"
    )
    group.addoption("--ane", action="store_true", help="cases that attract the ANE on every unit, not only where it is")
    group.addoption("--pretrained", action="store_true", help="models with their published weights too: downloads them")
    group.addoption("--shard", metavar="I/N", help="run the I-th of N parts of the cases, of equal length")
    group.addoption("--run-dir", metavar="DIR", help="where records go; a run with the same directory resumes")
    group.addoption("--no-cache", action="store_true", help="lower everything anew")
    group.addoption("--deadline", metavar="SECONDS", help=f"for one check of an operator; default: {DEADLINE:g}")
    profiling.add_options(group)
    group.addoption("--measure", action="store_true", help="record only: no outcome of the backend fails the run")
    group.addoption(
        "--ways-around", action="store_true", help="then find what helps, for one failing check a cause and operator"
    )
    group.addoption("--summary", metavar="FILE", help="append what was found as Markdown, as to $GITHUB_STEP_SUMMARY")
    group.addoption(
        "--update-known-issues", action="store_true", help="rewrite the known issues to agree with this run"
    )


def pytest_configure(config: pytest.Config) -> None:
    with one_line():
        run = begin(config)
        config.pluginmanager.register(run.scheduling)
        if not run.is_worker:
            _refuse_early(run)
        if suites_folder(config) is not None:
            # Items and reports of thousands of checks stay to the end: the collector would walk them again and again.
            gc.set_threshold(50_000, 20, 20)
        if run.profile is not None:
            config.pluginmanager.register(run.profile)


def _refuse_early(run: Run) -> None:
    """Raises `HarnessError` for what cannot be carried out, before workers are started and anything runs."""
    if run.selection.ops:
        require_match(all_cases(), run.selection.ops)
    folder = suites_folder(run.config)
    if folder is not None:
        (read_causes if run.measures else KnownIssues.read)(folder / KNOWN_ISSUES)
    if run.read_only:
        return
    if run.config.getoption("--run-dir"):
        run.read()
    if run.config.getoption("--summary"):
        append_to(Path(run.config.getoption("--summary")), "")
    _ = run.scheduling.durations  # a damaged table is told here
    processes = getattr(run.config.option, "numprocesses", None)
    prepare(run.selection.units, print, processes if isinstance(processes, int) else 1)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(LateExit())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["run_dir"] = str(run_of(node.config).directory)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cases = getattr(metafunc.module, "cases", None)
    if "check" not in metafunc.fixturenames or cases is None:
        return
    run = run_of(metafunc.config)
    found = list(cases())
    if metafunc.config.getoption("--pretrained"):
        found += getattr(metafunc.module, "pretrained", tuple)()
    with one_line():
        chosen = run.selection.cases(found, lambda: run.scheduling.durations)
    parameters = [
        pytest.param(one := Check(case, recipe, unit), id=str(one))
        for case in chosen
        for recipe in run.selection.recipes_of(case)
        for unit in run.selection.units
        if run.selection.pairs(case, unit)
    ]
    metafunc.parametrize("check", parameters, indirect=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Open the run directory before the first check."""
    run = run_of(session.config)
    run.collected = [str(check) for item in session.items for check in checks_of(item)]
    if run.collected:
        gc.freeze()  # all of it stays
    if run.collected and not run.is_worker and not run.read_only:
        with one_line():
            run.start()


def properties_of(record: Record) -> list[tuple[str, str]]:
    """What a report of the check says beside passed or failed; JUnit files have it as properties."""
    named = {"outcome": str(record.outcome), "phase": str(record.phase), "cause": record.cause or ""}
    return [(name, value) for name, value in named.items() if value]


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Callable[[], Record]:
    """Call it: runs the check, records it, and fails, skips or expects failure as the known issues say."""
    one: Check[Case] = request.param
    run = run_of(request.config)

    def run_check() -> Record:
        with one_line(worker=run.is_worker):
            record = run.record(one, run.causes(request.path))
            request.node.user_properties += properties_of(record)
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
            # As `pytest.xfail` does, which besides has a traceback drawn, with the source of each frame.
            raise pytest.xfail.Exception(judgement.message, pytrace=False)
        return record

    return run_check


@pytest.hookimpl(trylast=True)  # when the workers of xdist are gone
def pytest_sessionfinish(session: pytest.Session) -> None:
    run = begun(session.config)
    if run is None:
        return
    run.close()
    if session.config.getoption("--ways-around") and not (run.is_worker or run.read_only):
        run.look_for_ways_around()
    folder = suites_folder(session.config)
    if folder is None or run.is_worker or run.read_only or run.measures:
        return
    known = KnownIssues.read(folder / KNOWN_ISSUES)
    run.unmatched = known.unmatched(case.id for case in all_cases()) if known.issues else []
    if run.unmatched and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    write_summary(terminalreporter, run_of(config))
