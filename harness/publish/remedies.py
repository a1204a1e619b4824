"""Ways around, as records hold them, in words: of one record, and of a cause over its operators."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence

from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.remedy import Remedy, code, leads_to, summary
from harness.evidence.vocabulary import HarnessError
from harness.publish.markdown import counted


def of_record(record: Record) -> str:
    """The way around of a record: what to change, what it leads to, and the code to paste; empty where none was looked
    for."""
    remedy = record.remedy
    if remedy is None:
        return ""
    if remedy.outcome is None:
        return summary(remedy)
    tried = f"{leads_to(remedy)} ({counted(remedy.tries, 'lowering')} tried)"
    lines = [summary(remedy), tried]
    with contextlib.suppress(HarnessError):  # a recipe of another version
        lines += code(remedy, Recipe.parse(record.recipe)).splitlines()
    return "\n".join(lines)


def helping(record: Record, records: Sequence[Record]) -> str:
    """As `of_record`; of a record without, that of another check of its cause and operator, by its name."""
    if record.remedy is not None:
        return of_record(record)
    other = sibling(record, records)
    return f"of {other.check_id}:\n{of_record(other)}" if other is not None else ""


def sibling(record: Record, records: Sequence[Record]) -> Record | None:
    """A record of the same cause and operator for which a way around was looked for; None where there is none."""
    found = (r for r in records if r.remedy is not None and (r.cause, r.op) == (record.cause, record.op))
    return next(found, None) if record.cause else None


def of_cause(records: Sequence[Record]) -> str:
    """What was found for the operators of a cause: `found for 12 of 13 operators: 9 left to ExecuTorch, 3 decomposed`;
    empty where nothing was looked for."""
    tried = [record.remedy for record in records if record.remedy is not None]
    if not tried:
        return ""
    verified = [remedy for remedy in tried if remedy.is_verified]
    lacking = [remedy for remedy in tried if remedy.outcome is not None and not remedy.is_verified]
    hopeless = len(tried) - len(verified) - len(lacking)
    told = [f"verified for {len(verified)} of {counted(len(tried), 'operator')}"]
    told += [f"{count} by {kind}" for kind, count in Counter(map(_kind, verified)).most_common()]
    if lacking:
        told.append(f"{len(lacking)} would need kernels that ExecuTorch does not have")
    if hopeless:
        told.append(f"for {hopeless} nothing of what was tried helps")
    return "; ".join(told)


def _kind(remedy: Remedy) -> str:
    kinds = []
    if remedy.rewrite:
        kinds.append(f"a rewrite ({remedy.rewrite.replace('_', ' ')})")
    if remedy.recipe:
        kinds.append(f"lowering by {remedy.recipe}")
    if remedy.skip:
        kinds.append("leaving operators to ExecuTorch" if remedy.left else "having operators decomposed")
    if remedy.preserve or remedy.unchecked:
        kinds.append("an option of the edge dialect")
    return " and ".join(kinds)
