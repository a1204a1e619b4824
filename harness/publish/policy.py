"""The policy of a gate: what each class of change means for a release, and what is waived until when. A TOML file."""

from __future__ import annotations

import datetime
import functools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any

from harness.evidence.files import Evidence
from harness.evidence.vocabulary import HarnessError
from harness.publish.changes import CLASSES, Change
from harness.publish.measures import MEASURES, Limits

DEFAULT = "gate-policy.toml"


class Action(StrEnum):
    """What a change comes to."""

    FAIL = "fail"
    WARN = "warn"
    IGNORE = "ignore"


@dataclass(frozen=True)
class Waiver:
    """Changes that a release may have, up to and including the day `until`, and why.

    A change is waived when its check, operator or environment fits one of the globs of `checks`, or its cause one of
    `causes` (both, where both are given), and its class is among `classes`, or none are named.
    """

    until: datetime.date
    reason: str
    checks: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join((*self.checks, *self.causes))

    def covers(self, change: Change) -> bool:
        if self.classes and change.kind not in self.classes:
            return False
        if self.causes and not _fits(self.causes, (change.cause,)):
            return False
        return not self.checks or _fits(self.checks, (change.name, change.subject))

    def names_something(self, sides: Sequence[Evidence], changes: Iterable[Change]) -> bool:
        """Whether anything there is fits it, changed or not."""
        if any(self.covers(change) for change in changes):
            return True
        return any(
            (not self.checks or _fits(self.checks, (record.check_id, record.subject, record.environment)))
            and (not self.causes or _fits(self.causes, (record.cause or "",)))
            for side in sides
            for record in side.records
        )


def _fits(globs: Sequence[str], names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs for name in names)


@dataclass(frozen=True)
class Policy:
    """`minimum_compared` is a share, of what the baseline judged in each environment."""

    minimum_compared: float
    actions: Mapping[str, Action]
    limits: Mapping[str, Limits]
    waivers: tuple[Waiver, ...] = ()
    path: str = field(default=DEFAULT, compare=False)


@functools.cache
def default_policy() -> Policy:
    text = resources.files("harness.publish").joinpath(DEFAULT).read_text(encoding="utf-8")
    return _policy(text, DEFAULT, Policy(1.0, {}, {}), datetime.date.min)


def read_policy(path: Path | None, today: datetime.date) -> Policy:
    """The default policy and over it what the file names, if one is given.

    Raises `HarnessError` naming the first key, class or waiver that is wrong, or a waiver whose day has passed.
    """
    if path is None:
        return default_policy()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HarnessError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise HarnessError(f"{path}: not text, not a policy") from None
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}") from None
    return _policy(text, str(path), default_policy(), today)


def _policy(text: str, path: str, base: Policy, today: datetime.date) -> Policy:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HarnessError(f"{path}: not TOML: {str(error).splitlines()[0]}") from None
    _known(path, data, ("minimum_compared", "classes", "waiver"))
    actions, limits = dict(base.actions), dict(base.limits)
    for name, value in _table(path, "classes", data.get("classes", {})).items():
        _known(path, [name], CLASSES, "class of change")
        row = _table(path, name, {"policy": value} if isinstance(value, str) else value)
        allowed = ("policy", *(f.name for f in fields(Limits))) if name in _MEASURED else ("policy",)
        _known(path, row, allowed, f"key of {name}")
        if "policy" in row:
            if row["policy"] not in [*Action]:
                raise HarnessError(f"{path}: {name} = {row['policy']!r}: expected one of {', '.join(Action)}")
            actions[name] = Action(row["policy"])
        if name in _MEASURED:
            limits[name] = _limits(path, name, row, limits.get(name, Limits()))
    minimum = data.get("minimum_compared", base.minimum_compared)
    if not _is_number(minimum) or not 0 <= minimum <= 1:
        raise HarnessError(f"{path}: minimum_compared = {minimum!r}: expected a share, 0 to 1")
    entries = data.get("waiver", [])
    if not isinstance(entries, list):
        raise HarnessError(f"{path}: waiver: expected tables, [[waiver]]")
    waivers = tuple(_waiver(f"{path}: waiver {place}", entry, today) for place, entry in enumerate(entries, start=1))
    return Policy(float(minimum), actions, limits, waivers, path)


_MEASURED = frozenset(measure.name for measure in MEASURES)


def _known(path: str, names: Iterable[str], known: Iterable[str], what: str = "policy key") -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise HarnessError(f"{path}: unknown {what} {name!r}: expected one of {', '.join(known)}")


def _table(path: str, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise HarnessError(f"{path}: {name} = {value!r}: expected a table")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _limits(path: str, name: str, row: dict[str, Any], base: Limits) -> Limits:
    given = {key: value for key, value in row.items() if key != "policy"}
    for key, value in given.items():
        if not _is_number(value) or value < (1 if key == "factor" else 0):
            raise HarnessError(f"{path}: {name}: {key} = {value!r}: expected a number, at least {int(key == 'factor')}")
    if {"factor", "by"} <= given.keys():
        raise HarnessError(f"{path}: {name}: factor and by: expected one of them")
    values = {f.name: getattr(base, f.name) for f in fields(Limits)}
    if "factor" in given or "by" in given:
        values |= {"factor": None, "by": None}
    return Limits(**(values | {key: float(value) for key, value in given.items()}))


def _waiver(where: str, entry: Any, today: datetime.date) -> Waiver:
    row = _table(where, "waiver", entry)
    _known(where, row, (f.name for f in fields(Waiver)), "key")
    until, reason = row.get("until"), row.get("reason")
    if not isinstance(until, datetime.date) or isinstance(until, datetime.datetime):
        raise HarnessError(f"{where}: until = {until!r}: expected a date, until = 2027-01-31")
    if not isinstance(reason, str) or not reason.strip():
        raise HarnessError(f"{where}: expected a reason")
    lists = {key: row.get(key, []) for key in ("checks", "causes", "classes")}
    for key, values in lists.items():
        if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
            raise HarnessError(f"{where}: {key} = {values!r}: expected a list of texts")
    if not lists["checks"] and not lists["causes"]:
        raise HarnessError(f"{where}: expected checks or causes that it is about")
    _known(where, lists["classes"], CLASSES, "class of change")
    waiver = Waiver(until, " ".join(reason.split()), **{key: tuple(values) for key, values in lists.items()})
    if until < today:
        raise HarnessError(f"{where} ({waiver}): expired on {until}: its findings count again; remove or renew it")
    return waiver
