"""What the pages say of operators, against the records, by a second reading that shares no code with the project.

    python tests/contract/check_pages.py [SEED] [OPERATORS]

draws operators from the table in ExecuTorch's form and from that of maintainers, and holds every statement about them
against `reports/evidence/*.jsonl`: whether it works, what becomes of calls that do not, whether the conditions are
true of those and of none that works, the calls of models, the lowest target. What it cannot read of a condition it
leaves; how much that is, it says. Ends with 1 where a statement does not hold.
"""

from __future__ import annotations

import csv
import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USUAL = ("fp16-ios18", "fp32-ios18")
#: What becomes of a call, by the words of the pages, the worst last.
FATES = {
    "works": ("pass", "partial"),
    "not delegated": ("fallback",),
    "refused": ("unsupported",),
    "fails to lower": (
        *("convert_error", "emit_error", "load_error", "run_error", "timeout", "crash", "invalid_program"),
        "not_refused",
    ),
    "**overflows**": ("out_of_range",),
    "**silently wrong**": ("wrong_value", "wrong_shape", "wrong_dtype", "non_deterministic"),
}
FATE_OF = {outcome: fate for fate, outcomes in FATES.items() for outcome in outcomes}
WORST = list(FATES)
#: Public functions whose arguments stand in another order than the operator's: their positions are not read.
REORDERED = re.compile(r"norm|loss|embedding|cross_entropy|div$|einsum")
INTEGERS = r"u?int\d+"
#: Behind the fate of calls that were not tried: none of those that work may meet such a condition.
KNOWN = " (known)"


@dataclass
class Sample:
    """The records of a call, or of a program that contains the operator, in which no arguments are told."""

    record: dict
    own: bool
    fates: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)

    @property
    def fate(self) -> str:
        return max(self.fates, key=WORST.index)

    @property
    def general(self) -> set[str]:
        return {cause for cause, fate in zip(self.causes, self.fates, strict=True) if fate == self.fate}


def packet(name: str) -> str:
    namespace, _, rest = name.partition(".")
    plain = rest.partition(".")[0].removesuffix("_copy")
    return plain if namespace == "aten" else f"{namespace}.{plain}"


def shown(name: str) -> str:
    """As maintainers' tables name it."""
    return name.removeprefix("aten.").removesuffix(".default")


def short(name: str) -> str:
    """The same of the view that a copying variant stands for."""
    return re.sub(r"_copy(?=\.|$)", "", shown(name))


def read_records(reports: Path) -> list[dict]:
    lines = (line for path in sorted((reports / "evidence").glob("*.jsonl")) for line in path.open(encoding="utf-8"))
    found = [record for record in map(json.loads, lines) if "evidence" not in record]
    many = [(record, record["recipe"]) for record in found]
    # Equal records by several recipes stand in one line.
    return [
        {**record, "recipe": one} for record, named in many for one in ([named] if isinstance(named, str) else named)
    ]


def of_operators(record: dict) -> bool:
    return record.get("kind", "operator") in ("operator", "partitioner")


def compared(record: dict) -> bool:
    numerics = record.get("numerics")
    return (
        not numerics
        or "worst" in numerics
        or "max_abs" in numerics
        or record["outcome"] not in ("pass", "partial", "fallback")
    )


def itself(record: dict) -> bool:
    """Whether the call is of the operator the case was made for."""
    call, op = record.get("call", ""), record.get("op", "")
    name = re.match(r"[\w.]+(?=\()", call)
    if record.get("origin") == "beside" or record.get("api") in ("", None, op) or not name:
        return True
    called, own = (re.sub(r"[._]", "", text) for text in (name[0], op.split(".")[1] if op.count(".") > 1 else op))
    return called == own or (len(called) > 3 and own in (f"{called}r", f"{called}loss"))


def fate_of(record: dict) -> str:
    if record["outcome"] == "fallback" and not record.get("fallback"):
        return "works"  # lowering takes the operator out: nothing is left to run anywhere
    if record["outcome"] != "partial":
        return FATE_OF[record["outcome"]]
    left, taken = record.get("fallback", {}), record.get("delegated", {})
    own = packet(record["op"])
    return "not delegated" if own in map(packet, left) and own not in map(packet, taken) else "works"


