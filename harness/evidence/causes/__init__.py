"""Causes: one upstream defect or limitation each, as data, and the rules that say which failing records it explains.

They lie beside this module, one file a topic, each a list, so that every installation has them; a project may have
causes of its own in a folder `causes` beside its known issues. Reading is strict: a cause whose rule is misspelt, or so
wide that another defect could hide behind it, is refused.
"""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from harness.evidence.conditions import Versions, holds, installed, require_conditions
from harness.evidence.recipe import PRECISIONS
from harness.evidence.record import Record
from harness.evidence.remedy import REWRITES
from harness.evidence.vocabulary import (
    OF_MODULES,
    OF_OPERATORS,
    RUNTIME,
    HarnessError,
    Outcome,
    Phase,
    Trait,
    outcomes_with,
)

#: The causes of the package.
PACKAGED = Path(__file__).resolve().parent
#: Where a project's own causes lie, beside its known issues.
FOLDER = "causes"
#: Where in the stack a cause lies. `decomposition` is a step of ExecuTorch's or of torch.export's own; a `limitation`
#: is documented, or a clean refusal.
STAGES = ("partitioner", "decomposition", "converter", "mil_pass", RUNTIME, "precision", "limitation")
#: Scripts written by hand: shown on any system, or only where Core ML predicts.
OWN_SCRIPTS = ("own", "own-mac")
#: What is called with the module: coremltools alone, ExecuTorch's lowering with the Core ML partitioner, or that and
#: `to_executorch`.
CALLS = ("ct.convert", "partitioner", "to_executorch")
#: What of a converted program is held against eager.
COMPARED = ("values", "shape")
#: What a cause is about: its operators, or layouts, ranks and dtypes whatever the operator.
GENERAL = "general"
SCOPES = ("operator", GENERAL)
#: What became of the thread behind `url`; of a release: `released in 9.1`.
STATES = ("open", "closed", "merged")
_RELEASED = re.compile(r"released in \d+(\.\w+)+")
#: Where a cause shows itself, when no check can: it has a script, and no rules.
SEEN = ("script",)
#: Outcomes that have no cause.
CAUSELESS = frozenset(Outcome) - outcomes_with(Trait.CAUSED)
#: What changes no value but the dtype of one: never to blame for one that is wrong.
COPIES = frozenset({"dim_order_ops._to_dim_order_copy.default", "dim_order_ops._clone_dim_order.default"})
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_Test = Callable[[str], Any]


@dataclass(frozen=True)
class Rule:
    """Fits a failing record when every key given does; `None` and `()` stand for a key not given.

    `texts` are tests of fields (`op`, `api`, `case`, `recipe`, `dtype`), `names` of the keys of counts (`fallback`,
    `delegated`, `mil`), of load rules (`load_rule`), of operators whose dtype changed (`dtype_changed`) and of codes of
    notes (`note`): one of them must pass. `error` is searched in `<type>: <message>`, `reason` in the reason.
    `operators` are the globs of `op`, as they were written.
    """

    outcomes: frozenset[Outcome]
    phase: Phase | None = None
    texts: tuple[tuple[str, _Test], ...] = ()
    names: tuple[tuple[str, _Test], ...] = ()
    error: re.Pattern[str] | None = None
    reason: re.Pattern[str] | None = None
    operators: tuple[str, ...] = ()

    def fits(self, record: Record) -> bool:
        if record.outcome not in self.outcomes or self.phase not in (None, record.phase):
            return False
        if not all(any(map(test, self._values(record, name))) for name, test in self.texts):
            return False
        if not all(any(map(test, getattr(record, name))) for name, test in self.names):
            return False
        if self.error is not None and (record.error is None or not self.error.search(error_line(record))):
            return False
        return self.reason is None or self.reason.search(record.reason) is not None

    def _values(self, record: Record, name: str) -> Iterable[str]:
        """What a text key is held against. `op`, of a module that is about no operator, against those that its failure
        is put down to; where none was found, of a module as its author writes it against its own operators: any where
        an exception's message tells the defect, the only one where nothing else says which of them is to blame.
        """
        if name != "op" or record.kind in OF_OPERATORS:
            return [getattr(record, name)]
        if record.blamed or record.kind not in OF_MODULES:
            return record.blamed or [record.op]
        operators = {op for op in (*record.delegated, *record.fallback) if op not in COPIES}
        return operators if self.error is not None or len(operators) == 1 else ()


def error_line(record: Record) -> str:
    """What `error` is searched in: `<type>: <message>`, empty where nothing was raised."""
    return f"{record.error.type}: {record.error.message}" if record.error is not None else ""


