"""Texts of errors met anywhere: which causes' patterns find themselves in one, and what is known of the others.

The table beside this module has what is no cause: words of the runtimes and of installations, and Core ML's own words
for what a cause explains.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from harness.evidence.causes import LOADER, Cause, Rule, require_keys
from harness.evidence.vocabulary import HarnessError

PACKAGED = Path(__file__).resolve().with_suffix(".yaml")
STEPS = ("lowering", "loading", "running")

_TOLD = ("step", "means", "remedy")
_REQUIRED = ("error", "source")
_KNOWN = (*_REQUIRED, *_TOLD, "cause", "load_rule")

# What stands before an error in logs: pytest's E, and packages before the name of an exception.
_MARGIN = re.compile(r"^\s*(?:E\s{2,})?")
_QUALIFIED = re.compile(r"^(?:[A-Za-z_]\w*\.)+(?=[A-Z]\w*(?::|$))")
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")
_FRAME = re.compile(r'^File ".*", line \d+, in (\w+)$')
# `^Type: ` or `^(Type|Type): ` of a pattern, before what the exception says.
_TYPE = re.compile(r"^\^?(\w+|\([\w|]+\)): (?:\\s\*)?")
#: So many letters make words of their own, which tell without the exception's name.
_LETTERS = 15


@dataclass(frozen=True)
class ErrorText:
    """What a text means, or which cause it is (`cause`); `step` is when it is met, `source` where that was learnt.

    `load_rule` names the rule of Core ML's loader that the text is about.
    """

    error: re.Pattern[str]
    source: str
    step: str = ""
    means: str = ""
    remedy: str = ""
    cause: str = ""
    load_rule: str = ""


@dataclass(frozen=True)
class Match:
    """A cause that may be behind a text. `bound` is whether its rule is for some operators or cases only, `operators`
    are those operators, as globs, and `named` is whether the text names one of them."""

    cause: Cause
    bound: bool = False
    operators: tuple[str, ...] = ()
    named: bool = False


def read_error_texts(path: Path = PACKAGED) -> list[ErrorText]:
    """The table; `HarnessError` names file and entry of what is malformed."""
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER) or []
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HarnessError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    texts = []
    for number, entry in enumerate(entries, start=1):
        try:
            texts.append(_parse(entry))
        except HarnessError as error:
            raise HarnessError(f"{path}: entry {number}: {error}") from None
    return texts


def _parse(entry: Any) -> ErrorText:
    require_keys(entry, _KNOWN, _REQUIRED)
    for key, value in entry.items():
        if not isinstance(value, str) or not value.strip():
            raise HarnessError(f"{key}: expected text, got {value!r}")
    if ("cause" in entry) == any(key in entry for key in _TOLD):
        raise HarnessError("either a cause, or step, means and remedy")
    if "cause" not in entry:
        require_keys(entry, _KNOWN, _TOLD)
        if entry["step"] not in STEPS:
            raise HarnessError(f"step {entry['step']!r} is none of {', '.join(STEPS)}")
    if not entry["source"].startswith("https://"):
        raise HarnessError(f"source: expected https://..., got {entry['source']!r}")
    try:
        pattern = re.compile(" ".join(entry["error"].split()))
    except re.error as error:
        raise HarnessError(f"error: {entry['error']!r} is no regular expression: {error}") from None
    if pattern.search(""):
        raise HarnessError(f"error: {entry['error']!r} fits everything")
    return ErrorText(pattern, **{key: " ".join(text.split()) for key, text in entry.items() if key != "error"})


def find_texts(text: str, texts: Iterable[ErrorText]) -> list[ErrorText]:
    """Those of the table that stand in the text, in the table's order: the most telling first."""
    lines = as_errors(text)
    return [known for known in texts if known.error.search(lines)]


def find_causes(text: str, causes: Sequence[Cause], texts: Iterable[ErrorText] = ()) -> list[Match]:
    """Causes whose pattern, exception and message, stands in the text: those first whose operator it names, then those
    that are bound to none; of these in the order in which a record is given its cause.

    An exception's name may be missing from the text where the message says enough without it. `texts` are what else
    tells of a cause.
    """
    lines = as_errors(text)
    told = {known.cause for known in find_texts(text, texts)}
    found = [_best(cause, lines) or (Match(cause) if cause.cause in told else None) for cause in causes]
    return sorted((match for match in found if match), key=_order)


def _order(match: Match) -> int:
    return 0 if match.named else 2 if match.bound else 1


def _best(cause: Cause, lines: str) -> Match | None:
    matches = [_match(cause, rule, lines) for rule in cause.matches if _stands(rule, lines)]
    if not matches:
        return None
    best = min(matches, key=_order)
    alike = {glob for match in matches if match.named == best.named for glob in match.operators}
    return replace(best, operators=tuple(sorted(alike)) if best.bound else ())


def _match(cause: Cause, rule: Rule, lines: str) -> Match:
    bound = any(name in ("op", "api", "case") for name, _ in rule.texts)
    return Match(cause, bound, rule.operators, any(_names(glob, lines) for glob in rule.operators))


def _stands(rule: Rule, lines: str) -> bool:
    if rule.error is not None:
        pattern, worded = _searched(rule.error.pattern)
        return bool(pattern.search(lines) or (worded is not None and worded.search(lines)))
    tests = [test for name, test in rule.names if name == "load_rules"]
    return any(test(name[1]) for test in tests for name in re.finditer(r"^([a-z0-9-]+): ", lines, re.MULTILINE))


@cache
def _searched(pattern: str) -> tuple[re.Pattern[str], re.Pattern[str] | None]:
    """A cause's pattern over several lines: as it is, and without the exception's name where that suffices."""
    worded = _TYPE.sub("^", pattern, count=1)
    letters = re.sub(r"\\.|[^A-Za-z]", "", worded)
    exception = _TYPE.match(pattern)
    enough = exception is not None and exception[1] != "KeyError" and len(letters) >= _LETTERS
    return re.compile(pattern, re.MULTILINE), re.compile(worded, re.MULTILINE) if enough else None


def _names(glob: str, lines: str) -> bool:
    """Whether the operator of `aten.squeeze*` stands in the text: `squeeze`, `aten_squeeze_copy_dims` or the like."""
    name = glob.split(".")[1] if "." in glob else glob
    wanted = r"\w*".join(map(re.escape, name.strip("*").split("*")))
    return re.search(rf"(?<![A-Za-z0-9]){wanted}(?![A-Za-z0-9])", lines) is not None


def as_errors(text: str) -> str:
    """The text with each line as a record has an exception: its bare name and message, without what stands before.

    An assertion without a message is told by its function, as records tell it.
    """
    return "\n".join(_errors(text))


def _errors(text: str) -> Iterator[str]:
    function = ""
    for line in text.translate(_QUOTES).splitlines():
        bare = _QUALIFIED.sub("", _MARGIN.sub("", line.rstrip()))
        if frame := _FRAME.match(bare):
            function = frame[1]
        yield f"AssertionError: in {function}" if bare in ("AssertionError", "AssertionError:") and function else bare