def samples_of(records: list[dict], general: set[str]) -> dict[str, list[Sample]]:
    """By packet: the calls, and the programs that work; without those that fail by a general limit alone."""
    found: dict[str, dict[str, Sample]] = defaultdict(dict)
    for record in records:
        outcome = record["outcome"]
        if record["recipe"] not in USUAL or record["environment"].endswith("-simulated"):
            continue
        if outcome not in FATE_OF or not compared(record) or record.get("kind") == "partitioner":
            continue
        if of_operators(record) and itself(record):
            sample = found[packet(record["op"])].setdefault(record["case"], Sample(record, True))
            sample.fates.append(fate_of(record))
            sample.causes.append(record.get("cause", ""))
        elif outcome in ("pass", "partial"):
            for name in {packet(name) for name in record.get("delegated", {}) if not name.startswith("operator.")}:
                found[name].setdefault(record["case"], Sample(record, False, ["works"], [""]))
    return {
        name: [s for s in samples.values() if s.fate == "works" or not s.general <= general]
        for name, samples in found.items()
    }


# A call as it is shown.


def split(text: str) -> list[str]:
    """At the commas outside brackets and quotes."""
    parts, depth, quote, at = [], 0, "", 0
    for number, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
            if character == "," and not depth:
                parts.append(text[at:number].strip())
                at = number + 1
    return [part for part in [*parts, text[at:].strip()] if part]


class CallText:
    """`function`, and what stands for each parameter; None as `arguments` where positions are not read."""

    def __init__(self, record: dict, schemas: dict[str, str]) -> None:
        self.text = record.get("call", "")
        self.op = record["op"]
        self.function, _, inside = self.text.partition("(")
        parts = split(inside.rpartition(")")[0])
        self.keywords = {part.partition("=")[0]: part.partition("=")[2] for part in parts if re.match(r"\w+=", part)}
        self.positional = [part for part in parts if not re.match(r"\w+=", part)]
        schema = schemas.get(self.op, "")
        arguments = [part for part in split(schema[schema.find("(") + 1 : schema.rfind(") ->")]) if part != "*"]
        self.names = [part.split("=")[0].split()[-1] for part in arguments]
        self.defaults = {name: part.partition("=")[2] for name, part in zip(self.names, arguments, strict=True)}
        self.read = bool(schema) and not (REORDERED.search(self.function) and record.get("api") != self.op)
        self.tensors = re.findall(r"\b(bool|b?float\d+\w*|complex\d+|u?int\d+)\[([^\]]*)\]", self.text)

    def sizes(self, inside: str) -> list[int]:
        return [int(size) for size in re.findall(r"(?:^|, )(\d+)(?=,|$)", inside)]

    def argument(self, name: str) -> str | None:
        """Its text; empty where it is left out, None where that cannot be told."""
        if name in self.keywords:
            return self.keywords[name]
        if not self.read or name not in self.names:
            return None
        at = self.names.index(name)
        return self.positional[at] if at < len(self.positional) else ""

    @property
    def ranks(self) -> list[int]:
        return [len(self.sizes(inside)) for _, inside in self.tensors]


def numbers(text: str) -> list[float]:
    return [float(one) for one in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])", text)]


