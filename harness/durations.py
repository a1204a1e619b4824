"""`python -m harness.durations RUN...`: bring the committed table of cases that take long up to these runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.evidence.durations import TABLE_FILE, case_seconds, read_table, updated, write_table
from harness.evidence.journal import read_run_or_file
from harness.evidence.vocabulary import HarnessError, Unit
from harness.lowering.recipe import DEFAULT_RECIPES


def main(arguments: Sequence[str], suites: Path = Path("suites")) -> int:
    """Write SUITES/durations.txt; returns the exit code."""
    from harness.cases.find import all_cases

    try:
        if not arguments:
            raise HarnessError("name the run directories to take the times from")
        records = [record for run in arguments for record in read_run_or_file(Path(run)).records]
        # Runs of other units and recipes would rewrite the table by what they ran, not by what takes long.
        alike = [r for r in records if r.unit == Unit.REFERENCE and r.recipe in DEFAULT_RECIPES]
        measured = case_seconds(alike)
        if not measured:
            raise HarnessError(f"{', '.join(arguments)}: no recorded times of the reference unit")
        path = suites / TABLE_FILE
        before = read_table(path)
        after = updated(before, measured, {case.id for case in all_cases()})
        write_table(path, after)
    except HarnessError as error:
        print(f"harness.durations: {error}", file=sys.stderr)
        return 2
    changed = sum(before.get(case) != after.get(case) for case in before.keys() | after.keys())
    print(f"wrote {path}: {len(after)} cases, {changed} changed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
