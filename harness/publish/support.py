"""What a user can do with an operator: a category, and the conditions under which it fails.

An operator is judged by the calls that are made of it: passes and failures go to the same name, the one it was called
by, and a program that works speaks for every operator in its graph. What fails by a general limit, whatever the
operator, is told at the head of a page and not here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from harness.evidence.names import OpName
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record, natural_key
from harness.evidence.vocabulary import OF_OPERATORS, RANK, WORKING, Effect, Kind, Outcome, outcomes_of
from harness.publish.calls import read_call
from harness.publish.clauses import Clause, contradicted, separate
from harness.publish.facts import Facts, facts
from harness.publish.graphs import graph_of, nothing_compared, operators_of
from harness.publish.known_defects import KnownDefect
from harness.publish.schema import Parameter

#: Where cases come from that are calls of models, and operators put beside others, as their origin says.
EXTRACTED, BESIDE = "extracted", "beside"
#: All there is to say of a call that stands beside other operators: alone it may well work.
_BESIDE: Facts = {"beside operators that are left to ExecuTorch": 1}


#: What operators are called beyond the name of the public function: `grid_sample` is `grid_sampler`.
_SUFFIXES = ("r", "loss")


class Fate(StrEnum):
    """What becomes of a call, for the user; the worst last."""

    WORKS = "works"
    LEFT = "runs on ExecuTorch's kernels"
    REFUSED = "refused before Core ML"
    FAILS = "fails to lower, load or run"
    OVERFLOWS = "overflows"
    WRONG = "silently wrong"


FATES: Mapping[Fate, frozenset[Outcome]] = {
    Fate.WORKS: outcomes_of(Effect.DELEGATED),
    Fate.LEFT: outcomes_of(Effect.LEFT_OUT),
    Fate.REFUSED: outcomes_of(Effect.REFUSED),
    Fate.FAILS: outcomes_of(Effect.FAILS, Effect.CONTRADICTORY),
    Fate.OVERFLOWS: outcomes_of(Effect.OUT_OF_RANGE),
    Fate.WRONG: outcomes_of(Effect.WRONG, Effect.UNSTABLE),
}
_FATE_OF = {outcome: fate for fate, outcomes in FATES.items() for outcome in outcomes}
_WORST = {fate: rank for rank, fate in enumerate(Fate)}


class Category(StrEnum):
    """By what a user has to do; as headings of a page, best first."""

    WORKS = "Works"
    LOWERS_EXCEPT = "Works, except that some calls are left out or fail to lower"
    RIGHT_EXCEPT = "Works, except for silently wrong results of some calls"
    KERNELS = "Runs on ExecuTorch's kernels"
    REFUSED = "Refused before Core ML"
    NEVER = "Never lowers"
    WRONG = "Always wrong"
    LIMITED = "Tried only at a general limit"


#: Those of operators of which some call works.
WORKING_CATEGORIES = frozenset({Category.WORKS, Category.LOWERS_EXCEPT, Category.RIGHT_EXCEPT})

CATEGORY_MEANINGS: Mapping[Category, str] = {
    Category.WORKS: "within the general limits, every call that was tried is delegated and right",
    Category.LOWERS_EXCEPT: "some calls run on ExecuTorch's kernels, are refused, or end lowering with an error: "
    "nothing comes out that is wrong",
    Category.RIGHT_EXCEPT: "some calls lower, run, and give a wrong result or overflow: look whether yours is among "
    "them",
    Category.KERNELS: "the partitioner leaves it to ExecuTorch, whose own kernels run it, where it has them",
    Category.REFUSED: "`to_edge_transform_and_lower` raises an error, which tells what is refused",
    Category.NEVER: "the partitioner takes it for Core ML, and lowering the whole model ends with an error: name it in "
    "`skip_ops_for_coreml_delegation`, or write it otherwise",
    Category.WRONG: "it lowers, and every call that was tried gives a wrong result",
    Category.LIMITED: "every call that was tried meets a general limit",
}


@dataclass
class Sample:
    """A call that was tried: its records by the usual recipes, in every place.

    `facts` is None for a program that only contains the operator: it says that some call of it works, not which.
    """

    case: str
    api: str
    call: str
    origin: str
    facts: Facts | None
    records: list[Record] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)

    @property
    def fate(self) -> Fate:
        return max(self.fates, key=_WORST.__getitem__)

    @property
    def by_models(self) -> bool:
        """Whether a model makes this call, or contains the operator. Blocks of models are made of such calls."""
        kinds = {record.kind for record in self.records}
        return Kind.MODEL in kinds or (self.origin.startswith(EXTRACTED) and kinds <= OF_OPERATORS)

    @property
    def failing(self) -> list[Record]:
        return [record for record, fate in zip(self.records, self.fates, strict=True) if fate is self.fate]

    @property
    def where(self) -> frozenset[str]:
        """The precisions and units in which it comes to its fate, where it does not in all that were tried. That
        rounding hides in fp16 what is wrong in fp32 is not said: it is wrong all the same."""
        found: set[str] = set()
        for part in (lambda r: Recipe.parse(r.recipe).precision, lambda r: r.unit):
            tried, touched = {part(record) for record in self.records}, {part(record) for record in self.failing}
            found |= touched if touched != tried else set()
        return frozenset(found - {"fp32"})

    @property
    def causes(self) -> frozenset[str]:
        return frozenset(record.cause or "" for record in self.failing)


@dataclass(frozen=True)
class Condition:
    """What becomes of some calls of an operator, and of which: `clause`, or where none separates them, the calls. Or
    the defects that are `known` to strike calls that were not tried."""

    fate: Fate
    clause: Clause | None
    samples: tuple[Sample, ...]
    where: frozenset[str] = frozenset()
    known: tuple[KnownDefect, ...] = ()

    @property
    def causes(self) -> list[str]:
        found = {cause for sample in self.samples for cause in sample.causes if cause}
        return sorted(found | {defect.cause for defect in self.known})


@dataclass
class Support:
    """An operator, by the name it is called by: `samples` within the general limits, `limited` at them. `hints` are the
    conditions of causes, `known` the defects of the operator that no check of the evidence shows."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    limited: list[Sample] = field(default_factory=list)
    becomes: set[str] = field(default_factory=set)
    hints: Mapping[str, str] = field(default_factory=dict)
    known: list[KnownDefect] = field(default_factory=list)

    @property
    def working(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.fate is Fate.WORKS]

    @property
    def made_by_models(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.by_models]

    @property
    def category(self) -> Category:
        fates = {sample.fate for sample in self.samples}
        if not fates:
            return Category.LIMITED
        if Fate.WORKS in fates:
            fates |= {_fate_of(defect) for defect in self.known}
            if fates & {Fate.WRONG, Fate.OVERFLOWS}:
                return Category.RIGHT_EXCEPT
            return Category.WORKS if fates == {Fate.WORKS} else Category.LOWERS_EXCEPT
        if fates <= {Fate.WRONG, Fate.OVERFLOWS}:
            return Category.WRONG
        if Fate.LEFT in fates and not fates & {Fate.WRONG, Fate.OVERFLOWS}:
            return Category.KERNELS
        return Category.REFUSED if fates == {Fate.REFUSED} else Category.NEVER

    @property
    def mixed(self) -> bool:
        """Whether calls of it come to different fates, so that there is something to tell."""
        return len({sample.fate for sample in self.samples}) > 1

    def conditions(self) -> list[Condition]:
        """Of the calls that do not work, by what becomes of them, the worst first. Those of one cause have a clause of
        their own where one separates them."""
        passing = [sample.facts for sample in self.working if sample.facts is not None]
        found: list[Condition] = []
        for fate in reversed(Fate):
            members = [sample for sample in self.samples if sample.fate is fate]
            if fate is Fate.WORKS:
                continue
            groups: dict[tuple[frozenset[str], frozenset[str]], list[Sample]] = defaultdict(list)
            for sample in members:
                groups[sample.causes, sample.where].append(sample)
            # What also tells them from calls that fail in another way is better.
            others = [s.facts for s in self.samples if s.fate not in (fate, Fate.WORKS) and s.facts is not None]
            own = [_condition(fate, group, passing, others, self.hints) for group in groups.values()]
            if len(own) > 1 and any(one.clause is None for one in own):
                whole = _condition(fate, members, passing, others, self.hints)
                own = [whole] if whole.clause is not None else own
            found += _merged(own)
            if known := tuple(one for one in self.known if _fate_of(one) is fate):
                found.append(Condition(fate, None, (), known=known))
        return found


