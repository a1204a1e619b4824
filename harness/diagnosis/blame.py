"""Which operator of a module's program a wrong answer is put down to, without being asked: where that takes seconds.

`harness.diagnosis.localise` tells it, and lowers the module again for it. What a lowering raised has told its place
itself (`harness.lowering.place`).
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.cases.case import Case
from harness.diagnosis.localise import Localisation, localise
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import OF_MODULES, OF_OPERATORS, Kind, Outcome
from harness.lowering.lower import Exported, Lowered, methods
from harness.lowering.place import Place, source_line
from harness.verdict.stage import STILL_WRONG

#: Outcomes of a program that ran, or contradicted itself, of which an operator can be at fault.
LOCALISED = frozenset({Outcome.WRONG_VALUE, Outcome.OUT_OF_RANGE, Outcome.WRONG_SHAPE, Outcome.INVALID_PROGRAM})
#: Seconds that lowering may have taken: localising lowers again and runs the program after each pass.
SECONDS = 3.0


def is_worthwhile(kind: Kind, lowered: Lowered) -> bool:
    """Whether localising is worth its time: of a module where it is a matter of seconds; of a model always, of
    which few fail, and where it can be any of hundreds of operators."""
    return kind is Kind.MODEL or (kind in OF_MODULES and lowered.timing.get("lower", SECONDS) < SECONDS)


def blamed(
    case: Case, recipe: Recipe, known: Sequence[Note] = (), exported: Exported | None = None
) -> tuple[list[Place], list[Note]]:
    """The operators that the wrong answer of a case's first call is put down to, of which one is, and what else was
    found out besides what is `known`; no place where localising does not tell. What the case was `exported` to is used
    again where it is given."""
    try:
        found = localise(case, recipe, exported)
    except Exception:  # a graph that cannot be run node by node, say: the outcome stands without a place
        return [], []
    folded = [Note(NoteCode.FOLDED, operator) for operator in found.folded]
    if found.overflows:
        folded.append(
            Note(NoteCode.CONSTANT_OVERFLOWS, "a constant of the program is infinite, and was a finite number")
        )
    # What is wrong however wide it is computed is wrong for another reason, whatever eager does.
    notes = [] if STILL_WRONG in known else _precision(found)
    origins = {node.target: node.origin for node in (*found.origin, *([found.node] if found.node else ()))}
    return [Place(operator, origins.get(operator, "")) for operator in found.blamed], folded + notes


def _precision(found: Localisation) -> list[Note]:
    if not found.eager_too:
        return []
    text = f"eager PyTorch in {found.eager_too} fails as well: the module does not survive this precision"
    return [Note(NoteCode.EAGER_TOO, text)]


def placed(record: Record, case: Case, exported: Exported | None, *places: Place) -> Record:
    """With the operator that the outcome is put down to, where that is another than the case's own, and its line in
    the user's source."""
    told: list[tuple[NoteCode, str]] = []
    programs = methods(exported).values() if exported is not None and exported.program is not None else ()
    for place in places:
        if place.operator != case.op:
            told.append((NoteCode.OPERATOR, place.operator))
        if case.kind in OF_OPERATORS:
            continue
        told += [(NoteCode.INPUT, place.input), *((NoteCode.DTYPE_CHANGED, name) for name in place.dtype_changed)]
        if case.kind is Kind.USER:
            told.append((NoteCode.SOURCE, source_line(programs, place)))
    notes = [Note(code, detail) for code, detail in dict.fromkeys(told) if detail]
    return record.with_(notes=[*record.notes, *notes])
