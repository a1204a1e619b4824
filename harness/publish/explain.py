"""One record in words, and finding it by a part of its id."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from harness.evidence.causes import Cause
from harness.evidence.files import Evidence
from harness.evidence.ids import UserCase
from harness.evidence.numerics import divided, in_full, packages
from harness.evidence.recipe import OPTIONS, Recipe
from harness.evidence.record import Record, natural_key
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import OUTCOME_MEANINGS, RUNTIME, UNIT_MEANINGS, HarnessError, Phase
from harness.publish.ane import ane_supported
from harness.publish.environments import describe_environment

_PHASES = {
    Phase.EAGER: "running eager PyTorch",
    Phase.EXPORT: "torch.export",
    Phase.EDGE: "conversion to the edge dialect",
    Phase.PARTITION: "partitioning",
    Phase.CONVERT: "conversion by coremltools",
    Phase.PACKAGE: "unpacking the Core ML package",
    Phase.EMIT: "serialising the .pte",
    Phase.LOAD: "loading",
    Phase.PLAN: "planning",
    Phase.RUN: "running",
    Phase.SHAPE: "comparing shapes",
    Phase.DTYPE: "comparing dtypes",
    Phase.VALUE: "comparing values",
}
_CANDIDATES = 20
_WIDTH = 12


def find(evidence: Evidence, wanted: str) -> list[Record]:
    """Records of the check `wanted`, one for each environment that has it.

    `wanted` is a check id, a case id, or a prefix of a check id that fits one check only. `HarnessError` lists what
    fits when several do, or the nearest when none does.
    """
    by_check: dict[str, list[Record]] = {}
    for record in evidence.records:
        by_check.setdefault(record.check_id, []).append(record)
    if wanted in by_check:
        return by_check[wanted]
    fitting = [check for check, records in by_check.items() if records[0].case == wanted]
    fitting = fitting or [check for check in by_check if check.startswith(wanted)]
    if len(fitting) == 1:
        return by_check[fitting[0]]
    if fitting:
        raise HarnessError(f"{wanted}: {len(fitting)} checks fit, name one:\n{_listing(fitting)}")
    near = [check for check in by_check if wanted in check]
    raise HarnessError(f"{wanted}: no such check" + (f"; these contain it:\n{_listing(near)}" if near else ""))


def _listing(checks: Iterable[str]) -> str:
    ordered = sorted(checks, key=natural_key)
    more = [f"  and {len(ordered) - _CANDIDATES} more"] if len(ordered) > _CANDIDATES else []
    return "\n".join([*(f"  {check}" for check in ordered[:_CANDIDATES]), *more])


def explain(
    record: Record,
    environment: dict[str, Any] | None = None,
    cause: Cause | None = None,
    others: str = "",
    way_around: str = "",
    priority: str = "",
) -> str:
    """What was tried, how far it got, what came out, how to see it again.

    `others` is the table of all units (`harness.publish.units_page`), `way_around` what helps (`remedies`),
    `priority` what its cause strikes (`priority`).
    """
    lines = [record.check_id, "", f"{record.outcome}: {OUTCOME_MEANINGS[record.outcome]}", ""]
    facts: list[tuple[str, str]] = [("tried", _tried(record)), ("recipe", _recipe(record.recipe))]
    facts.append(("unit", _unit(record.unit_spec)))
    facts.append(("reached", f"{record.phase} ({_PHASES[record.phase]})"))
    facts += [("stage", _stage(record)), ("reason", record.reason), ("error", _error(record))]
    facts += [("cause", "\n".join(part for part in (_cause(record, cause), priority) if part))]
    facts += [("way around", way_around)]
    facts += [("delegated", _counts(record.delegated)), ("fell back", _counts(record.fallback))]
    if record.missing_kernels:
        facts.append(("no kernel", f"{', '.join(record.missing_kernels)}: this program would not load in ExecuTorch"))
    facts += [("Core ML ops", _counts(record.mil_ops)), ("placement", _placement(record))]
    facts += [("divided", divided(record)), ("packages", packages(record)), ("used by", _usage(record))]
    facts += [("numerics", "\n".join(in_full(record.numerics))), *(("note", note.detail) for note in record.notes)]
    facts.append(("timing", ", ".join(f"{name} {seconds:.2f} s" for name, seconds in record.timing.items())))
    facts.append(("measured", describe_environment(environment) if environment else record.environment or "unknown"))
    lines += [_fact(name, text) for name, text in facts if text]
    return "\n".join([*lines, "", *([others, ""] if others else []), *reproduce(record)])


def reproduce(record: Record) -> list[str]:
    """The commands that run this check again. A user's own case lies in a file only the user knows the folder of."""
    if named := UserCase.of(record.case):
        options = f"--recipe {shlex.quote(record.recipe)} --unit {shlex.quote(record.unit)}"
        return [
            _fact("reproduce", f"coreml-harness check {shlex.quote(f'{named.stem}.py::{named.function}')} {options}")
        ]
    options = f"--level full --recipe {shlex.quote(record.recipe)} --unit {shlex.quote(record.unit)}"
    if record.op:
        options = f"--op {shlex.quote(record.op)} {options}"
    return [
        _fact("reproduce", f"coreml-harness repro {shlex.quote(record.check_id)}"),
        _fact("in pytest", f"pytest suites {options} -k {shlex.quote(record.case)}"),
    ]


