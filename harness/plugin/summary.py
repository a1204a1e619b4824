"""The end of a session on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.evidence.causes import Causes, read_causes
from harness.evidence.files import is_simulated
from harness.evidence.ids import check_of_item
from harness.evidence.journal import read_run_or_file
from harness.evidence.known_issues import KnownIssues, read_known_issues, write_known_issues
from harness.evidence.record import Record
from harness.evidence.triage import update
from harness.evidence.vocabulary import HarnessError
from harness.plugin.run import KNOWN_ISSUES, SUITES_FOLDER, Run


def write_summary(terminalreporter: Any, run: Run) -> None:
    """Counts, where the records are, and what known issues say of them; rewrites them where that was asked for."""
    config = run.config
    # xdist's workers summarise too, unseen: only the process that sees all records may speak, and rewrite.
    if run.is_worker or run.read_only or not (run.directory / "environment.json").exists():
        return
    from harness.publish.summary import one_failure, summary_markdown, summary_text

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
    if config.getoption("--summary"):
        red = [(report.nodeid, str(report.longrepr)) for report in terminalreporter.stats.get("failed", ())]
        append_to(Path(config.getoption("--summary")), summary_markdown(evidence.environments, records, red))


def append_to(path: Path, text: str) -> None:
    """Raises `HarnessError` when nothing can be added to the file."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise HarnessError(f"--summary {path}: cannot write: {error.strerror}") from None


def _collected_by_workers(config: pytest.Config) -> set[str]:
    """Under xdist the controller collects nothing itself; its scheduler holds what the workers collected."""
    session = config.pluginmanager.get_plugin("dsession")
    scheduler = getattr(session, "sched", None)
    collections = getattr(scheduler, "registered_collections", None) or {}
    names = next(iter(collections.values()), ())
    # An item that explores an operator is no check.
    return {identity for name in names if (identity := check_of_item(name))}


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
