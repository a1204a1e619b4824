"""Programs whose inputs have sizes known at run time only: within a range, of an enumeration, or from the data.

A case calls its program, lowered once, with a typical size, the least, the greatest, and others that are in it; then
with sizes outside, which the program has to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from harness.cases.case import AS_IT_IS, Arguments, Built, Case, Partitioning
from harness.cases.opinfo import on_fp16_grid
from harness.evidence.vocabulary import Kind, Level

if TYPE_CHECKING:
    import torch

SUITE = "shapes"
SEED = 0

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Span:
    """A dynamic dimension of `low` to `high`, in steps of `step`; not a dimension of that name but a hint
    (`torch.export.Dim.AUTO`) where it has none."""

    name: str = ""
    low: int | None = None
    high: int | None = None
    step: int = 1


#: The dynamic dimensions of each input, by number; None for a program without any.
Dynamic = tuple[Mapping[int, Span], ...] | None


@dataclass(frozen=True)
class Shaped:
    """A program and the shapes it is called with.

    `module` is its name among `shape_modules.MODULES`. Each of `calls` is a shape for each input; the program is made
    """

    name: str
    label: str
    module: str
    dynamic: Dynamic
    calls: tuple[tuple[Shape, ...], ...]
    refused: tuple[tuple[Shape, ...], ...] = ()
    partitioning: Partitioning = AS_IT_IS
    level: Level = Level.STANDARD


BATCH, LENGTH = Span("batch", 2, 8), Span("length", 2, 16)


def _one(
    name: str, label: str, dynamic: Mapping[int, Span], calls: Sequence[Shape], refused: Sequence[Shape] = ()
) -> Shaped:
    """A program of one input."""
    return Shaped(name, label, name, (dynamic,), tuple((s,) for s in calls), tuple((s,) for s in refused))


def _long(name: str, span: Span = LENGTH) -> Shaped:
    low = span.low or 0
    shapes = [(2, length, 4) for length in (6, low, 16, 17, low - 1)]
    label = f"length-{'' if span.name else 'hinted-'}{low}-to-16"
    return _one(name, label, {1: span}, shapes[:3], shapes[3:])


def _plane(name: str) -> Shaped:
    spans = {2: Span("height", 8, 20), 3: Span("width", 8, 24)}
    shapes = [(1, 3, *size) for size in ((12, 10), (8, 8), (20, 24), (9, 23), (7, 8), (20, 25))]
    return _one(name, "height-8-to-20-width-8-to-24", spans, shapes[:4], shapes[4:])


def _batch(label: str, span: Span, *sizes: int, refused: Sequence[int] = ()) -> Shaped:
    return _one("linear", f"batch-{label}", {0: span}, [(size, 6) for size in sizes], [(size, 6) for size in refused])


_LONG = (
    *(
        "attention",
        "attention-causal",
        "positions",
        "layer-norm",
        "sum",
        "mean-and-max",
        "softmax",
        "cumsum",
        "flatten",
    ),
    *("reshape-to-rest", "view-of-size", "unsqueeze-and-permute", "cat", "cat-with-fixed", "stack-and-split"),
    *("times-size", "sum-by-size", "zeros-of-size", "expand", "repeat", "flip-and-roll", "topk", "where"),
)
_PLANES = (
    *("conv2d", "conv2d-stride", "conv-transpose2d", "batch-norm", "group-norm", "max-pool2d", "avg-pool2d"),
    *("adaptive-avg-pool2d", "upsample-nearest", "upsample-bilinear", "pad"),
)
_BOTH = {0: BATCH, 1: LENGTH}

RANGES: tuple[Shaped, ...] = (
    _batch("2-to-8", BATCH, 5, 2, 8, refused=(9, 1)),
    _batch("1-to-8", Span("batch", 1, 8), 5, 1, 8, refused=(9,)),
    _batch("0-to-8", Span("batch", 0, 8), 5, 1, 8, 0, refused=(9,)),
    _batch("hinted", Span(), 5, 2, 40),
    _batch("hinted-2-to-8", Span(low=2, high=8), 5, 2, 8, refused=(9, 1)),
    _batch("hinted-1-to-8", Span(low=1, high=8), 5, 1, 8, refused=(9,)),
    _batch("even-2-to-16", Span("half", 1, 8, step=2), 6, 2, 16, refused=(18,)),
    _one("mlp", "batch-2-to-8", {0: BATCH}, [(5, 6), (2, 6), (8, 6)], [(9, 6)]),
    _one(
        "linear", "batch-2-to-8-length-2-to-16", _BOTH, [(5, 6, 6), (2, 2, 6), (8, 16, 6), (2, 16, 6)],
        [(9, 6, 6), (5, 17, 6)],
    ),
    _one(
        "conv1d", "length-4-to-16", {2: Span("length", 4, 16)}, [(2, 3, 6), (2, 3, 4), (2, 3, 16)],
        [(2, 3, 3), (2, 3, 17)],
    ),
    *map(_plane, _PLANES),
    *map(_long, _LONG),
    _long("slice", Span("length", 4, 16)),
    _long("half", Span(low=4, high=16)),
    _one("embedding", "batch-2-to-8-length-2-to-16", _BOTH, [(5, 6), (2, 2), (8, 16)], [(9, 6), (5, 17)]),
    Shaped(
        "add", "batch-2-to-8-of-two", "add", ({0: BATCH}, {0: BATCH}), tuple(((n, 4), (n, 4)) for n in (5, 2, 8)),
        (((9, 4), (9, 4)),),
    ),
    Shaped(
        "matmul", "rows-2-to-8-columns-2-to-16", "matmul", ({0: Span("rows", 2, 8)}, {1: Span("columns", 2, 16)}),
        tuple(((a, 4), (4, b)) for a, b in ((5, 6), (2, 2), (8, 16), (8, 2))), (((9, 4), (4, 6)), ((5, 4), (4, 17))),
    ),
)  # fmt: skip

#: What the backend wants where shapes are enumerated.
_WHOLE = (("lower_full_graph", True),)


def _enumerated(
    label: str,
    module: str,
    dynamic: Dynamic,
    shapes: Mapping[str, tuple[Shape, ...]],
    outside: tuple[tuple[Shape, ...], ...] = (),
    fixed: tuple[Shape, ...] = (),
    options: tuple[tuple[str, object], ...] = _WHOLE,
) -> Shaped:
    """Shapes of each input, first ones belonging together: all that belong together are calls, and all that do not are
    refused, with those `outside`. Inputs of a `fixed` shape come after the others."""
    together = list(zip(*shapes.values(), strict=True))
    mixed = {tuple(m) for one in together for other in together for m in _mixtures(one, other)} - set(together)
    calls, refused = ([(*shape, *fixed) for shape in group] for group in (together, [*sorted(mixed), *outside]))
    partitioning = Partitioning(options=options, enumerated=tuple(shapes.items()))
    return Shaped("enumerated", label, module, dynamic, tuple(calls), tuple(refused), partitioning)


def _mixtures(one: tuple[Shape, ...], other: tuple[Shape, ...]) -> list[tuple[Shape, ...]]:
    return [(*one[:place], other[place], *one[place + 1 :]) for place in range(len(one))]


_HINT = {0: Span(low=1, high=9)}
_BATCHES = ((4, 6), (2, 6), (8, 6))

ENUMERATIONS: tuple[Shaped, ...] = (
    _enumerated("batch-4-2-8", "linear", (_HINT,), {"input": _BATCHES}, (((3, 6),), ((9, 6),))),
    _enumerated("batch-4-1", "linear", (_HINT,), {"input": ((4, 6), (1, 6))}, (((2, 6),),)),
    _enumerated("batch-named-2-to-8", "linear", ({0: BATCH},), {"input": _BATCHES}, (((3, 6),),)),
    _enumerated("batch-named-1-to-8", "linear", ({0: Span("batch", 1, 8)},), {"input": _BATCHES}, (((3, 6),),)),
    _enumerated(
        "images", "conv2d", ({2: Span(low=8, high=32), 3: Span(low=8, high=32)},),
        {"input": ((1, 3, 16, 24), (1, 3, 24, 16), (1, 3, 8, 8))}, (((1, 3, 16, 16),),),
    ),
    _enumerated("pairs", "pair", (_HINT, _HINT), {"x": ((4, 6), (2, 6)), "y": ((5, 5), (3, 5))}, (((3, 6), (3, 5)),)),
    _enumerated(
        "pairs-one-shape-twice", "pair", (_HINT, _HINT), {"x": ((4, 6), (2, 6), (4, 6)), "y": ((5, 5), (3, 5), (7, 5))}
    ),
    _enumerated("pairs-of-one-size", "add", ({0: BATCH}, {0: BATCH}), {"x": _BATCHES, "y": _BATCHES}),
    _enumerated(
        "pairs-beside-a-fixed-input", "scaled", (_HINT, _HINT, {}),
        {"x": ((4, 3), (2, 3)), "y": ((5, 3), (3, 3))}, fixed=((3,),),
    ),
    _enumerated("not-the-whole-graph", "linear", (_HINT,), {"input": _BATCHES}, options=()),
)  # fmt: skip

#: Programs of sizes that the data decides, and what it decides, call by call.
FROM_DATA: Mapping[str, tuple[int, ...]] = {
    "nonzero": (3, 1, 6),
    "masked-select": (3, 1, 6),
    "masked-sum": (3, 1, 6),
    "item-slice": (3, 1, 6),
    "item-size": (3, 1, 6),
    "repeat-interleave": (2, 1),
    "unique": (3, 6),
}
_WITH_NUMBER = ("item-slice", "item-size", "repeat-interleave")

PROGRAMS: tuple[Shaped, ...] = (
    *RANGES,
    *ENUMERATIONS,
    *(Shaped(name, "size-from-data", name, None, (((6,),),) * len(counts)) for name, counts in FROM_DATA.items()),
)
_SMOKE = {"linear/batch-2-to-8", "conv2d", "attention", "enumerated/pairs", "nonzero"}


@cache
def cases() -> tuple[Case, ...]:
    """A case for each program. Makes no tensors."""
    return tuple(
        Case(
            id=f"{SUITE}/{one.name}/{_dtype(one)}/{one.label}",
            kind=Kind.SHAPES,
            op=f"{SUITE}.{one.name}",
            api=f"{SUITE}.{one.name}",
            dtype=_dtype(one),
            origin=SUITE,
            level=Level.SMOKE if _SMOKE & {one.name, f"{one.name}/{one.label}"} else one.level,
            build=partial(_build, one),
        )
        for one in PROGRAMS
    )


def _dtype(one: Shaped) -> str:
    return "int64" if one.module == "embedding" else "float32"


def _build(one: Shaped) -> Built:
    import torch

    from harness.cases.shape_modules import MODULES

    torch.manual_seed(SEED)
    module = MODULES[one.module]().eval()
    inputs = [_inputs(one, number, shapes) for number, shapes in enumerate(one.calls)]
    refused = [_inputs(one, number, shapes) for number, shapes in enumerate(one.refused)]
    return Built(
        module,
        inputs[0],
        SEED,
        dynamic_shapes=_dynamic_shapes(module, one.dynamic),
        partitioning=one.partitioning,
        calls=tuple(map(Arguments, inputs[1:])),
        refused=tuple(map(Arguments, refused)),
    )


def _inputs(one: Shaped, number: int, shapes: tuple[Shape, ...]) -> tuple[torch.Tensor, ...]:
    import torch

    if one.module == "embedding":
        return (torch.randint(0, 20, shapes[0]),)
    found = tuple(on_fp16_grid(torch.randn(*shape)) for shape in shapes)
    if one.module not in FROM_DATA:
        return found
    count = FROM_DATA[one.module][number]
    if one.module in _WITH_NUMBER:
        return (*found, torch.tensor(count))
    signs = torch.where(torch.arange(6) < count, 1.0, -1.0)
    return ((found[0].abs() + 0.5) * signs,)


def _dynamic_shapes(module: torch.nn.Module, dynamic: Dynamic) -> object:
    """What `torch.export` takes; the inputs of a module of `Calls` are one argument of several."""
    from harness.cases.shape_modules import Calls

    if dynamic is None:
        return None
    names: dict[str, Any] = {}
    found = tuple({number: _dimension(span, names) for number, span in one.items()} for one in dynamic)
    return (found,) if isinstance(module, Calls) else found


def _dimension(span: Span, names: dict[str, Any]) -> Any:
    from torch.export import Dim

    known = {name: size for name, size in (("min", span.low), ("max", span.high)) if size is not None}
    if not span.name:
        return Dim.AUTO(**known) if known else Dim.AUTO
    dim = names.setdefault(span.name, Dim(span.name, **known))
    return dim if span.step == 1 else span.step * dim