@dataclass(frozen=True)
class Script:
    """What a generated script shows a defect with (`harness.publish.scripts`).

    `module` is the body of a `torch.nn.Module`, `inputs` the tuple it is called with, `setup` what stands before both.
    `error` is text in the exception that shows the defect (an assertion without a message: `assert ...`, its line).
    `refused` is Python over `main`, coremltools' function of the program converted in `precision`: whether it holds
    what Core ML does not load. Where both are empty, `compared` says what of the program shows it: values, off by more
    than `rtol`, or the shape. `partitioner` are the arguments of the `CoreMLPartitioner`, where it is called.
    `expected` says in words what should come instead.
    """

    module: str
    inputs: str
    error: str = ""
    refused: str = ""
    expected: str = ""
    setup: str = ""
    through: str = CALLS[0]
    partitioner: str = ""
    precision: str = "fp32"
    compared: str = COMPARED[0]
    rtol: float = 1e-5


@dataclass(frozen=True)
class Cause:
    """One upstream defect or limitation behind failing checks.

    `cause` is its slug, `sees` what the user sees, `source` the file and function that explain it. `script` is what
    `reports/findings/<cause>.py` is generated from, or one of `OWN_SCRIPTS` where it is written by hand, or empty where
    there is none. `when` is as in a known issue. `seen` is one of `SEEN` for what no check can show, else empty; then
    there are no rules in `matches`, which explain no record.

    `condition` completes "fails for": one clause, true of what fails and of nothing else; `remedy` is what the user can
    do. Both are empty only where a project left them out of a cause of its own. `operators` are globs of those whose
    support it limits: they stand in the file where they are not just those that its rules name. `rewrite` names those
    of `REWRITES` that are the remedy, the likeliest first. `state` is that of the thread at `url`, empty where it is
    not known.
    """

    cause: str
    title: str
    stage: str
    sees: str
    explanation: str
    source: str
    matches: tuple[Rule, ...] = ()
    url: str = ""
    script: Script | str = ""
    when: Mapping[str, str] = field(default_factory=dict)
    seen: str = ""
    state: str = ""
    condition: str = ""
    scope: str = SCOPES[0]
    remedy: str = ""
    rewrite: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()

    @property
    def outcomes(self) -> frozenset[Outcome]:
        """Those that its rules explain."""
        return frozenset().union(*(rule.outcomes for rule in self.matches))

    @property
    def upstream(self) -> str:
        """The thread about it and what became of it; empty where there is none."""
        return f"{self.url} ({self.state})" if self.state else self.url

    def explains(self, record: Record) -> bool:
        return stages_agree(self.stage, record) and any(rule.fits(record) for rule in self.matches)


def stages_agree(stage: str, record: Record) -> bool:
    """Whether a cause of this stage can be behind the record.

    What Core ML gets wrong with a right program has a cause in the runtime, if no documented limitation is behind it;
    and nothing else has: one that a lowering explains must not hide what the runtime adds.
    """
    return stage == "limitation" or (stage == RUNTIME) == (record.stage == RUNTIME)


class Causes:
    """The causes that hold in an environment, in order: a record goes to the first that explains it."""

    def __init__(self, causes: Iterable[Cause] = (), versions: Versions | None = None) -> None:
        self.all = tuple(causes)
        self.by_slug = {cause.cause: cause for cause in self.all}
        versions = installed() if versions is None else versions
        self._by_outcome: dict[Outcome, list[Cause]] = defaultdict(list)
        for cause in self.all:
            if holds(cause.when, versions):
                for outcome in cause.outcomes:
                    self._by_outcome[outcome].append(cause)

    def cause_of(self, record: Record) -> Cause | None:
        """None for what works, what was not run, and what no cause explains."""
        return next((cause for cause in self._by_outcome.get(record.outcome, ()) if cause.explains(record)), None)

    def name(self, record: Record) -> Record:
        """The record with its cause's slug, or with none."""
        cause = self.cause_of(record)
        return record.with_(cause=cause.cause if cause is not None else None)


def read_causes(known_issues: Path | None = None) -> list[Cause]:
    """Every cause of the package, after those beside the known issues of a directory; files by name.

    `HarnessError` names file and entry of what is malformed, and of a cause that stands twice.
    """
    folders = [PACKAGED] if known_issues is None else [known_issues / FOLDER, PACKAGED]
    causes: list[Cause] = []
    origin: dict[str, str] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.yaml"))):
        for where, cause in _read_file(path, _REQUIRED_OF_PACKAGE if path.parent == PACKAGED else _REQUIRED):
            if cause.cause in origin:
                raise HarnessError(f"{where}: cause {cause.cause} stands already in {origin[cause.cause]}")
            origin[cause.cause] = where
            causes.append(cause)
    return causes


