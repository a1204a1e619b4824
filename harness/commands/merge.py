"""`coreml-harness merge`: run directories and evidence files become evidence, once they are verified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.evidence.causes import read_causes
from harness.evidence.files import Evidence, merge_evidence, read_evidence, write_evidence
from harness.evidence.journal import read_run_or_file
from harness.evidence.triage import named
from harness.evidence.verify import other_code, require_real_hardware, require_sound
from harness.evidence.vocabulary import UNJUDGED, HarnessError
from harness.publish.summary import count_line

PART = ".part.jsonl"


def run(
    runs: Sequence[Path],
    output: Path | None,
    folder: Path,
    known_issues: Path,
    *,
    timing: bool = False,
    replace: bool = False,
    mixed_code: bool = False,
) -> str:
    """Write `output`, or a file for each environment into `folder`; returns what to tell.

    Raises `HarnessError`, and has written nothing, when a part cannot be trusted, or when `output` holds judged checks
    that these runs do not and `replace` does not say that they may go.
    """
    parts = [read_run_or_file(path) for path in runs]
    for part, path in zip(parts, runs, strict=True):
        require_sound(part, str(path))
    evidence = merge_evidence(parts)
    names = ", ".join(map(str, runs))
    if not evidence.records:
        raise HarnessError(f"{names}: no records")
    require_real_hardware(evidence, names)
    if not mixed_code and (text := other_code(parts)):
        raise HarnessError(f"{names}: {text}: measure again, or take them all the same with --mixed-code")
    evidence.records = named(evidence, read_causes(known_issues))
    lines = []
    for path, one in _outputs(evidence, output, folder).items():
        lines += _write(path, one, named_by_user=output is not None, timing=timing, replace=replace)
    if conflicts := _conflicts(parts):
        count = f"{len(conflicts)} checks were recorded with different outcomes, the last was kept"
        lines.append(f"{count}: {_some(conflicts)}")
    return "\n".join(lines)


def _outputs(evidence: Evidence, output: Path | None, folder: Path) -> dict[Path, Evidence]:
    if output is not None:
        return {output: evidence}
    return {
        folder / f"{name}.jsonl": Evidence(
            {name: evidence.environments[name]}, [record for record in evidence.records if record.environment == name]
        )
        for name in sorted({record.environment for record in evidence.records})
    }


def _write(path: Path, evidence: Evidence, *, named_by_user: bool, timing: bool, replace: bool) -> list[str]:
    """Write `path`; or, where it holds more than this and stays, the part beside it.

    Pages take both, and of a check in both the part's record. A part of the same code is added to the one there is.
    """
    lines = []
    part = path.with_suffix(PART)
    missing = 0 if replace or not path.exists() else _missing(read_evidence(path), evidence)
    if missing and named_by_user:
        raise HarnessError(f"{path}: holds {missing} judged checks that these runs do not: --replace to replace it")
    if missing:
        lines.append(f"{path} holds {missing} judged checks that these runs do not, and stays: --replace to replace it")
        path = part
        if path.exists() and not other_code([before := read_evidence(path), evidence]):
            evidence = merge_evidence([before, evidence])
    elif not named_by_user:
        part.unlink(missing_ok=True)
    write_evidence(path, evidence, with_timing=timing)
    return [*lines, f"wrote {path}: {count_line(evidence.records)}"]


def _missing(there: Evidence, evidence: Evidence) -> int:
    """How many checks are judged there and not here."""
    here = {(record.check_id, record.environment) for record in evidence.records if record.outcome not in UNJUDGED}
    return sum(
        record.outcome not in UNJUDGED and (record.check_id, record.environment) not in here for record in there.records
    )


def _conflicts(parts: Sequence[Evidence]) -> list[str]:
    """Checks with more than one outcome in the same environment."""
    outcomes: dict[tuple[str, str], set[str]] = {}
    for part in parts:
        for record in part.records:
            outcomes.setdefault((record.check_id, record.environment), set()).add(record.outcome)
    return sorted(check for (check, _), seen in outcomes.items() if len(seen) > 1)


def _some(names: Sequence[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
