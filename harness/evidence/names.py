"""`OpName`: an operator's name as graphs and records spell it, `aten.permute.default`."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace

#: Namespaces of public functions and of Python's own, which stand in where no operator is called.
_NO_OPERATORS = frozenset({"", "torch", "operator"})
_COPY = "_copy"


@dataclass(frozen=True)
class OpName:
    """An overload, or without `overload` the packet of all of them; a bare name has no namespace."""

    namespace: str
    packet: str
    overload: str = ""

    @staticmethod
    @functools.cache
    def parse(name: str) -> OpName:
        """Of any text; the dispatcher's spelling `aten::permute` and `torch.ops.aten.permute` name the same.

        >>> OpName.parse("aten::pow.Tensor_Scalar_out")
        OpName(namespace='aten', packet='pow', overload='Tensor_Scalar_out')
        """
        namespace, dot, rest = name.removeprefix("torch.ops.").replace("::", ".", 1).partition(".")
        if not dot:
            return OpName("", namespace)
        packet, _, overload = rest.partition(".")
        return OpName(namespace, packet, overload)

    def __str__(self) -> str:
        return ".".join(part for part in (self.namespace, self.packet, self.overload) if part)

    @property
    def is_operator(self) -> bool:
        """False for the public function (`torch.conj`) that stands in for the operator of a case which calls none, and
        for what Python computes in a graph (`operator.getitem`)."""
        return self.namespace not in _NO_OPERATORS

    @property
    def packet_name(self) -> str:
        """`aten.permute` of `aten.permute.default`."""
        return f"{self.namespace}.{self.packet}" if self.namespace else self.packet

    @property
    def key(self) -> str:
        """As `packet_name`, of a view and of its copying variant alike: what `same_as` matches has the same."""
        return str(OpName(self.namespace, self.packet.removesuffix(_COPY)))

    @property
    def is_copy(self) -> bool:
        return self.packet.endswith(_COPY)

    @property
    def copying(self) -> OpName:
        """The variant of a view that the edge dialect puts in its place: `aten.permute_copy.default`."""
        return replace(self, packet=f"{self.packet}{_COPY}")

    @property
    def functional(self) -> OpName:
        """Of an in-place or out overload, what it does: `aten.pow.Tensor_Scalar` of `aten.pow.Tensor_Scalar_out`,
        `aten.asinh.default` of `aten.asinh.out`."""
        overload = "default" if self.overload == "out" else self.overload.removesuffix("_out")
        return OpName(self.namespace, self.packet.removesuffix("_"), overload)

    @property
    def short(self) -> str:
        """`aten.gelu.default` as backend documentation writes it: `gelu`; other overloads and namespaces stay."""
        name = self.packet if self.overload in ("", "default") else f"{self.packet}.{self.overload}"
        return name if self.namespace == "aten" else f"{self.namespace}.{name}"

    def same_as(self, in_graph: OpName) -> bool:
        """True when a graph's operator is the one a case names.

        The edge dialect replaces views by their copying variants (`aten.permute.default` becomes
        `aten.permute_copy.default`), and a case may name the operator without its overload.
        """
        return (
            self.namespace == in_graph.namespace
            and in_graph.packet in (self.packet, f"{self.packet}{_COPY}")
            and self.overload in ("", in_graph.overload)
        )

    def matches(self, pattern: str) -> bool:
        """Whether a glob names it, with or without the overload."""
        return fnmatch.fnmatchcase(str(self), pattern) or fnmatch.fnmatchcase(self.packet_name, pattern)


@functools.cache
def same_operator(named: str, in_graph: str) -> bool:
    """`OpName.same_as` of two names as text."""
    return OpName.parse(named).same_as(OpName.parse(in_graph))


def by_packet(operators: Iterable[str]) -> dict[str, set[str]]:
    """Operators by `OpName.key`, in which those `same_as` can match stand together."""
    groups: dict[str, set[str]] = {}
    for operator in operators:
        groups.setdefault(OpName.parse(operator).key, set()).add(operator)
    return groups