def _read_file(path: Path, required: frozenset[str]) -> Iterator[tuple[str, Cause]]:
    """Each cause of a file, with where it stands."""
    for number, entry in enumerate(read_list(path), start=1):
        where = f"{path}: entry {number}"
        try:
            yield where, _parse(entry, required)
        except (ValueError, HarnessError) as error:
            named = f" ({entry['cause']})" if isinstance(entry, dict) and "cause" in entry else ""
            raise HarnessError(f"{where}{named}: {error}") from None


def read_list(path: Path) -> list[Any]:
    """The entries of a YAML file that is a list of causes; `HarnessError` names the file."""
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER) or []
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise HarnessError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(entries, list):
        raise HarnessError(f"{path}: expected a list of causes")
    return entries


def require_keys(entry: Any, known: Iterable[str], required: Iterable[str]) -> None:
    """Raises `HarnessError`. What is misspelt must not be taken for absent: an entry would hold where it should not."""
    if not isinstance(entry, dict):
        raise HarnessError(f"expected a mapping, got {entry!r}")
    if unknown := sorted(str(key) for key in entry if key not in set(known)):
        raise HarnessError(f"unknown keys {', '.join(unknown)}")
    if missing := sorted(set(required) - set(entry)):
        raise HarnessError(f"lacks {', '.join(missing)}")


_KEYS = frozenset(f.name for f in fields(Cause))
_REQUIRED_OF_PACKAGE = _KEYS - {"url", "state", "scope", "rewrite", "operators", "script", "when", "seen", "matches"}
_REQUIRED = _REQUIRED_OF_PACKAGE - {"condition", "remedy"}
_STRUCTURED = ("matches", "when", "script", "rewrite", "operators")


def _parse(entry: Any, required: frozenset[str]) -> Cause:
    require_keys(entry, _KEYS, required)
    for key in sorted(_KEYS - {*_STRUCTURED}):
        value = entry.get(key, "-")
        if not isinstance(value, str) or not value.strip():
            raise HarnessError(f"{key}: expected text, got {value!r}")
    if not _SLUG.fullmatch(entry["cause"]):
        raise HarnessError("cause: expected lower-case words joined by hyphens")
    if entry["stage"] not in STAGES:
        raise HarnessError(f"stage {entry['stage']!r} is none of {', '.join(STAGES)}")
    if "script" not in entry and entry["stage"] != "limitation":
        raise HarnessError("lacks script: only a limitation needs none")
    if not entry.get("url", "https://").startswith("https://"):
        raise HarnessError(f"url: expected https://..., got {entry['url']!r}")
    _require_help(entry)
    require_conditions(entry.get("when", {}))
    if "seen" in entry:
        if entry["seen"] not in SEEN:
            raise HarnessError(f"seen {entry['seen']!r} is none of {', '.join(SEEN)}")
        if "matches" in entry or "script" not in entry:
            raise HarnessError("seen: by a script alone, so that there is one and no rule in matches")
    elif "matches" not in entry:
        raise HarnessError("lacks matches")
    elif not isinstance(entry["matches"], list) or not entry["matches"]:
        raise HarnessError("matches: expected a list of rules")
    rules = []
    for number, rule in enumerate(entry.get("matches", ()), start=1):
        try:
            rules.append(_rule(rule))
        except (ValueError, HarnessError) as error:
            raise HarnessError(f"rule {number}: {error}") from None
    texts = {key: " ".join(entry[key].split()) for key in _KEYS - {*_STRUCTURED} if key in entry}
    script = _script(entry["script"]) if "script" in entry else ""
    rewrite = tuple(_one_or_more("rewrite", entry["rewrite"])) if "rewrite" in entry else ()
    named = dict.fromkeys(glob for rule in rules for glob in rule.operators)
    return Cause(
        **texts,
        rewrite=rewrite,
        operators=tuple(_one_or_more("operators", entry["operators"]) if "operators" in entry else named),
        script=script,
        matches=tuple(rules),
        when=entry.get("when", {}),
    )


