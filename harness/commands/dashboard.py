"""`coreml-harness dashboard`: evidence in, one HTML file out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.evidence.causes import read_causes
from harness.evidence.files import Evidence, merge_evidence, write_text_atomically
from harness.evidence.journal import read_run_or_file
from harness.evidence.triage import named
from harness.evidence.vocabulary import HarnessError
from harness.publish.dashboard import dashboard_data
from harness.publish.dashboard_compare import compare_runs
from harness.publish.dashboard_libraries import installed_libraries
from harness.publish.dashboard_page import render_dashboard
from harness.publish.docs import evidence_paths, universe_of
from harness.publish.model import build_matrix
from harness.publish.summary import count_line
from harness.publish.views import views_of

PAGE = "index.html"
TITLE = "Core ML op support on ExecuTorch"


def run(
    sources: Sequence[Path], reports: Path, known_issues: Path, output: Path | None, against: Path | None
) -> tuple[Path, str]:
    """Write the page; returns its path and what is on it. Raises `HarnessError` before anything is written."""
    libraries = installed_libraries()
    paths = list(sources) or evidence_paths(reports)
    evidence = _read(paths)
    causes = read_causes(known_issues)
    evidence.records = named(evidence, causes)
    matrix = build_matrix(evidence)
    if not matrix.shown:
        held = f"; {matrix.ignored} are of a simulated host" if matrix.ignored else ""
        raise HarnessError(f"{_names(paths)}: no records to show{held}")
    changes = compare_runs(_read([against]), evidence) if against is not None else None
    data = dashboard_data(matrix, views_of(matrix, causes, universe_of(evidence)), causes, changes)
    target = output or reports / PAGE
    write_text_atomically(target, render_dashboard(data, libraries, TITLE))
    return target, count_line(matrix.shown)


def _read(paths: Sequence[Path]) -> Evidence:
    evidence = merge_evidence(read_run_or_file(path) for path in paths)
    if not evidence.records:
        raise HarnessError(f"{_names(paths)}: no records")
    return evidence


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)