def _condition(
    fate: Fate,
    samples: Sequence[Sample],
    passing: Sequence[Facts],
    others: Sequence[Facts],
    hints: Mapping[str, str],
) -> Condition:
    """Of samples of one fate. Where the clause holds for `others` too, which come to another, one that does not is
    taken if it has no more terms."""
    known = [sample.facts for sample in samples if sample.facts is not None]
    told = " ".join(hints.get(cause, "") for cause in sorted({c for sample in samples for c in sample.causes}))
    clause = separate(known, passing, told) if len(known) == len(samples) else None
    if clause is not None and any(clause.holds(other) for other in others):
        narrower = separate(known, [*passing, *others], told)
        clause = narrower if narrower is not None and len(narrower.terms) <= len(clause.terms) else clause
    where = {sample.where for sample in samples}
    return Condition(fate, clause, tuple(samples), where.pop() if len(where) == 1 else frozenset())


def _merged(conditions: Iterable[Condition]) -> list[Condition]:
    """Conditions of the same words as one; those without a clause together, at the end."""
    groups: dict[str, list[Condition]] = defaultdict(list)
    for one in conditions:
        groups[str(one.clause or "")].append(one)
    merged = []
    for group in groups.values():
        samples = tuple(sample for one in group for sample in one.samples)
        everywhere = any(not one.where for one in group)
        where = frozenset() if everywhere else frozenset().union(*(one.where for one in group))
        merged.append(Condition(group[0].fate, group[0].clause, samples, where))
    return sorted(merged, key=lambda one: (one.clause is None, -len(one.samples), str(one.clause)))


