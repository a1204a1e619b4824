"""What a record says of its lowered graph: the operators in it, and those without a kernel."""

from __future__ import annotations

from harness.evidence.names import OpName, by_packet
from harness.evidence.record import Record
from harness.evidence.vocabulary import WORKING


def operators_of(counts: dict[str, int]) -> dict[str, int]:
    """Node counts of real operators only; Python's own functions in a graph (`operator.getitem`) are none."""
    return {name: count for name, count in counts.items() if not name.startswith("operator.")}


def graph_of(record: Record) -> list[str]:
    """The operators of the lowered graph, delegated or not, by name; empty where lowering did not get that far."""
    return sorted(operators_of(record.delegated) | operators_of(record.fallback))


def nothing_compared(record: Record) -> bool:
    """True for a program that works and whose outputs are all empty: its shapes are right, no value was seen."""
    numerics = record.numerics
    return record.outcome in WORKING and numerics is not None and numerics.worst is None and numerics.max_abs is None


def without_kernel(record: Record) -> set[str]:
    """Fallback operators for which ExecuTorch's registry has no kernel, named as in the graph.

    `missing_kernels` name the out variants that the emitted program calls (`aten::pow.Tensor_Scalar_out` for
    `aten.pow.Tensor_Scalar`, `aten::asinh.out` for `aten.asinh.default`). One that fits no operator of the graph is
    given as it is.
    """
    names: set[str] = set()
    packets = by_packet(operators_of(record.fallback))
    for kernel in record.missing_kernels:
        wanted = OpName.parse(kernel)
        near = packets.get(wanted.key, set())
        exact = {name for name in near if OpName.parse(name).overload == wanted.functional.overload}
        names |= exact or near or {kernel}
    return names
