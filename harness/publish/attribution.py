"""Which operators a record is evidence for, and with what outcome.

- Only cases whose graph contains it. Where a failure came before the graph was known, it counts for the operator
  the case was made for. A program that works although its graph is empty (a view of its input), or all of whose
  outputs are empty so that no value was compared, is evidence for none.
- In a program that works, each operator is judged by itself: delegated is `pass`, not delegated `fallback`, both
  `partial`; the case's own outcome may be worse because of its neighbours.
- In a program that fails, the blame goes to the operator the case was made for, or to the only one there is. Where
  neither holds, it stays with the API entry.
- A model that works is evidence for every operator in it, one that does not for none. A module that does not is for
  the one that its failure is put down to, or the only one there is.
- How close a result came to its bound is told by the cases made for the operator: in others, and where it stands
  between a convolution and a linear layer to attract the ANE, the bound is another's too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from harness.evidence.names import OpName, same_operator
from harness.evidence.record import Record
from harness.evidence.vocabulary import UNJUDGED, WORKING, Kind, Outcome
from harness.publish.ane import LAYERS
from harness.publish.graphs import graph_of, nothing_compared, operators_of


def attribute(record: Record, in_graphs: Mapping[str, set[str]] | None = None) -> Iterator[tuple[str, Outcome]]:
    """`(operator, outcome)` for every operator this record is evidence for; rules in the module's docstring.

    `in_graphs` are the operators seen in any graph, as `by_packet` gives them: a failure before the graph was
    known is put under the name the operator has there.
    """
    outcome = record.outcome
    graph = graph_of(record)
    if not graph:
        if (named := _made_for(record)) and outcome not in WORKING:
            yield _name_in_graphs(named, in_graphs or {}), outcome
        return
    if nothing_compared(record):
        return
    if outcome in WORKING:
        for name in graph:
            yield name, _own_outcome(name, record)
        return
    own = [name for name in graph if record.op and same_operator(record.op, name)]
    suspects = _blamed(record) or sorted(operators_of(record.delegated or record.fallback))
    if not own and len(suspects) == 1:
        own = suspects
    for name in own:
        # An operator that stayed outside the delegates did not cause what went wrong inside them.
        innocent = outcome not in UNJUDGED and record.delegated and name not in record.delegated
        yield name, Outcome.FALLBACK if innocent else outcome


def stands_for(record: Record, name: str) -> bool:
    """Whether an operator of the graph is what the case was made for, or what that was taken apart into; the layers
    around it are not."""
    named = [other for other in graph_of(record) if same_operator(record.op, other)]
    return name in named if named else name not in LAYERS


def _made_for(record: Record) -> str:
    """The operator that a failure before the graph was known is one of: the case's own, else the one it is put down to;
    empty where there is none."""
    if OpName.parse(record.op).is_operator:
        return record.op
    blamed = _blamed(record)
    return blamed[0] if len(blamed) == 1 else ""


def _blamed(record: Record) -> list[str]:
    """What the failure of a module is put down to, in which no operator is the one it was made for."""
    return record.blamed if record.kind is Kind.MODULE else []


def _own_outcome(name: str, record: Record) -> Outcome:
    if name not in record.fallback:
        return Outcome.PASS
    return Outcome.PARTIAL if name in record.delegated else Outcome.FALLBACK


def _name_in_graphs(operator: str, in_graphs: Mapping[str, set[str]]) -> str:
    near = in_graphs.get(OpName.parse(operator).key, set())
    matches = [name for name in near if same_operator(operator, name)]
    return matches[0] if len(matches) == 1 else operator
