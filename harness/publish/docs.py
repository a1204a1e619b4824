"""The pages on disk: written from `<reports>/evidence/*.jsonl`, or compared with what that evidence says now."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from harness.evidence.causes import read_causes
from harness.evidence.features import read_features
from harness.evidence.files import Evidence, merge_evidence, read_evidence, write_text_atomically
from harness.evidence.partitioner_rules import PartitionerRule, read_rules
from harness.evidence.triage import named
from harness.evidence.universe import MEASURED_BY, Universe, has_universe, read_universe
from harness.evidence.vocabulary import HarnessError
from harness.publish.coverage import read_reasons
from harness.publish.issue import find_cause, issue
from harness.publish.model import build_matrix
from harness.publish.pages import EXECUTORCH_PAGES, FINDINGS_PAGE, build_pages
from harness.publish.scripts import build_scripts

#: Why operators of the universe have no case, beside the folder of known issues.
UNCOVERED = Path("ops/uncovered.yaml")


@dataclass(frozen=True)
class StalePage:
    """A page that is not what its evidence says; `line`, from 1, is the first that differs, 0 when it is missing."""

    name: str
    line: int
    expected: str | None = None
    found: str | None = None

    def __str__(self) -> str:
        if not self.line:
            return f"{self.name}: missing"
        return f"{self.name}: line {self.line}: expected {_quote(self.expected)}, found {_quote(self.found)}"


def _quote(line: str | None, limit: int = 100) -> str:
    if line is None:
        return "the end"
    return repr(line if len(line) <= limit else line[:limit] + "…")


def evidence_paths(reports_dir: Path) -> list[Path]:
    """The committed evidence, sorted by name; `HarnessError` when there is none."""
    paths = sorted((reports_dir / "evidence").glob("*.jsonl"))
    if not paths:
        raise HarnessError(f"{reports_dir / 'evidence'}: no evidence files (*.jsonl) there")
    return paths


def generate(reports_dir: Path, only: Iterable[str] | None = None, known_issues: Path | None = None) -> dict[str, str]:
    """`{file name: content}` of all pages, or of the named ones, below the reports.

    With known issues the causes are the package's and those beside them; the page of findings comes with its scripts.
    """
    paths = evidence_paths(reports_dir)
    evidence = merge_evidence(read_evidence(path) for path in paths)
    causes = read_causes(known_issues) if known_issues is not None else []
    evidence.records = named(evidence, causes)
    uncovered = known_issues.parent / UNCOVERED if known_issues is not None else None
    reasons = read_reasons(uncovered) if uncovered is not None and uncovered.exists() else {}
    names = [f"evidence/{path.name}" for path in paths]
    pages = build_pages(
        build_matrix(evidence), names, causes, universe_of(evidence), reasons, rules_of(evidence), read_features()
    )
    scripts = build_scripts(causes)
    if only is None:
        return pages | scripts
    wanted = tuple(only)
    return {name: pages[name] for name in wanted} | (scripts if FINDINGS_PAGE in wanted else {})


def issue_text(cause: str, reports_dir: Path, known_issues: Path) -> str:
    """The text of an upstream issue about a cause. Raises `HarnessError` for an unknown one."""
    causes = read_causes(known_issues)
    found = find_cause(cause, causes)
    evidence = merge_evidence(read_evidence(path) for path in evidence_paths(reports_dir))
    return issue(found, named(evidence, causes), evidence.environments, reports_dir)


def rules_of(evidence: Evidence) -> list[PartitionerRule]:
    """The partitioner's rules in the measured version of ExecuTorch; none when versions differ."""
    versions = {(block.get("versions") or {}).get("executorch") or "" for block in evidence.environments.values()}
    return read_rules(versions.pop()) if len(versions) == 1 else []


def universe_of(evidence: Evidence) -> Universe | None:
    """The operator universe of the measured versions; None when they differ or have none."""
    blocks = [block.get("versions") or {} for block in evidence.environments.values()]
    measured = {tuple((block.get(package) or "").split("+")[0] for package in MEASURED_BY) for block in blocks}
    return read_universe(blocks[0]) if len(measured) == 1 and has_universe(blocks[0]) else None


def write_docs(reports_dir: Path, only: Iterable[str] | None = None, known_issues: Path | None = None) -> list[Path]:
    """Write the pages into `reports_dir`; returns their paths."""
    written = []
    for name, text in generate(reports_dir, only, known_issues).items():
        path = Path(os.path.normpath(reports_dir / name))
        write_text_atomically(path, text)
        written.append(path)
    return written


def check_docs(
    reports_dir: Path, only: Iterable[str] | None = None, known_issues: Path | None = None
) -> list[StalePage]:
    """The pages that differ from what the evidence says, by name; empty when all are fresh."""
    pages = sorted(generate(reports_dir, only, known_issues).items())
    return [stale for name, text in pages if (stale := _compare(reports_dir / name, name, text))]


def _compare(path: Path, name: str, expected: str) -> StalePage | None:
    try:
        found = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return StalePage(name, 0)
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path}: cannot read: {error}") from None
    if found == expected:
        return None
    pairs = zip_longest(expected.split("\n"), found.split("\n"), fillvalue=None)
    number, (wanted, got) = next((n, pair) for n, pair in enumerate(pairs, start=1) if pair[0] != pair[1])
    return StalePage(name, number, wanted, got)


__all__ = [
    "EXECUTORCH_PAGES",
    "FINDINGS_PAGE",
    "StalePage",
    "check_docs",
    "evidence_paths",
    "generate",
    "issue_text",
    "write_docs",
]
