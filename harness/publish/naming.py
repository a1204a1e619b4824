"""Names as records spell them, taken apart: recipes, ATen operators, kinds of cases, environments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.evidence.files import is_simulated
from harness.evidence.record import Record
from harness.evidence.unit import UnitSpec


@dataclass(frozen=True)
class RecipeName:
    """`fp16-ios17-pt2e-int8` as precision `fp16`, target `ios17`, quantization `pt2e-int8` (empty when none)."""

    precision: str
    target: str
    quantization: str


def parse_recipe(recipe: str) -> RecipeName:
    precision, _, rest = recipe.partition("-")
    target, _, quantization = rest.partition("-")
    return RecipeName(precision, target, quantization)


def is_model(record: Record) -> bool:
    """A whole model, or a module with state: judged as one, and shown under its own name."""
    return record.case.startswith(("models/", "state/"))


def model_name(record: Record) -> str:
    """`models/mobilenet_v2/float32` is `mobilenet_v2`, `state/total/float32` is `state/total`."""
    suite, _, rest = record.case.partition("/")
    name = (rest or suite).split("/")[0]
    return f"{suite}/{name}" if suite == "state" else name


def is_operator_case(record: Record) -> bool:
    """True for cases made to try one operator; a model or a user's own file says too little about each of its own."""
    return bool(record.op or record.api) and not is_model(record) and not record.case.startswith("check/")


def subject(record: Record) -> str:
    """What a reader looks a record up by: its operator, else its API entry, else the case without its sample."""
    if is_model(record):
        return model_name(record)
    return record.op or record.api or record.case.rsplit("/", 1)[0]


def is_operator(name: str) -> bool:
    """False for the public function (`torch.conj`) that stands in for the operator of a case which calls none."""
    return "." in name and not name.startswith(("torch.", "operator."))


def operators_of(counts: dict[str, int]) -> dict[str, int]:
    """Node counts of real operators only; Python's own functions in a graph (`operator.getitem`) are none."""
    return {name: count for name, count in counts.items() if not name.startswith("operator.")}


def same_operator(named: str, in_graph: str) -> bool:
    """True when a graph's operator is the one a case names.

    The edge dialect replaces views by their copying variants (`aten.permute.default` becomes
    `aten.permute_copy.default`), and a case may name the operator without its overload.
    """
    space, packet, overload = _parts(named)
    graph_space, graph_packet, graph_overload = _parts(in_graph)
    same_packet = packet == graph_packet or f"{packet}_copy" == graph_packet
    return space == graph_space and same_packet and overload in ("", graph_overload)


def _parts(operator: str) -> tuple[str, str, str]:
    space, _, rest = operator.partition(".")
    packet, _, overload = rest.partition(".")
    return space, packet, overload


def packet_of(operator: str) -> str:
    """`aten.permute` for `aten.permute.default` and for its copying variant alike."""
    space, packet, _ = _parts(operator)
    return f"{space}.{packet.removesuffix('_copy')}"


def group_by_packet(operators: Iterable[str]) -> dict[str, set[str]]:
    """Operators by `packet_of`, in which those `same_operator` can match stand together."""
    groups: dict[str, set[str]] = {}
    for operator in operators:
        groups.setdefault(packet_of(operator), set()).add(operator)
    return groups


def without_kernel(record: Record) -> set[str]:
    """Fallback operators for which ExecuTorch's registry has no kernel, named as in the graph.

    `missing_kernels` name the out variants that the emitted program calls (`aten::pow.Tensor_Scalar_out` for
    `aten.pow.Tensor_Scalar`, `aten::asinh.out` for `aten.asinh.default`). One that fits no operator of the graph is
    given as it is.
    """
    names: set[str] = set()
    by_packet = group_by_packet(operators_of(record.fallback))
    for kernel in record.missing_kernels:
        space, packet, overload = _parts(kernel.replace("::", "."))
        near = by_packet.get(packet_of(f"{space}.{packet}"), set())
        own = overload.removesuffix("_out") if overload != "out" else "default"
        exact = {name for name in near if _parts(name)[2] == own}
        names |= exact or near or {kernel}
    return names


def short_operator(operator: str) -> str:
    """`aten.gelu.default` as backend documentation writes it: `gelu`; other overloads and namespaces stay."""
    space, packet, overload = _parts(operator)
    name = packet if overload in ("", "default") else f"{packet}.{overload}"
    return name if space == "aten" else f"{space}.{name}"


def system_name(environment: dict[str, Any]) -> str:
    """`macos 15.2`; of other systems the name alone: no result depends on a Linux kernel's build."""
    name = str(environment.get("os", ""))
    return name if name.startswith("macos") else name.split(" ", 1)[0]


def may_fill(unit: str, environment: dict[str, Any] | None) -> bool:
    """Whether a record of `unit` from `environment` may stand in a published table.

    Nothing of a simulated Core ML host may, and a column of Core ML itself needs macOS.
    """
    if is_simulated(environment):
        return False
    if UnitSpec.parse(unit).needs_core_ml:
        return str((environment or {}).get("os", "")).startswith("macos")
    return True
