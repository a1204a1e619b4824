"""`Remedy`: what a user can do about a failing check, verified by lowering and judging again.

It is the least change that was found: options of the partitioner and of the edge dialect, another recipe, a rewrite of
the module; or the word that nothing of what was tried helps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import HarnessError, Outcome

#: Lowerings that a search for one may take, unless its caller says otherwise.
TRIES = 30

SKIP = "skip_ops_for_coreml_delegation"
#: Rewrites of a module that can be tried, and what its author has to write for them.
REWRITES: dict[str, str] = {
    "contiguous_inputs": "pass contiguous inputs: `x = x.contiguous()` before the module is called and exported",
    "explicit_stride": "give the pool its stride: `F.max_pool2d(x, 2, stride=2)` for `F.max_pool2d(x, 2)`",
    "run_decompositions": "decompose the exported program first: `program = program.run_decompositions()`",
    "float_inputs": "turn the integers into floats before the operator: `torch.sin(x.float())` for `torch.sin(x)`",
    "int32_inputs": "turn integers of another width into int32 before the operator: `x.to(torch.int32)`",
}
#: Those that change how one operator is called; the others are about the program as a whole.
REWRITES_OF_AN_OPERATOR = frozenset({"explicit_stride", "float_inputs", "int32_inputs"})


@dataclass(frozen=True)
class Problem:
    """What stood in the way: an outcome, the operator it was put down to where that is known, its line in the user's
    source, the cause by its slug, and where there is none what was raised."""

    outcome: Outcome
    operator: str = ""
    source: str = ""
    cause: str = ""
    error: str = ""


@dataclass(frozen=True)
class Remedy:
    """A way around a failing check, or none: then `outcome` is None.

    `outcome` is what the changed program comes to, `recipe` another recipe's name, `options` keyword arguments that the
    partitioner was given before, as Python, `skip` operators for
    `skip_ops_for_coreml_delegation`, `preserve` those that the edge dialect is to keep whole and let through,
    `unchecked` the edge dialect without its check of validity, `rewrite` one of `REWRITES`. `delegated` and `left`
    count the operators on either side of the changed program, `missing_kernels` are those that ExecuTorch's own library
    has no kernel for: they must be added to the runtime. `tries` is how often the module was lowered, `problems` what
    was met on the way, the record's own first.
    """

    outcome: Outcome | None = None
    recipe: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    skip: tuple[str, ...] = ()
    preserve: tuple[str, ...] = ()
    unchecked: bool = False
    rewrite: str = ""
    delegated: int = 0
    left: int = 0
    missing_kernels: tuple[str, ...] = ()
    tries: int = 0
    problems: tuple[Problem, ...] = ()
    reason: str = ""

    @property
    def is_verified(self) -> bool:
        """Whether the changed program works with what ExecuTorch has."""
        return self.outcome is not None and not self.missing_kernels

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; what is empty is left out."""
        return _plain(self)

    @classmethod
    def from_json(cls, data: Any) -> Remedy:
        """Raises `HarnessError` for what is no remedy."""
        try:
            values = dict(data)
            if "outcome" in values:
                values["outcome"] = Outcome(values["outcome"])
            for name in ("skip", "preserve", "missing_kernels"):
                values[name] = tuple(map(str, values.get(name, ())))
            problems = [{**one, "outcome": Outcome(one["outcome"])} for one in values.get("problems", ())]
            values["problems"] = tuple(Problem(**one) for one in problems)
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise HarnessError(f"remedy: {error}") from None


def _plain(item: Remedy | Problem) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for f in fields(item):
        value = getattr(item, f.name)
        if not value:
            continue
        if f.name == "problems":
            value = [_plain(one) for one in value]
        if isinstance(value, tuple):
            value = list(value)
        data[f.name] = str(value) if f.name == "outcome" else value
    return data


def summary(remedy: Remedy) -> str:
    """The remedy in one line, without code."""
    if remedy.outcome is None:
        return f"none found: {remedy.reason}"
    told = []
    if remedy.rewrite:
        told.append(REWRITES[remedy.rewrite])
    if remedy.recipe:
        told.append(f"lower by {remedy.recipe}")
    if remedy.skip:
        told.append(f"leave {_listed(remedy.skip)} to ExecuTorch (`skip_ops_for_coreml_delegation`)")
    if remedy.preserve:
        told.append(f"keep {_listed(remedy.preserve)} whole (`EdgeCompileConfig(preserve_ops=...)`)")
    if remedy.unchecked:
        told.append("turn the edge dialect's check off (`EdgeCompileConfig(_check_ir_validity=False)`)")
    return "; ".join(told)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def leads_to(remedy: Remedy) -> str:
    """What comes of it: `partial: 11 of 12 operators delegated`."""
    total = remedy.delegated + remedy.left
    share = f": {remedy.delegated} of {total} operators delegated" if total else ""
    kernels = f"; add a kernel to the runtime for {', '.join(remedy.missing_kernels)}" if remedy.missing_kernels else ""
    return f"{remedy.outcome}{share}{kernels}"


def code(remedy: Remedy, recipe: Recipe) -> str:
    """Python to paste: how `program`, the exported module, is lowered with it."""
    chosen = Recipe.parse(remedy.recipe) if remedy.recipe else recipe
    options = dict(remedy.options)
    if remedy.skip:
        options[SKIP] = _list(remedy.skip)
    specs = chosen.compile_specs
    before = ["program = program.run_decompositions()"] if remedy.rewrite == "run_decompositions" else []
    lines = [
        "import coremltools as ct",
        "import torch",
        "from executorch.backends.apple.coreml.compiler import CoreMLBackend",
        "from executorch.backends.apple.coreml.partition import CoreMLPartitioner",
        f"from executorch.exir import {'EdgeCompileConfig, ' * _edge(remedy)}to_edge_transform_and_lower",
        "",
        *before,
        "partitioner = CoreMLPartitioner(",
        *(f"    {name}={value}," for name, value in options.items()),
        *(["    compile_specs=CoreMLBackend.generate_compile_specs("] if specs else []),
        *(f"        {name}={value}," for name, value in specs.items()),
        *(["    ),"] if specs else []),
        ")",
    ]
    if not _edge(remedy):
        return "\n".join([*lines, "lowered = to_edge_transform_and_lower(program, partitioner=[partitioner])"])
    config = []
    if remedy.preserve:
        config.append(f"preserve_ops=[{', '.join(f'torch.ops.{name}' for name in remedy.preserve)}]")
    if remedy.unchecked:
        config.append("_check_ir_validity=False")
    return "\n".join(
        [
            *lines,
            f"config = EdgeCompileConfig({', '.join(config)})",
            "lowered = to_edge_transform_and_lower(program, partitioner=[partitioner], compile_config=config)",
        ]
    )


def partitioner_options(skip: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of the partitioner with these operators left to ExecuTorch besides what is `given`."""
    options = dict(given)
    if skip:
        options[SKIP] = list(dict.fromkeys([*options.get(SKIP, ()), *skip]))
        if options.get("lower_full_graph"):  # the two exclude each other
            options["lower_full_graph"] = False
    return options


def _edge(remedy: Remedy) -> bool:
    return bool(remedy.preserve or remedy.unchecked)


def _list(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f'["{names[0]}"]'
    return "[\n" + "".join(f'        "{name}",\n' for name in names) + "    ]"