def _require_help(entry: dict[str, Any]) -> None:
    """What tells a user when a cause strikes and what to do about it."""
    if entry.get("condition", "-").strip().endswith("."):
        raise HarnessError(f"condition: expected a clause without a full stop, got {entry['condition']!r}")
    if entry.get("scope", SCOPES[0]) not in SCOPES:
        raise HarnessError(f"scope {entry['scope']!r} is none of {', '.join(SCOPES)}")
    state = entry.get("state", STATES[0])
    if state not in STATES and not _RELEASED.fullmatch(state):
        raise HarnessError(f"state {state!r} is none of {', '.join(STATES)}, released in ...")
    if "state" in entry and "url" not in entry:
        raise HarnessError("state without url: it is that of a thread")
    if "rewrite" in entry:
        if unknown := [name for name in _one_or_more("rewrite", entry["rewrite"]) if name not in REWRITES]:
            raise HarnessError(f"rewrite {unknown[0]!r} is none of {', '.join(REWRITES)}")
        if "remedy" not in entry:
            raise HarnessError("rewrite without remedy: it is what the remedy tells")


def _script(entry: Any) -> Script | str:
    if isinstance(entry, str):
        if entry not in OWN_SCRIPTS:
            raise HarnessError(f"script {entry!r} is none of {', '.join(OWN_SCRIPTS)}")
        return entry
    try:
        require_keys(entry, [f.name for f in fields(Script)], ("module", "inputs"))
    except HarnessError as error:
        raise HarnessError(f"script: {error}") from None
    for key, value in entry.items():
        if not isinstance(value, float if key == "rtol" else str) or value == "":
            raise HarnessError(f"script: {key}: unexpected {value!r}")
    for key, known in (("through", CALLS), ("precision", tuple(PRECISIONS)), ("compared", COMPARED)):
        if entry.get(key, known[0]) not in known:
            raise HarnessError(f"script: {key} {entry[key]!r} is none of {', '.join(known)}")
    if "error" in entry and not {"rtol", "compared", "precision"}.isdisjoint(entry):
        raise HarnessError("script: error beside rtol, compared or precision: an exception or the program shows it")
    if "refused" in entry and not {"error", "rtol", "compared"}.isdisjoint(entry):
        raise HarnessError("script: refused beside error, rtol or compared: what Core ML does not load has no result")
    if "error" not in entry and "through" in entry:
        raise HarnessError("script: lacks error: programs are compared as ct.convert makes them")
    if "partitioner" in entry and entry.get("through", CALLS[0]) == CALLS[0]:
        raise HarnessError("script: partitioner where none is called: lacks through")
    return Script(**entry)


#: Keys of a rule that are globs, with the field of a record each is held against: first texts, then names.
_TEXTS = {"op": "op", "api": "api", "case": "case", "recipe": "recipe", "dtype": "dtype"}
_NAMES = {
    "fallback": "fallback",
    "delegated": "delegated",
    "mil": "mil_made",
    "load_rule": "load_rules",
    "dtype_changed": "dtype_changed",
    "note": "note_codes",
}
_PATTERNS = ("error", "reason")
#: One of these must be there: what is left would fit any defect of a recipe or a dtype.
_TELLING = ("op", "api", "case", *_NAMES, *_PATTERNS)


def _rule(rule: Any) -> Rule:
    require_keys(rule, ("outcome", "phase", *_TEXTS, *_NAMES, *_PATTERNS), ("outcome",))
    if not any(key in rule for key in _TELLING):
        raise HarnessError(f"too wide: needs one of {', '.join(_TELLING)}")
    outcomes = frozenset(Outcome(name) for name in _one_or_more("outcome", rule["outcome"]))
    if outcomes & CAUSELESS:
        raise HarnessError(f"outcome: {', '.join(sorted(outcomes & CAUSELESS))} has no cause")
    return Rule(
        outcomes,
        Phase(rule["phase"]) if "phase" in rule else None,
        tuple((attribute, _globs(key, rule[key])) for key, attribute in _TEXTS.items() if key in rule),
        tuple((attribute, _globs(key, rule[key])) for key, attribute in _NAMES.items() if key in rule),
        _pattern("error", rule["error"]) if "error" in rule else None,
        _pattern("reason", rule["reason"]) if "reason" in rule else None,
        tuple(_one_or_more("op", rule["op"])) if "op" in rule else (),
    )


def _one_or_more(key: str, value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, str) and v for v in values):
        raise HarnessError(f"{key}: expected text or a list of texts, got {value!r}")
    return values


def _globs(key: str, value: Any) -> _Test:
    globs = _one_or_more(key, value)
    if any(not glob.strip("*") for glob in globs):
        raise HarnessError(f"{key}: {value!r} fits everything")
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs)).match


def _pattern(key: str, value: Any) -> re.Pattern[str]:
    if not isinstance(value, str):
        raise HarnessError(f"{key}: expected a regular expression, got {value!r}")
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise HarnessError(f"{key}: {value!r} is no regular expression: {error}") from None
    if pattern.search("") or pattern.search("\0"):
        raise HarnessError(f"{key}: {value!r} fits everything")
    return pattern
