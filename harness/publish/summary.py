"""Counts by outcome: for the end of a test run, and for the pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tabulate import tabulate

from harness.evidence.record import Record
from harness.evidence.vocabulary import BY_VALUE, ORDER, OUTCOME_MEANINGS, Outcome
from harness.publish.environments import describe_environment
from harness.publish.markdown import code, counted, plain, table
from harness.publish.model import Column

#: A job's summary is for reading: the log has them all.
MOST_RED = 50


def count_table(records: Iterable[Record]) -> tuple[list[str], list[list[str]]]:
    """`(headers, rows)`: an outcome a row, `recipe unit` a column, a total at the end of each; only outcomes seen."""
    counts: dict[Column, Counter[Outcome]] = {}
    for record in records:
        counts.setdefault(Column(record.recipe, record.unit, ""), Counter())[record.outcome] += 1
    columns = sorted(counts, key=Column.sort_key)
    total = sum(counts.values(), Counter[Outcome]())
    headers = ["outcome", *(f"{column.recipe} {column.unit}" for column in columns), "all"]
    rows = [
        [str(outcome), *(str(counts[column][outcome] or "") for column in columns), str(total[outcome])]
        for outcome in ORDER
        if total[outcome]
    ]
    rows.append(["checks", *(str(counts[column].total()) for column in columns), str(total.total())])
    return headers, rows


def summary_text(records: Sequence[Record]) -> str:
    """The count table as aligned plain text; one sentence when there is no record."""
    if not records:
        return "no checks recorded"
    headers, rows = count_table(records)
    align = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True, colalign=align)


def summary_markdown(
    environments: Mapping[str, dict[str, Any]], records: Sequence[Record], red: Sequence[tuple[str, str]] = ()
) -> str:
    """The environments, the count table, and the items that are `red`, name and message, as Markdown."""
    lines = ["## Core ML conformance", *(f"- {plain(describe_environment(block))}" for block in environments.values())]
    headers, rows = count_table(records)
    blocks = ["\n".join(lines), table(headers, rows, ["left", *["right"] * (len(headers) - 1)])]
    if red:
        shown = [
            (code(name.rpartition("[")[2].rstrip("]")), plain(message.strip())) for name, message in red[:MOST_RED]
        ]
        blocks += [f"### {counted(len(red), 'check')} red", table(("check", "why"), shown)]
    return "\n\n".join(blocks) + "\n"


def one_failure(records: Sequence[Record]) -> str:
    """The error, where several checks all end in the very same (the backend does not work at all here); else empty."""
    errors = [record.error for record in records if record.error is not None]
    if len(records) < 2 or len(errors) < len(records) or len({(e.type, e.message) for e in errors}) > 1:
        return ""
    return f"all {len(records)} checks end alike in {records[0].phase}: {errors[0].type}: {errors[0].message}"


def count_line(records: Iterable[Record]) -> str:
    """`120 checks: 100 pass, 20 fallback`."""
    total = Counter(record.outcome for record in records)
    parts = ", ".join(f"{total[outcome]} {outcome}" for outcome in ORDER if total[outcome])
    return f"{total.total()} checks" + (f": {parts}" if parts else "")


def what_went_wrong(record: Record) -> str:
    """The shortest true sentence about a record: its error's signature, its reason, or what its outcome means."""
    if record.outcome in BY_VALUE and record.reason:
        return record.reason
    if record.error and (record.error.signature or record.error.message):
        return record.error.text
    return record.reason or OUTCOME_MEANINGS[record.outcome]