def holds(atom: str, call: CallText) -> bool | None:
    """Whether what a condition says is so of a call; None where this reading cannot tell."""
    data = "([[" in call.text or re.search(rf"\b(?:{INTEGERS}|bool|float\d+)\(", call.text)
    first = call.tensors[0] if call.tensors and call.positional[:1] and "[" in call.positional[0] else None
    whole = {
        "a 0-dimensional tensor": lambda: 0 in call.ranks,
        "an integer tensor": lambda: bool(re.search(rf"\b{INTEGERS}[\[(]", call.text)),
        "a bool tensor": lambda: bool(re.search(r"\bbool[\[(]", call.text)),
        "a float16 or bfloat16 tensor": lambda: bool(re.search(r"\bb?float16\[", call.text)),
        "a float32 tensor": lambda: "float32[" in call.text,
        "an 8- or 16-bit integer tensor": lambda: bool(re.search(r"\bu?int(8|16)\[", call.text)),
        "an int8 or uint8 tensor": lambda: bool(re.search(r"\bu?int8\[", call.text)),
        "a size of 0": lambda: any(0 in call.sizes(inside) for _, inside in call.tensors),
        "tensors of different ranks": lambda: len(set(call.ranks)) > 1,
        "a constant tensor": lambda: "constant=True" in call.text,
    }
    if atom in whole and not data:
        return whole[atom]()
    if (found := re.fullmatch(r"rank above (\d)", atom)) and not data:
        return any(rank > int(found[1]) for rank in call.ranks)
    if first and call.positional[0].startswith(f"{first[0]}["):
        rank = len(call.sizes(first[1]))
        if atom == "an input of integers":
            return bool(re.fullmatch(INTEGERS, first[0]))
        if atom == "an input of bool":
            return first[0] == "bool"
        if found := re.fullmatch(r"an input of rank (\d)", atom):
            return rank == int(found[1])
        if atom == "an input without batch dimension" and (found := re.search(r"(\d)d$", call.function)):
            return rank == int(found[1]) + 1
    if found := re.fullmatch(r"the overload `(\w+)`", atom):
        return call.op.rpartition(".")[2] == found[1]
    named = re.search(r"`(\w+)(?:=([^`]*))?`", atom)
    given = call.argument(named[1]) if named else None
    if named is None or given is None:
        return None
    form, name, value = atom.replace(named[0], "X"), named[1], named[2]
    default = call.defaults.get(name, "")
    if form == "X" and value is not None and name != "reduction":
        return given == value or (
            given != "" and _as_number(given) is not None and _as_number(given) == _as_number(value)
        )
    if form == "X given" and default == "None":
        return given not in ("", "None")
    if form == "X left out":
        return given == ""
    if form == "X that is no constant":
        return bool(given) and "[" in given and "constant=True" not in given
    if form == "a number as X":
        return _as_number(given) is not None or given in ("True", "False")
    if form == "a tensor as X":
        return bool(re.match(rf"\[?(?:{INTEGERS}|bool|b?float\d+\w*|complex\d+)[\[(]", given))
    if form.startswith("X other than ") and default:
        wanted = form.removeprefix("X other than ")
        return given != "" and given != wanted and any(part.strip("[] ") != wanted for part in split(given.strip("[]")))
    if not re.search(r"[a-zA-Z]", given):
        tell = {
            "negative X": lambda: any(one < 0 for one in numbers(given)),
            "negative X other than -1": lambda: any(one < 0 for one in numbers(given)) and -1 not in numbers(given),
            "X above 1": lambda: any(one > 1 for one in numbers(given)),
            "a 0 in X": lambda: 0 in numbers(given),
            "an empty X": lambda: given in ("[]", "()"),
        }
        return tell[form]() if form in tell else None
    return None


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def clause(text: str, call: CallText) -> bool | None:
    """Of `A and B, or C`: None where the answer hangs on what is not read."""
    terms = [[holds(atom, call) for atom in term.split(" and ")] for term in text.split(", or ")]
    if any(all(term) for term in terms):
        return True
    return None if any(None in term and False not in term for term in terms) else False


def told(text: str) -> dict[str, str]:
    """Conditions by fate; `in fp16` is left out, of those that are known and of no call `(known)` is not."""
    found: dict[str, str] = {}
    for part in filter(None, text.split("; ")):
        head, _, words = part.partition(": ")
        fate = re.sub(r" in [\w, ]+$", "", head)
        found[fate] = f"{found[fate]}, or {words}" if fate in found else words
    return found


@dataclass
class Report:
    """What does not hold, and how often a condition of calls was held against one, and could be read."""

    problems: list[str] = field(default_factory=list)
    asked: int = 0
    answered: int = 0


def check_conditions(name: str, text: str, samples: list[Sample], schemas: dict[str, str], report: Report) -> None:
    """Each fate of the samples is told and no other; each condition is true of its calls and of none that works."""
    conditions = told(text)
    known = {fate: conditions.pop(fate) for fate in list(conditions) if fate.endswith(KNOWN)}
    fates = {sample.fate for sample in samples} - {"works"}
    if conditions.keys() != fates:
        report.problems.append(f"{name}: tells {sorted(conditions)}, its calls come to {sorted(fates)}")
    for fate, words in (conditions | known).items():
        if "some calls (" in words:
            continue
        for sample in samples:
            if not (sample.own and sample.record.get("call")) or sample.fate not in ("works", fate):
                continue
            answer = clause(words, CallText(sample.record, schemas))
            if fate in conditions:
                report.asked += 1
                report.answered += answer is not None
            if answer is (sample.fate == "works"):
                verb = "works" if sample.fate == "works" else f"is {fate}"
                report.problems.append(f"{name}: {fate}: {words}: {sample.record['call']} {verb}")


def targets(records: list[dict], *, called: bool = False) -> Iterator[tuple[str, int]]:
    """Packets and the targets at which they were delegated with the right result, not quantized: those in programs,
    or those that were `called`, whatever became of them."""
    for record in records:
        found = re.fullmatch(r"fp\d+-ios(\d+)", record["recipe"])
        user = record.get("kind") != "partitioner"
        if found and user and record["outcome"] in ("pass", "partial") and compared(record):
            if called and record["outcome"] == "pass" and of_operators(record) and itself(record):
                yield packet(record["op"]), int(found[1])
            for name in () if called else record.get("delegated", {}):
                yield packet(name), int(found[1])


