"""The rules of the Core ML partitioner: each rule by which it overrides coremltools, and each of its options.

A rule is tried twice: as it stands (`on`), where its operator must stay out of Core ML, and switched off (`off`), where
conversion and the result tell whether it is still needed. The table holds small programs as text, so that it can be
read, printed on a page, and pasted.
"""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.cases.case import AS_IT_IS, Built, Case, Partitioning
from harness.cases.opinfo import on_fp16_grid
from harness.evidence.names import OpName
from harness.evidence.partitioner_rules import SUITE, Trial
from harness.evidence.vocabulary import Kind, Level

if TYPE_CHECKING:
    import torch

#: The names programs may use for their inputs: dtype and shape.
INPUTS: dict[str, tuple[str, tuple[int, ...]]] = {
    "i": ("int32", (3, 4)),
    "j": ("int32", (3, 4)),
    "p": ("float32", (1, 2, 8, 8)),
    "q": ("float32", (1, 2, 4, 8)),
    "t": ("float32", (2, 3, 4)),
    "v": ("float32", (5,)),
    "x": ("float32", (3, 4)),
    "y": ("float32", (3, 4)),
}


@dataclass(frozen=True)
class TriedRule:
    """A rule or an option of the partitioner; `kind` is one of `harness.evidence.partitioner_rules.KINDS`.

    `says` is what it does and why, `url` the thread it names for that. `line` is a piece of the line in
    `coreml_partitioner.py` that states it. `reason`: whether it stands for `conversion` (which shows here), for what
    happens on a `device`, or for `speed`. `off` is the partitioning without the rule; None for an option, whose
    programs run with `on` alone.
    """

    kind: str
    name: str
    op: str
    says: str
    line: str
    programs: tuple[str, ...]
    url: str = ""
    reason: str = "conversion"
    on: Partitioning = AS_IT_IS
    off: Partitioning | None = None


def _rejects(op: str, says: str, line: str, *programs: str, url: str, reason: str = "conversion") -> TriedRule:
    """A rule that rejects an operator which coremltools claims; the edge dialect has views as copies."""
    off = Partitioning(claim=(op, str(OpName.parse(op).copying)))
    return TriedRule("rejects", f"rejects-{_slug(op)}", op, says, line, programs, url, reason, off=off)


def _decomposes(op: str, says: str, line: str, *programs: str, url: str = "", reason: str = "conversion") -> TriedRule:
    """An operator that coremltools claims and that is decomposed all the same."""
    return TriedRule(
        "decomposes", f"decomposes-{_slug(op)}", op, says, line, programs, url, reason, off=Partitioning(keep=(op,))
    )


def _reaches(op: str, *programs: str) -> TriedRule:
    """An operator that coremltools claims and the edge dialect refuses before the partitioner is asked."""
    says = "claimed, outside Core ATen and without a decomposition: the edge dialect lets it through to the partitioner"
    return TriedRule(
        "reaches",
        f"reaches-{_slug(op)}",
        op,
        says,
        "do_not_decompose.append(node.target)",
        programs,
        off=Partitioning(admit=(op,)),
    )


def _option(name: str, op: str, says: str, line: str, program: str, **options: object) -> TriedRule:
    return TriedRule("option", name, op, says, line, (program,), on=Partitioning(options=tuple(options.items())))


def _slug(op: str) -> str:
    return OpName.parse(op).short.strip("_").replace(".", "-").replace("_", "-").lower()


_COREMLTOOLS = "https://github.com/apple/coremltools/issues/"
_EXECUTORCH = "https://github.com/pytorch/executorch/issues/"
_FLAT = "rejected without `dim`: the process is said to crash now and then at run time"
_TRIANGLE = "decomposed: coremltools' converter refuses it in programs of ExecuTorch"