def _fact(name: str, text: str) -> str:
    indented = text.replace("\n", "\n" + " " * _WIDTH)
    return f"{name:<{_WIDTH}}{indented}"


def _tried(record: Record) -> str:
    name = record.op or record.api or record.case
    via = f" through {record.api}" if record.op and record.api and record.api != record.op else ""
    parts = [f"{name}{via}", record.dtype, f"from {record.origin}" if record.origin else ""]
    parts.append(f"seed {record.seed}" if record.seed is not None else "")
    return ", ".join(part for part in parts if part)


def _usage(record: Record) -> str:
    return f"{', '.join(record.usage.models)}: {record.usage.calls} calls" if record.usage else ""


def _recipe(recipe: str) -> str:
    known = Recipe.parse(recipe)
    parts = [
        f"{known.precision} compute",
        f"deployment target {known.target}" if known.target else "no target asked for",
    ]
    parts += ["no compile specs"] if known.bare else []
    parts += [f"quantized {known.quantization}"] if known.quantization else []
    return f"{recipe}: {', '.join([*parts, *(OPTIONS[option] for option in known.options)])}"


def _unit(unit: UnitSpec) -> str:
    return f"{unit}: {UNIT_MEANINGS[unit.kind]}"


def _error(record: Record) -> str:
    if record.error is None or record.error.message == record.reason:
        return ""
    error = record.error
    text = error.message if error.message.startswith(error.type) else f"{error.type}: {error.message}".rstrip(": ")
    if error.signature not in ("", error.message, str(record.outcome)):
        text += f"\nsignature: {record.error.signature}"
    return text


def _cause(record: Record, cause: Cause | None) -> str:
    """The slug alone where nothing is known of it."""
    if cause is None:
        return record.cause or ""
    lines = [f"{cause.cause}: {cause.title} ({cause.stage})", cause.sees, *help_lines(cause)]
    lines += [cause.explanation, f"source: {cause.source}"]
    lines.append(f"shown by: python reports/findings/{cause.cause}.py" if cause.script else "")
    return "\n".join(line for line in lines if line)


def help_lines(cause: Cause) -> list[str]:
    """When it strikes, what to do about it, and the thread upstream, as far as they are known."""
    told = (("when", cause.condition), ("what to do", cause.remedy), ("upstream", cause.upstream))
    return [f"{name}: {text}" for name, text in told if text]


def _stage(record: Record) -> str:
    meanings = {
        RUNTIME: "the program is right, this unit's answer is not",
        "lowering": "the program is wrong: the reference executor's answer is as well, also with every float widened",
        "precision": "the reference executor's answer is wrong as well, and right with every float widened",
    }
    return f"{record.stage}: {meanings[record.stage]}" if record.stage in meanings else record.stage


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} x{count}" if count != 1 else name for name, count in sorted(counts.items()))


def _placement(record: Record) -> str:
    if not record.placement:
        return ""
    lines = []
    for name, plan in [*sorted(record.aten_placement.items()), *sorted(record.placement.items())]:
        supported = ", ".join(plan.get("supported") or []) or "unknown"
        cost = f"; {plan['cost']:.1%} of the work" if "cost" in plan else ""
        lines.append(f"{name}: prefers {plan.get('preferred') or 'unknown'}; supported on {supported}{cost}")
    answer = {True: "supported for all of it", False: "not supported for all of it", None: "unknown"}
    return "\n".join([*lines, f"ANE: {answer[ane_supported(record)]}"])