class By(StrEnum):
    """What calls are put under: the operator as it is called, the operator whatever its overload, or the public
    function."""

    OPERATOR = "operator"
    PACKET = "packet"
    FUNCTION = "function"


def support_of(
    records: Iterable[Record],
    general: frozenset[str] = frozenset(),
    schemas: Callable[[str], Sequence[Parameter]] = lambda _name: (),
    by: By = By.OPERATOR,
    hints: Mapping[str, str] | None = None,
    known: Sequence[KnownDefect] = (),
) -> dict[str, Support]:
    """What the judged records say, by name. `general` are the causes of that scope, `schemas` gives an operator's
    parameters, `hints` are the conditions of causes, whose words a clause is told in where it can be. `known` are
    defects that no record shows."""
    found: dict[str, Support] = {}
    samples: dict[tuple[str, str, str], Sample] = {}
    inside: list[Record] = []
    for record in records:
        if record.outcome not in RANK or nothing_compared(record):
            continue
        if record.kind not in OF_OPERATORS or (by is not By.FUNCTION and not calls_itself(record)):
            inside.append(record)
            continue
        name = NAMED[by](record)
        if not name:
            continue
        key = name, record.case, record.environment
        if key not in samples:
            told = _facts(record, schemas, by)
            samples[key] = Sample(record.case, record.api, record.call, record.origin, told)
        samples[key].records.append(record)
        samples[key].fates.append(_fate(record))
        found.setdefault(name, Support(name, hints=hints or {})).becomes.update(graph_of(record))
    for (name, _, _), sample in samples.items():
        limited = sample.fate is not Fate.WORKS and sample.causes and sample.causes <= general
        (found[name].limited if limited else found[name].samples).append(sample)
    if by is not By.FUNCTION:
        _credit(found, inside, by)
    for support in found.values() if known else ():
        support.known = _known(support, known)
    return dict(sorted(found.items(), key=lambda item: natural_key(item[0])))


