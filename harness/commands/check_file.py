"""`harness check FILE[::NAME]`: a user's own modules through the corridor, printed, and written where asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from harness.commands import inspect
from harness.commands.inspect import SUFFIX
from harness.commands.progress import ProgressLine
from harness.evidence.causes import Cause, Causes, read_causes
from harness.evidence.check import Check
from harness.evidence.environment import environment_block
from harness.evidence.files import Evidence, read_evidence, write_evidence
from harness.evidence.notes import NoteCode
from harness.evidence.numerics import divided, in_full, packages
from harness.evidence.recipe import PRECISIONS, TARGETS, Recipe
from harness.evidence.record import Record
from harness.evidence.remedy import TRIES, Remedy, code, leads_to, summary
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import OUTCOME_MEANINGS, WORKING, HarnessError, Outcome
from harness.process.child import Stop
from harness.process.isolation import FILE_HANDLER, MODEL_DEADLINE, IsolatedChecker, Settings
from harness.process.preparing import prepare
from harness.process.workers import LeftOut, Share, Workers
from harness.units import host
from harness.units.registry import connected, units_here

#: As many workers as there are processors.
AUTO = "auto"


def run(
    file: str,
    *,
    recipe: tuple[str, ...] = (),
    precision: str = "both",
    unit: tuple[str, ...] = (),
    target: str = "iOS18",
    workers: str = "1",
    json_out: Path | None = None,
    no_cache: bool = False,
    resume: bool = False,
    way_around: bool = False,
    tries: int = TRIES,
) -> int:
    """Check every case of the file and print what was found, in the file's order whatever the number of workers.

    What fails as one of the package's causes says is named after it.

    Records are in `json_out` as soon as they exist. With `resume` those it holds already, of this environment, stand:
    their checks are not run again.

    With `way_around`, the least change that helps is looked for where a check fails, by `tries` lowerings at most, and
    printed with the code to paste.

    Functions that turn out to be no cases are left out, with a line each. A `.pte` is inspected instead.

    Returns 0 when every program works (`pass`, `partial`, `fallback`), 1 otherwise. Raises `HarnessError` for a file
    that does not exist, cannot be read or holds no such case, for an unknown unit, recipe, precision or target, for no
    number of workers, and for something else than evidence to resume from.
    """
    path, _, name = file.partition("::")
    if Path(path).suffix == SUFFIX:
        return inspect.run(Path(path), list(dict.fromkeys(map(UnitSpec.parse, unit))))
    recipes = recipes_of(recipe, precision, target)
    units = list(dict.fromkeys(map(UnitSpec.parse, unit))) or units_here(
        min((r.loaded_as for r in recipes), key=lambda t: t.specification).name
    )
    most = workers_of(workers)
    if json_out is not None and (json_out.is_dir() or not json_out.absolute().parent.is_dir()):
        raise HarnessError(f"{json_out}: not a file that can be written")
    if resume and json_out is None:
        raise HarnessError("--resume goes with --json, whose file it goes on with")
    before = read_evidence(json_out).records if resume and json_out is not None and json_out.exists() else []
    if not Path(path).is_file():
        raise HarnessError(f"{path}: no such file")
    environment, block = environment_block(simulated_macos=host.simulated_macos(), connected=connected(units))
    settings = Settings(environment, use_cache=not no_cache, deadline=MODEL_DEADLINE)

    def make(stop: Stop) -> IsolatedChecker:
        return IsolatedChecker(settings, FILE_HANDLER, stop)

    from harness.cases import noise, user_file

    # The children import what they need while the user's file is read here, which imports as much.
    team = Workers(make, 1 if name else min(most, max(1, user_file.functions_in_sight(Path(path)))))
    try:
        with noise.packages_silent():
            cases = user_file.load(Path(path), name or None)
        known = {r.check_id: r for r in before if r.environment == environment and not r.is_harness_fault}
        asked = [[Check(case, recipe, where) for recipe in recipes for where in units] for case in cases]
        order = [str(check) for checks in asked for check in checks]
        shares = [
            Share(todo, Path(path).absolute(), tries if way_around else 0)
            for checks in asked
            if (todo := tuple(check for check in checks if str(check) not in known))
        ]
        count = min(most, max(1, len(shares)))
        prepare(units, lambda text: print(text, flush=True), count)
        team.resize(count)
        if json_out is not None:
            block["devices"] = team.devices()

        def keep(records: Iterable[Record]) -> None:
            if json_out is not None:
                write_evidence(json_out, Evidence({environment: block}, list(records)), with_timing=True)

        found, left_out = _check(team, shares, order, known, keep, Causes(read_causes()))
        if left_out and not found:
            raise HarnessError(left_out[0].why if len(left_out) == 1 else f"{path}: no case: {left_out[0].why}")
        return exit_code(found)
    finally:
        team.close()


def _check(
    team: Workers,
    shares: list[Share],
    order: list[str],
    known: dict[str, Record],
    keep: Callable[[Iterable[Record]], None],
    causes: Causes,
) -> tuple[list[Record], list[LeftOut]]:
    """Check the shares, print what is found in `order`, and keep it beside what is known already, also of others. With
    the records come the cases that turned out to be none.

    A report waits for those before it; where the end comes early, those that still wait are printed.
    """
    ids = {share.checks[0].case.id: [str(check) for check in share.checks] for share in shares}
    left_out: list[LeftOut] = []
    found = {one: causes.name(record) for one, record in known.items()}
    done = [found[one] for one in order if one in found]
    reports = _InOrder(order)
    with ProgressLine(len(order), len(done), sum(map(fails, done))) as line:

        def say(records: Iterable[Record]) -> None:
            for record in records:
                line.say("\n".join(report(record, causes.by_slug)))

        def on_record(measured: Record) -> None:
            record = causes.name(measured)
            found[record.check_id] = record
            keep(found.values())
            line.advance(failing=fails(record))
            say(reports.add(record))

        def on_unfinished(measured: Record) -> None:
            found[measured.check_id] = causes.name(measured)
            keep(found.values())

        def on_left_out(one: LeftOut) -> None:
            left_out.append(one)
            line.fewer(len(ids[one.case.id]))
            if len(ids) > 1:
                line.say(f"left out: {one.why}")
            for check in ids[one.case.id]:
                say(reports.skip(check))

        if done:
            keep(found.values())
        for record in done:
            say(reports.add(record))
        try:
            team.check(shares, on_record, on_left_out, on_unfinished)
        finally:
            say(reports.rest())
    return [found[one] for one in order if one in found], left_out


class _InOrder:
    """Records given out in the order of their ids, however they come."""

    def __init__(self, order: list[str]) -> None:
        self._order = order
        self._next = 0
        self._waiting: dict[str, Record | None] = {}

    def add(self, record: Record) -> list[Record]:
        """What can be given out with it."""
        self._waiting[record.check_id] = record
        return self._ready()

    def skip(self, check: str) -> list[Record]:
        """What can be given out, now that there will be no record of this check."""
        self._waiting[check] = None
        return self._ready()

    def _ready(self) -> list[Record]:
        ready = []
        while self._next < len(self._order) and self._order[self._next] in self._waiting:
            if (record := self._waiting.pop(self._order[self._next])) is not None:
                ready.append(record)
            self._next += 1
        return ready

    def rest(self) -> list[Record]:
        """What waits for others that will not come."""
        waiting, self._waiting = self._waiting, {}
        return [record for one in self._order if (record := waiting.get(one)) is not None]


def workers_of(text: str) -> int:
    """The number of `-n`; raises `HarnessError` for another word than `auto` and for less than 1."""
    if text == AUTO:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise HarnessError(f"-n {text}: expected a number of workers, 1 or more, or {AUTO}")
    return int(text)


def recipes_of(names: Sequence[str], precision: str, target: str) -> list[Recipe]:
    """The recipes of `--recipe`, else of `--precision` and `--target`; raises `HarnessError` for unknown ones."""
    if names:
        return list(dict.fromkeys(map(Recipe.parse, names)))
    if target.lower() not in TARGETS:
        known = ", ".join(row.name for row in TARGETS.values())
        raise HarnessError(f"unknown target {target!r}: expected one of {known}")
    chosen = tuple(PRECISIONS) if precision == "both" else (precision,)
    return [Recipe.parse(f"{name}-{target.lower()}") for name in chosen]


def exit_code(records: list[Record]) -> int:
    """1 as soon as a program does not work or could be judged nowhere."""
    if any(map(fails, records)):
        return 1
    return 0 if any(r.outcome in WORKING for r in records) else 1


def fails(record: Record) -> bool:
    """Whether it is enough for exit code 1: the program does not work, or the harness itself failed."""
    return (record.outcome not in WORKING and record.outcome is not Outcome.NOT_RUN) or record.is_harness_fault


#: Notes that say where it is, and what they are called.
_PLACES = {NoteCode.OPERATOR: "operator", NoteCode.SOURCE: "in your source"}


def report(record: Record, titles: Mapping[str, Cause] = MappingProxyType({})) -> list[str]:
    """A check in some lines: outcome, phase, operators, numbers, what was raised, the cause where it is known, and the
    way around where one was looked for. `titles` are the causes by their slugs."""
    cause = titles.get(record.cause or "")
    lines = [f"{record.check_id}: {record.outcome} (phase {record.phase})"]
    lines.append(f"  {OUTCOME_MEANINGS[record.outcome]}")
    for label, counts in (("delegated", record.delegated), ("fallback", record.fallback)):
        if counts:
            lines.append(f"  {label}: {', '.join(f'{op} x{n}' if n > 1 else op for op, n in counts.items())}")
    if record.missing_kernels:
        lines.append(f"  ExecuTorch has no kernel for: {', '.join(record.missing_kernels)}; it would not load")
    if record.numerics is not None:
        lines.append(f"  numerics: {'; '.join(in_full(record.numerics))}")
    if record.division is not None and record.division.islands:
        lines.append(f"  divided: {divided(record)}")
    if text := packages(record):
        lines.append(f"  packages: {text}")
    if record.error is not None and not record.is_harness_fault:
        first, *rest = [line.rstrip() for line in record.error.message.strip().splitlines() if line.strip()] or [""]
        lines.append(f"  error: {record.error.type}: {first}")
        lines += [f"         {line}" for line in rest]
    elif record.reason:
        lines.append(f"  reason: {record.reason}")
    for note in record.notes:
        if note.code in _PLACES:
            lines.append(f"  {_PLACES[note.code]}: {note.detail}")
    if cause is not None:
        lines.append(f"  cause: {cause.cause}: {cause.title}")
        lines += [f"  what to do: {cause.remedy}"] if cause.remedy else []
        lines += [f"  upstream: {cause.upstream}"] if cause.url else []
    if record.remedy is not None:
        lines += _way_around(record, record.remedy, titles)
    if record.stage:
        lines.append(
            f"  stage: {record.stage} (the reference executor: {record.against_reference.get('outcome', 'none')})"
        )
    lines += [f"  note: {note}" for note in record.notes if note.code not in _PLACES]
    return lines


def _way_around(record: Record, remedy: Remedy, titles: Mapping[str, Cause]) -> list[str]:
    """The way around: each problem that stood in it, the change and what it leads to, and the code to paste."""
    lines = []
    if len(remedy.problems) > 1:
        lines.append(f"  problems: {len(remedy.problems)}, met one after the other")
        for number, problem in enumerate(remedy.problems, start=1):
            where = f" at {problem.operator}" if problem.operator else ""
            cause = titles.get(problem.cause)
            why = f"{problem.cause}: {cause.title}" if cause is not None else problem.error
            lines.append(f"    {number}. {problem.outcome}{where}: {why}")
            lines += [f"       {problem.source}"] if problem.source else []
    lines.append(f"  way around: {summary(remedy)}")
    if remedy.outcome is None:
        return lines
    lines.append(
        f"  leads to: {leads_to(remedy)} ({remedy.tries} {'lowering' if remedy.tries == 1 else 'lowerings'} tried)"
    )
    return [*lines, *(f"    {line}".rstrip() for line in code(remedy, Recipe.parse(record.recipe)).splitlines())]
