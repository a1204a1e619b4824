"""`harness check FILE[::NAME]`: a user's own modules through the corridor, printed, and written where asked."""

from __future__ import annotations

from pathlib import Path

from harness.evidence.environment import environment_block
from harness.evidence.files import Evidence, read_evidence, write_evidence
from harness.evidence.record import Record, check_id
from harness.evidence.vocabulary import OUTCOME_MEANINGS, WORKING, HarnessError, Outcome
from harness.isolation import MODEL_DEADLINE, IsolatedChecker, Settings
from harness.lowering.recipe import PRECISIONS, TARGETS, Recipe
from harness.units import host
from harness.units.registry import connected, prepare, require_unit, units_here


def run(
    file: str,
    *,
    precision: str = "both",
    unit: tuple[str, ...] = (),
    target: str = "iOS18",
    json_out: Path | None = None,
    no_cache: bool = False,
    resume: bool = False,
) -> int:
    """Check every case of the file and print what was found.

    Records are in `json_out` as soon as they exist. With `resume` those it holds already, of this environment, stand:
    their checks are not run again.

    Returns 0 when every program works (`pass`, `partial`, `fallback`), 1 otherwise. Raises `HarnessError` for a file
    that does not exist, does not import or holds no such case, for an unknown unit, precision or target, and for
    something else than evidence to resume from.
    """
    path, _, name = file.partition("::")
    recipes = recipes_of(precision, target)
    units = [require_unit(u) for u in unit] or units_here(recipes[0].target)
    if json_out is not None and (json_out.is_dir() or not json_out.absolute().parent.is_dir()):
        raise HarnessError(f"{json_out}: not a file that can be written")
    if resume and json_out is None:
        raise HarnessError("--resume goes with --json, whose file it goes on with")
    before = read_evidence(json_out).records if resume and json_out is not None and json_out.exists() else []
    if not Path(path).is_file():
        raise HarnessError(f"{path}: no such file")
    environment, block = environment_block(simulated_macos=host.simulated_macos(), connected=connected(units))
    checker = IsolatedChecker(Settings(environment, use_cache=not no_cache, deadline=MODEL_DEADLINE))
    records = []
    try:
        # The child imports what it needs while the user's file is read here, which imports as much.
        checker.prepare()
        from harness.cases import user_file

        cases = user_file.load(Path(path), name or None)
        prepare(units, lambda text: print(text, flush=True))
        known = {r.check_id: r for r in before if r.environment == environment and not r.is_harness_fault}
        if json_out is not None:
            block["devices"] = checker.devices()
        for case in cases:
            for recipe in recipes:
                for where in units:
                    record = known.get(check_id(case.id, recipe.name, where))
                    if record is None:
                        record = checker.check(case, recipe.name, where, file=Path(path).absolute())
                    records.append(record)
                    print("\n".join(report(record)), flush=True)
                    if json_out is not None:
                        # What is known of later checks stays in the file however soon this ends.
                        all_known = {**known, **{one.check_id: one for one in records}}
                        part = Evidence({environment: block}, list(all_known.values()))
                        write_evidence(json_out, part, with_timing=True)
    finally:
        checker.close()
    return exit_code(records)


def recipes_of(precision: str, target: str) -> list[Recipe]:
    """The recipes of `--precision` and `--target`; raises `HarnessError` for unknown ones."""
    if target.lower() not in TARGETS:
        raise HarnessError(f"unknown target {target!r}: expected one of {', '.join(TARGETS.values())}")
    chosen = PRECISIONS if precision == "both" else (precision,)
    return [Recipe.parse(f"{name}-{target.lower()}") for name in chosen]


def exit_code(records: list[Record]) -> int:
    """1 as soon as a program does not work or could be judged nowhere."""
    if any((r.outcome not in WORKING and r.outcome is not Outcome.NOT_RUN) or r.is_harness_fault for r in records):
        return 1
    return 0 if any(r.outcome in WORKING for r in records) else 1


def report(record: Record) -> list[str]:
    """A check in some lines: outcome, phase, operators, numbers, and what was raised."""
    lines = [f"{record.check_id}: {record.outcome} (phase {record.phase})"]
    lines.append(f"  {OUTCOME_MEANINGS[record.outcome]}")
    for label, counts in (("delegated", record.delegated), ("fallback", record.fallback)):
        if counts:
            lines.append(f"  {label}: {', '.join(f'{op} x{n}' if n > 1 else op for op, n in counts.items())}")
    if record.missing_kernels:
        lines.append(f"  ExecuTorch has no kernel for: {', '.join(record.missing_kernels)}; it would not load")
    if record.numerics is not None:
        n = record.numerics
        parts = [n.tolerance_class]
        if n.sqnr_db is not None:
            parts.append(f"signal to noise {n.sqnr_db:.1f} dB")
        if n.max_abs is not None:
            parts.append(f"max error {n.max_abs:.3g}")
        if n.limit is not None and n.worst is not None:
            parts.append(f"limit {n.limit:.3g}, worst {n.worst:.3g}")
        lines.append(f"  numerics: {', '.join(parts)}")
    if record.error is not None and not record.is_harness_fault:
        message = record.error.message.strip().splitlines()
        lines.append(f"  error: {record.error.type}: {message[0] if message else ''}")
    elif record.reason:
        lines.append(f"  reason: {record.reason}")
    if record.stage:
        lines.append(
            f"  stage: {record.stage} (the reference executor: {record.against_reference.get('outcome', 'none')})"
        )
    lines += [f"  note: {note}" for note in record.notes]
    return lines