def _known(support: Support, known: Sequence[KnownDefect]) -> list[KnownDefect]:
    """Those of the operators that its calls are of, where some of these work; but for one whose condition a call that
    works is seen to meet."""
    own = [sample for sample in support.samples if sample.facts is not None]
    operators = {record.op for sample in own for record in sample.records} or {support.name}
    passing = [sample.facts for sample in support.working if sample.facts is not None]
    striking = (one for one in known if support.working and any(map(one.strikes, sorted(operators))))
    return [one for one in striking if not contradicted(one.condition, passing)]


def _facts(record: Record, schemas: Callable[[str], Sequence[Parameter]], by: By) -> Facts | None:
    if record.origin == BESIDE:
        return _BESIDE
    call = read_call(record.call) if record.call else None
    if call is None:
        return None
    overload = OpName.parse(record.op).overload if by is By.PACKET else ""
    public = record.api != record.op
    direct = not public and not record.origin.startswith(EXTRACTED)
    return facts(call, schemas(record.op), public=public, direct=direct, overload=overload)


def packet_name(operator: str) -> str:
    """As backend documentation writes it: `add`, `quantized_decomposed.add`; a view and its copying variant alike."""
    name = OpName.parse(operator)
    packet = name.packet.removesuffix("_copy") or name.packet
    return packet if name.namespace in ("", "aten") else f"{name.namespace}.{packet}"


#: What a record is put under, empty where it is not.
NAMED: Mapping[By, Callable[[Record], str]] = {
    # What calls no operator is told by its function alone.
    By.OPERATOR: lambda record: record.op if OpName.parse(record.op).is_operator else "",
    By.PACKET: lambda record: packet_name(record.op) if OpName.parse(record.op).is_operator else "",
    # Of an operator called by its own name there is no function.
    By.FUNCTION: lambda record: record.api if record.api != record.op else "",
}


def calls_itself(record: Record) -> bool:
    """Whether the function that the call names is the operator the case was made for; what goes wrong in another one
    may lie in what else that calls."""
    call = read_call(record.call) if record.call else None
    if record.api in ("", record.op) or record.origin == BESIDE or call is None:
        return True
    called = call.function.replace(".", "").replace("_", "")
    packet = OpName.parse(record.op).packet.replace("_", "")
    return called == packet or (len(called) > 3 and packet.startswith(called) and packet[len(called) :] in _SUFFIXES)


def _fate(record: Record) -> Fate:
    """Of a program that works in part, what becomes of its own operator. One that lowering takes out leaves nothing to
    run, on ExecuTorch's kernels either."""
    if record.outcome is Outcome.FALLBACK and not graph_of(record):
        return Fate.WORKS
    if record.outcome is Outcome.PARTIAL:
        own = [name for name in operators_of(record.fallback) if _same(record.op, name)]
        return Fate.LEFT if own and not any(_same(record.op, name) for name in record.delegated) else Fate.WORKS
    return _FATE_OF[record.outcome]


def _fate_of(defect: KnownDefect) -> Fate:
    return max((_FATE_OF[outcome] for outcome in defect.outcomes), key=_WORST.__getitem__)


def _same(called: str, in_graph: str) -> bool:
    return OpName.parse(called).key == OpName.parse(in_graph).key


def _credit(found: dict[str, Support], programs: Iterable[Record], by: By) -> None:
    """A program that works speaks for each operator it delegates, under the names that is called by."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for name in found:
        by_key[OpName.parse(name).key].append(name)
    seen: set[tuple[str, str]] = set()
    for record in programs:
        if record.outcome not in WORKING:
            continue
        for operator in operators_of(record.delegated):
            for name in _called(operator, by_key, by):
                if (name, record.case) not in seen:
                    seen.add((name, record.case))
                    sample = Sample(record.case, record.api, record.call, record.origin, None, [record], [Fate.WORKS])
                    found.setdefault(name, Support(name)).samples.append(sample)


def _called(operator: str, by_key: dict[str, list[str]], by: By) -> Sequence[str]:
    """The names under which an operator of a graph is called: those of its overload, else of any, else its own."""
    if by is By.PACKET:
        return (packet_name(operator),)
    name = OpName.parse(operator)
    near = by_key.setdefault(name.key, [])
    if not near:
        near.append(operator)
    return [other for other in near if OpName.parse(other).overload == name.overload] or near
