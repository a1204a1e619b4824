"""`coreml-harness explain`: a record, or an error met elsewhere, in words. Without torch but for `--localise`."""

from __future__ import annotations

from pathlib import Path

from harness.evidence.causes import read_causes
from harness.evidence.error_texts import read_error_texts
from harness.evidence.files import Evidence
from harness.evidence.triage import named
from harness.publish.explain import explain, find
from harness.publish.explain_error import NOTHING, explain_error
from harness.publish.priority import NOWHERE, priorities
from harness.publish.remedies import helping
from harness.publish.units_page import beside_text


def record_text(evidence: Evidence, check_id: str, known_issues: Path, *, localise: bool) -> str:
    """The records of a check, one for each environment; `HarnessError` where none or several checks fit."""
    causes = {cause.cause: cause for cause in read_causes(known_issues)}
    records = named(Evidence(evidence.environments, find(evidence, check_id)), list(causes.values()))
    struck = priorities(evidence.records) if any(r.cause for r in records) else {}
    parts = [
        explain(
            r,
            evidence.environments.get(r.environment),
            causes.get(r.cause or ""),
            beside_text(evidence, r),
            helping(r, evidence.records),
            str(struck.get(r.cause or "", NOWHERE)),
        )
        for r in records
    ]
    if localise:
        from harness.diagnosis.localise import run

        parts.append(run(records[0].check_id))
    return "\n\n".join(parts)


def error_text(text: str, known_issues: Path) -> tuple[str, bool]:
    """What is known of an error met elsewhere, and whether anything is."""
    found = explain_error(text, read_causes(known_issues), read_error_texts())
    return found or NOTHING, bool(found)
