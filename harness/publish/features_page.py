"""The page of features: each with its promise, its checks and outcomes, and what limits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from harness.evidence.features import Feature, records_of
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import ORDER, UNJUDGED, WORKING
from harness.publish.environments import describe_environment
from harness.publish.findings import cause_links
from harness.publish.markdown import code, codes, counted, table, words
from harness.publish.model import Matrix

PAGE = "features.md"
NO_EVIDENCE = "**no evidence**"
#: Causes named in a line.
SHOWN = 8


def features_context(matrix: Matrix, features: Sequence[Feature]) -> dict[str, Any]:
    """What the page's template needs."""
    shown = records_of(features, matrix.shown)
    groups: dict[str, list[list[str]]] = {}
    for feature in features:
        groups.setdefault(feature.group, []).append(_line(feature, shown[feature.name]))
    headers = ["feature", "promise", "checks", "outcomes", "limited by", "for example"]
    missing = [f.name for f in features if _proof(f, shown[f.name]) == NO_EVIDENCE]
    return {
        "environments": [describe_environment(block) for _, block in sorted(matrix.described.items())],
        "features": counted(len(features), "feature"),
        "checks": len({record.check_id for records in shown.values() for record in records}),
        "missing": codes(missing, limit=None),
        "hardware": sum(feature.hardware_only for feature in features),
        "groups": [{"title": title, "table": table(headers, rows)} for title, rows in groups.items()],
    }


def _line(feature: Feature, records: Sequence[Record]) -> list[str]:
    causes = Counter(r.cause for r in records if r.cause and r.outcome not in UNJUDGED)
    return [
        words(feature.name),
        f"{words(feature.promise)} ([source]({feature.source}))",
        _proof(feature, records),
        _outcomes(records),
        _limits(causes, feature.causes),
        _example(records),
    ]


def _limits(causes: Counter[str], unseen: Sequence[str]) -> str:
    """The causes with the most checks, and how many more there are; then those that no check meets."""
    ordered = sorted(causes, key=lambda cause: (-causes[cause], cause))
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    seen = [cause_links(ordered[:SHOWN]) + more] if ordered else []
    return ", ".join([*seen, *(code(cause) for cause in unseen if cause not in causes)])


def _proof(feature: Feature, records: Sequence[Record]) -> str:
    parts = [str(len(records))] if records else []
    parts += [f"[{path.rpartition('/')[2]}](../{path})" for path in feature.tests]
    if not parts and not feature.hardware_only:
        return NO_EVIDENCE
    if feature.hardware:
        parts.append(f"hardware only: {words(feature.hardware)}")
    return "; ".join(parts)


def _outcomes(records: Sequence[Record]) -> str:
    counts = Counter(record.outcome for record in records)
    return ", ".join(f"{outcome} {counts[outcome]}" for outcome in ORDER if counts[outcome])


def _example(records: Sequence[Record]) -> str:
    """A check that fails where one does: what works needs no looking at."""
    failing = [r for r in records if r.outcome not in WORKING and r.outcome not in UNJUDGED]
    one = min(failing or records, key=lambda record: natural_key(record.check_id), default=None)
    return code(one.check_id) if one is not None else ""
