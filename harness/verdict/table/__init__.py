"""The table: operator -> tolerance class, factor, source or reason.

The rows stand in a file per family; `rows` says how one is written. Integer and bool results are always exact. No
factor may be raised to make a check pass.

Every operator a program given to the Core ML partitioner may contain has its row. Another one, a user's own for
instance, is propagated through the operators its implementation calls, and labelled `COMPOSED (no row)`.
"""

from __future__ import annotations

from dataclasses import replace

from harness.evidence.names import OpName
from harness.evidence.vocabulary import ToleranceClass as C
from harness.verdict.table import composed, elementwise, exact, quantized, sums  # noqa: F401  (they fill RULES)
from harness.verdict.table.rows import RULES
from harness.verdict.tolerance import Rule

#: For what the table does not know: propagated through what its implementation calls. Where that is native code which
#: calls nothing, 8 ulp, a handful of elementary steps; the record says which.
NO_ROW = Rule("", C.COMPOSED, (8.0, 8.0), reason="no row in the table", listed=False)

#: For a graph that only moves data, whatever public function the case is named after.
MOVES_DATA = Rule("", C.EXACT, reason="nothing in the graph computes")


def normal_name(op: str) -> str:
    """`aten::add_.Tensor` or `torch.ops.aten.add_.Tensor` -> `aten.add_.Tensor`; a bare name is ATen's."""
    name = OpName.parse(op)
    return str(name if name.namespace else replace(name, namespace="aten"))


def lookup(op: str) -> Rule:
    """The row of an operator: its overload's, its packet's, that of its functional or viewing twin; else `NO_ROW`.

    Operators of `prims` have the rows of their namesakes in ATen.
    """
    name = normal_name(op)
    parsed = OpName.parse(name)
    namespace = "aten" if parsed.namespace == "prims" else parsed.namespace
    packet = parsed.packet
    stems = [packet, packet.removesuffix("_")] if not packet.endswith("__") else [packet]
    stems += [s.removesuffix("_copy") for s in stems if s.endswith("_copy")]
    for stem in stems:
        for overload in dict.fromkeys((parsed.overload, "")):
            if (candidate := str(OpName(namespace, stem, overload))) in RULES:
                return RULES[candidate]
    return replace(NO_ROW, op=name)


def rule_for(primary: str, all_ops: list[str]) -> Rule:
    """The rule for a graph whose subject is `primary` and whose nodes are `all_ops` (ATen overload names).

    The primary's row where it covers the graph alone (everything else moves data); the row of the one operator that
    computes where the primary is that operator's wrapper; otherwise COMPOSED of the parts, factors added up and the
    parts named in the reason. `primary` may be a public function that is no operator: it has no row and needs none.
    """
    own = lookup(primary)
    names = [normal_name(op) for op in all_ops]
    parts = [lookup(name) for name in names if OpName.parse(name).namespace in ("aten", "prims") or lookup(name).listed]
    if not own.listed and own.op not in names:
        own = replace(MOVES_DATA, op=own.op)
    computing = [r for r in parts if r.cls is not C.EXACT]
    others = [r for r in computing if r.op != own.op]
    if not others and (sum(r.op == own.op for r in computing) <= 1 or own.cls is C.COMPOSED):
        return own
    if len(computing) == 1:
        return computing[0]
    counts: dict[str, int] = {}
    for r in computing:
        counts[r.op] = counts.get(r.op, 0) + 1
    through = ", ".join(f"{n} x {op}" if n > 1 else op for op, n in sorted(counts.items()))
    factor = (sum(max(r.factor[0], 1.0) for r in computing), sum(max(r.factor[1], 1.0) for r in computing))
    listed = all(r.listed for r in computing)
    return Rule(own.op, C.COMPOSED, factor, reason=f"propagated through {through}", listed=listed)


#: Whole models; see `tolerance.SQNR_THRESHOLD_DB`.
MODEL = Rule("model", C.SQNR, reason="signal-to-quantization-noise of the whole output")