RULES: tuple[TriedRule, ...] = (
    _rejects(
        "aten.add.Tensor",
        "alpha other than 1 is rejected",
        'node.kwargs["alpha"] != 1',
        "torch.add(x, y, alpha=2)",
        "torch.add(x, y, alpha=0.5)",
        "torch.add(i, j, alpha=3)",
        url=_COREMLTOOLS + "2573",
    ),
    _rejects(
        "aten.sub.Tensor",
        "alpha other than 1 is rejected",
        'node.kwargs["alpha"] != 1',
        "torch.sub(x, y, alpha=2)",
        "torch.sub(x, y, alpha=0.5)",
        "torch.sub(i, j, alpha=3)",
        url=_COREMLTOOLS + "2573",
    ),
    _rejects(
        "aten.diagonal.default",
        "rejected: a wrong result in Core ML",
        "exir_ops.edge.aten.diagonal_copy.default,",
        "torch.diagonal(x)",
        "torch.diagonal(x, 1)",
        "torch.diagonal(t)",
        "torch.diagonal(t, 0, 1, 2)",
        url=_COREMLTOOLS + "2565",
    ),
    _rejects(
        "aten.acosh.default",
        "rejected: not implemented in coremltools",
        "exir_ops.edge.aten.acosh.default,",
        "torch.acosh(x.abs() + 1.5)",
        url=_COREMLTOOLS + "2569",
    ),
    _rejects(
        "aten.asinh.default",
        "rejected: not implemented in coremltools",
        "exir_ops.edge.aten.asinh.default,",
        "torch.asinh(x)",
        url=_COREMLTOOLS + "2569",
    ),
    _rejects(
        "aten.rand.default",
        "rejected: conversion raises",
        "exir_ops.edge.aten.rand.default,",
        "x + 0 * torch.rand(3, 4)",
        url=_EXECUTORCH + "11722",
    ),
    *(
        _rejects(
            f"aten.{name}.default",
            _FLAT,
            "if _is_arg_min_max_over_flattened_input(node):",
            f"torch.{name}(x)",
            f"torch.{name}(v)",
            f"torch.{name}(x, keepdim=True)",
            url=_EXECUTORCH + "11715",
            reason="device",
        )
        for name in ("argmax", "argmin")
    ),
    *(
        _decomposes(
            f"aten.{name}.default",
            _TRIANGLE,
            f"torch.ops.aten.{name}.default,",
            f"torch.{name}(x)",
            f"torch.{name}(x, 1)",
            f"torch.{name}(t, -1)",
        )
        for name in ("triu", "tril")
    ),
    _decomposes(
        "aten.repeat_interleave.self_int",
        "decomposed: coremltools' translation is said to be slow",
        "torch.ops.aten.repeat_interleave.self_int,",
        "torch.repeat_interleave(x, 2, dim=1)",
        "torch.repeat_interleave(x, 2)",
        reason="speed",
    ),
    _decomposes(
        "aten.repeat_interleave.self_Tensor",
        "decomposed: coremltools' translation is said to be slow",
        "torch.ops.aten.repeat_interleave.self_Tensor,",
        "torch.repeat_interleave(x, torch.ones(3, dtype=torch.int64), dim=0, output_size=3)",
        "torch.repeat_interleave(x, self.repeats, dim=0, output_size=5)",
        reason="speed",
    ),
    _reaches("aten._unique2.default", "torch.unique(i)"),
    _reaches("aten.adaptive_max_pool2d.default", "torch.nn.functional.adaptive_max_pool2d(p, 4)"),
    _reaches("aten.complex.default", "torch.view_as_real(torch.complex(x, y))"),
    _reaches("aten.cumprod.default", "torch.cumprod(x, 1)", "torch.cumprod(t, -3)"),
    _reaches("aten.exp2.default", "torch.exp2(x)"),
    _reaches("aten.logcumsumexp.default", "torch.logcumsumexp(x, 1)"),
    _reaches("aten.randn_like.default", "x + 0 * torch.randn_like(x)"),
    _reaches("aten.scatter.reduce", 'torch.scatter(x, 0, self.index, y[:2], reduce="add")'),
    _reaches("aten.scatter.value_reduce", 'torch.scatter(x, 0, self.index, 2.0, reduce="multiply")'),
    _reaches("aten.searchsorted.Scalar", "torch.searchsorted(v.sort().values, 0.25)"),
    _reaches("aten.searchsorted.Tensor", "torch.searchsorted(self.edges, x)", "torch.searchsorted(v.sort().values, v)"),
    _option(
        "skips-by-name",
        "aten.gelu.default",
        "an operator named to be skipped stays out of Core ML, the rest goes in",
        "if node_target_name in skipped_ops:",
        "torch.nn.functional.gelu(x) + y",
        skip_ops_for_coreml_delegation=["aten.gelu.default"],
    ),
    # The products leave the range of fp16 and come back: right only where ExecuTorch multiplies.
    _option(
        "skips-by-name-with-capitals",
        "aten.mul.Tensor",
        "the same for an overload whose name has a capital letter",
        'node_target_name = getattr(node.target, "__name__", "").lower()',
        "(x * 300) * (y * 300) * 1e-5 + y",
        skip_ops_for_coreml_delegation=["aten.mul.Tensor"],
    ),
    _option(
        "skips-by-name-in-lower-case",
        "aten.mul.Tensor",
        "the same, its name written in lower case",
        'node_target_name = getattr(node.target, "__name__", "").lower()',
        "(x * 300) * (y * 300) * 1e-5 + y",
        skip_ops_for_coreml_delegation=["aten.mul.tensor"],
    ),
    _option(
        "skips-what-is-kept-whole",
        "aten.scaled_dot_product_attention.default",
        "the same for an operator that is otherwise kept from decomposition",
        "if node_target_name in skipped_ops:",
        "torch.nn.functional.scaled_dot_product_attention(q, q, q)",
        skip_ops_for_coreml_delegation=["aten.scaled_dot_product_attention.default"],
    ),
    _option(
        "leaves-constants",
        "aten.linear.default",
        "weights stay outside of the delegate and become inputs of it",
        "if self.take_over_constant_data:",
        "torch.nn.functional.linear(x, self.weight)",
        take_over_constant_data=False,
    ),
    _option(
        "leaves-mutable-buffers",
        "aten.add.Tensor",
        "a buffer that the program changes stays ExecuTorch's",
        "if self.take_over_mutable_buffer:",
        "x + self.count.add_(1)",
        take_over_mutable_buffer=False,
    ),
    _option(
        "lowers-the-full-graph",
        "aten.sin.default",
        "a program of supported operators alone is one delegate",
        "lower_full_graph: bool = False,",
        "torch.sin(x) * y",
        lower_full_graph=True,
    ),
    _option(
        "refuses-part-of-the-graph",
        "aten.asinh.default",
        "with an operator that Core ML does not support, lowering the full graph is refused",
        "raise NotImplementedError(",
        "torch.asinh(x) * y",
        lower_full_graph=True,
    ),
)