def check(
    reports: Path = ROOT / "reports", seed: int = 0, draw: int = 20, *, package: Path = ROOT / "harness"
) -> Report:
    """Twenty operators of each table, drawn by the seed."""
    report = Report()
    records = read_records(reports)
    page = (reports / "op-support.md").read_text(encoding="utf-8")
    limits = page.split("## General limits")[1].split("\n## ")[0]
    general = set(re.findall(r"findings\.md#([\w-]+)", limits))
    universe = [json.loads(line) for line in (package / "evidence" / "universe.jsonl").open(encoding="utf-8")]
    schemas = {row.get("name") or row["beside"]: row["schema"] for row in universe if "schema" in row}
    samples = samples_of(records, general)
    with (reports / "coreml-op-support.csv").open(encoding="utf-8") as file:
        table = {row["Operator"]: row for row in csv.DictReader(file)}
    lowest: dict[str, int] = {}
    in_programs = {name for name, _ in targets(records)}
    called = [(name, target) for name, target in targets(records, called=True) if name not in in_programs]
    for name, target in (*targets(records), *called):
        lowest[name] = min(target, lowest.get(name, target))
    chosen = random.Random(seed)
    for name in chosen.sample(sorted(table), min(draw, len(table))):
        own = samples.get(name, [])
        if not any(sample.fate == "works" for sample in own):
            report.problems.append(f"{name}: listed, and no call of it works")
        check_conditions(name, table[name]["Constraints"], own, schemas, report)
        said = table[name]["Lowest target"].removeprefix("iOS")
        if said != str(lowest.get(name, "")):
            report.problems.append(f"{name}: lowest target {said or 'none'}, measured {lowest.get(name)}")
    others = sorted(set(samples) - set(table))
    for name in chosen.sample(others, min(draw, len(others))):
        if any(sample.fate == "works" for sample in samples[name]):
            report.problems.append(f"{name}: not listed, and a call of it works")
    check_maintainers(page, records, general, chosen, draw, report)
    return report


def check_maintainers(
    page: str, records: list[dict], general: set[str], chosen: random.Random, draw: int, report: Report
) -> None:
    """The calls of models, and how many operators have a clause: the page of overloads."""
    lines = re.findall(r"^\| (`[^|]*) \| ((?:[^|\\]|\\.)+) \| ([^|]*?) ?\| [^|]*\|$", page, re.MULTILINE)
    lines = [line for line in lines if re.match(r"(\*\*)?(silently|overflows|fails|refused|not delegated)", line[1])]
    rows = [  # a row may stand for several operators; what one becomes stands in brackets behind it
        (re.findall(r"`([^`]+)`", re.sub(r" \(as [^)]*\)", "", named)), condition, models)
        for named, condition, models in lines
    ]
    mixed = [row for row in rows if not row[1].startswith("every call")]
    count = sum(len(names) for names, *_ in mixed)
    without = [name for names, text, _ in mixed for name in names if ", such as `" in text]
    if len(without) > 0.15 * count:
        report.problems.append(f"{len(without)} of {count} mixed operators have no clause: {', '.join(without)}")
    made: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record["recipe"] not in USUAL or record["outcome"] not in FATE_OF:
            continue
        if record.get("kind") == "model" and record["outcome"] in ("pass", "partial"):
            # A graph has the copying variant of a view, and speaks for both.
            for name in {one for taken in record.get("delegated", {}) for one in (shown(taken), short(taken))}:
                made[name][record["case"]].append("works")
            continue
        own = record.get("origin", "").startswith("extracted") and of_operators(record) and itself(record)
        if own and compared(record) and (fate_of(record) == "works" or record.get("cause") not in general):
            made[shown(record["op"])][record["case"]].append(fate_of(record))
    for names, _, said in chosen.sample(rows, min(draw, len(rows))):
        numbers_said = [int(one) for one in re.findall(r"\d+", said)]
        calls = [fates for name in names for fates in made[name].values()]
        failing = sum(any(fate != "works" for fate in fates) for fates in calls)
        if numbers_said != ([failing, len(calls)] if failing else [len(calls)] if calls else []):
            report.problems.append(
                f"{', '.join(names)}: calls of models: {said!r}, found {failing} of {len(calls)} failing"
            )


def main() -> int:
    seed, draw = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in ((1, 0), (2, 20)))
    report = check(seed=seed, draw=draw)
    print(*report.problems, sep="\n", end="\n" if report.problems else "")
    print(
        f"{report.answered} of {report.asked} conditions could be read against a call; {len(report.problems)} problems"
    )
    return int(bool(report.problems))


if __name__ == "__main__":
    sys.exit(main())