@functools.cache
def cases() -> tuple[Case, ...]:
    """Makes no tensors."""
    return tuple(case for rule in RULES for case in _cases_of(rule))


def _cases_of(rule: TriedRule) -> Iterator[Case]:
    for number, program in enumerate(rule.programs):
        for switched_off, partitioning in ((False, rule.on), (True, rule.off)):
            # One program shows that the rule acts; what it keeps away is tried on all.
            if partitioning is not None and (switched_off or number == 0):
                dtype = INPUTS[names_in(program)[0]][0]
                yield Case(
                    id=f"{SUITE}/{rule.op}/{dtype}/{Trial(rule.name, switched_off, label_of(program))}",
                    kind=Kind.PARTITIONER,
                    op=rule.op,
                    api=program.partition("(")[0] if program.startswith("torch.") else rule.op,
                    dtype=dtype,
                    origin=SUITE,
                    call=program,
                    level=Level.STANDARD if number else Level.SMOKE,
                    build=functools.partial(build, program, partitioning),
                )


def label_of(program: str) -> str:
    """A program as part of an id: six digits of its digest."""
    return hashlib.sha256(program.encode()).hexdigest()[:6]


def names_in(program: str) -> list[str]:
    """The inputs a program names, in the order of `INPUTS`."""
    used = compile(program, "program", "eval").co_names
    return [name for name in INPUTS if name in used]


def build(program: str, partitioning: Partitioning = AS_IT_IS) -> Built:
    """The program as a module of its inputs, drawn on the fp16 grid; integers lie between -9 and 9."""
    import torch

    seed = zlib.crc32(program.encode())
    generator = torch.Generator().manual_seed(seed)
    names = names_in(program)
    inputs = tuple(_draw(*INPUTS[name], generator) for name in names)
    return Built(_module(program, names), inputs, seed, partitioning=partitioning)


def _draw(dtype: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    import torch

    if dtype.startswith("int"):
        return torch.randint(-9, 10, shape, generator=generator, dtype=getattr(torch, dtype))
    return on_fp16_grid(torch.randn(shape, generator=generator, dtype=getattr(torch, dtype)))


def _module(program: str, names: list[str]) -> torch.nn.Module:
    import torch

    body: Any = eval(f"lambda self, {', '.join(names)}: {program}", {"torch": torch})

    class Program(torch.nn.Module):
        """Evaluates the text; its buffers are there for what is about constants and state."""

        def __init__(self) -> None:
            super().__init__()
            if "self.weight" in program:
                self.register_buffer("weight", torch.arange(8.0).reshape(2, 4) / 4 - 1)
            if "self.count" in program:
                self.register_buffer("count", torch.ones(3, 4))
            if "self.edges" in program:
                self.register_buffer("edges", torch.tensor([-1.0, -0.25, 0.25, 1.0]))
            if "self.index" in program:
                self.register_buffer("index", torch.tensor([[2, 0, 1, 1], [0, 0, 1, 2]]))
            if "self.repeats" in program:
                self.register_buffer("repeats", torch.tensor([1, 3, 1]))

        def forward(self, *tensors: torch.Tensor) -> Any:
            return body(self, *tensors)

    return Program().eval()
