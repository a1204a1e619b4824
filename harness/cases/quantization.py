"""Quantized modules: what the schemes quantize, each by the schemes that do, at the lowest target and at iOS18.

A case is the module before: a recipe quantizes it. Activations are calibrated by its first call; the second one of
those called `beyond` goes far out of that range, where a quantized activation stays at the end of its grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from harness.cases import models
from harness.cases.case import Arguments, Built, Case
from harness.cases.opinfo import on_fp16_grid
from harness.evidence.recipe import PRECISIONS, QUANTIZATIONS, TARGETS, Flow
from harness.evidence.vocabulary import Kind, Level

if TYPE_CHECKING:
    import torch

SUITE = "quantization"
SEED = 0
#: Of schemes that take a lower target, this one as well.
USUAL = "iOS18"

ALL = tuple(QUANTIZATIONS)
PT2E = tuple(name for name, row in QUANTIZATIONS.items() if row.flow is Flow.PT2E)
#: One of each kind of what a linear layer is quantized by.
FEW = (*PT2E, "torchao_int4_group32", "torchao_int8_channel", "codebook4", "op_linear_int8", "op_linear_int4_group32")
#: What coremltools quantizes once it is converted, and what is exported for quantization: any weight and activation.
OF_ANY_WEIGHT = (*PT2E, "op_linear_int8", "op_linear_int4_group32")
OF_ACTIVATIONS = tuple(name for name, row in QUANTIZATIONS.items() if row.activations)
OF_TABLES = tuple(name for name, row in QUANTIZATIONS.items() if row.flow in (Flow.TORCHAO, Flow.CODEBOOK))


def recipes(schemes: Iterable[str]) -> tuple[str, ...]:
    """Recipes of these schemes in both precisions, each at the lowest target that takes it and at iOS18."""
    return tuple(
        f"{precision}-{target.lower()}-{scheme}"
        for scheme in schemes
        for target in sorted({QUANTIZATIONS[scheme].lowest, USUAL}, key=lambda name: list(TARGETS).index(name.lower()))
        for precision in PRECISIONS
    )


def _rare(recipe: str) -> bool:
    """In fp32 at a lower target than iOS18: what each of the two does shows elsewhere."""
    return recipe.startswith("fp32-") and not recipe.startswith(f"fp32-{USUAL.lower()}-")


@dataclass(frozen=True)
class Quantizable:
    """`make` gives the module and its inputs, called after seeding torch. `schemes` are those it is quantized by, the
    `first` of them at level `standard` already. Where `beyond`, a second call has floating inputs three times as large.
    """

    name: str
    make: Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]
    schemes: tuple[str, ...]
    first: tuple[str, ...] = ()
    beyond: bool = False


Made = tuple["torch.nn.Module", tuple["torch.Tensor", ...]]


def _linear() -> Made:
    import torch

    return torch.nn.Sequential(torch.nn.Linear(128, 24)), (torch.randn(2, 128),)


def _embedding() -> Made:
    import torch

    return torch.nn.Sequential(torch.nn.Embedding(24, 128)), (torch.tensor([[0, 3, 23, 3]]),)


def _tied() -> Made:
    """One weight that is the table of an embedding and the last layer's, as language models have it."""
    import torch

    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(24, 128)
            self.head = torch.nn.Linear(128, 24, bias=False)
            self.head.weight = self.table.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(self.table(ids))

    return Tied(), (torch.tensor([[0, 3, 23, 3]]),)


def _convolution(dimensions: int, transposed: bool = False) -> Made:
    """With a bias and a stride; as many channels as a group of four bits has."""
    import torch

    kind = getattr(torch.nn, f"Conv{'Transpose' if transposed else ''}{dimensions}d")
    kernel = (3, 2, 3)[:dimensions]
    return torch.nn.Sequential(kind(32, (40, 16, 8)[dimensions - 1], kernel, stride=2)), (
        torch.randn(1, 32, *(6, 5, 4)[:dimensions]),
    )


def _grouped() -> Made:
    """Depthwise, then pointwise."""
    import torch

    layers = torch.nn.Conv2d(32, 32, 3, groups=32, padding=1), torch.nn.ReLU6(), torch.nn.Conv2d(32, 72, 1)
    return torch.nn.Sequential(*layers), (torch.randn(1, 32, 5, 4),)


def _matmul() -> Made:
    """By a weight that no layer has, and of two activations."""
    import torch

    class Products(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(64, 40))

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.matmul(torch.matmul(x, self.weight), y)

    return Products(), (torch.randn(2, 3, 64), torch.randn(2, 40, 4))


def _attention() -> Made:
    import torch

    class Attention(torch.nn.Module):
        def __init__(self, width: int = 64, heads: int = 4) -> None:
            super().__init__()
            self.query, self.key, self.value, self.out = (torch.nn.Linear(width, width) for _ in range(4))
            self.heads = heads

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            parts = (layer(x).unflatten(-1, (self.heads, -1)) for layer in (self.query, self.key, self.value))
            query, key, value = (part.transpose(1, 2) for part in parts)
            mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value)
            return self.out(mixed.transpose(1, 2).flatten(2))

    return Attention(), (torch.randn(1, 6, 64),)


def _norms() -> Made:
    """A normalisation before, between and behind layers, and a sum past them."""
    import torch

    class Norms(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.behind = torch.nn.LayerNorm(64), torch.nn.LayerNorm(64)
            self.between = torch.nn.GroupNorm(4, 64)
            self.first, self.second = torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = self.between(self.first(self.before(x))).relu()
            return self.behind(self.second(inner) + x)

    return Norms(), (torch.randn(3, 64),)


def _mlp() -> Made:
    import torch
    from torch import nn

    layers = nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 64), nn.Tanh(), nn.Linear(64, 40), nn.Sigmoid()
    return nn.Sequential(*layers), (torch.randn(3, 64),)


def _conv_net() -> Made:
    """Convolutions with batch normalisation, as quantizers fold it, a sum, pooling and a linear layer."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU())
            self.block = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32))
            self.head = nn.Linear(32, 70)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            x = nn.functional.max_pool2d((self.block(x) + x).relu(), 2, 2)
            return self.head(x.mean((-1, -2)))

    net = Net()
    with torch.no_grad():
        net.train()
        for _ in range(5):
            net(torch.randn(4, 3, 8, 8))
    return net, (torch.randn(2, 3, 8, 8),)


_STATIC, _WEIGHT_ONLY, _TRAINED = PT2E
_FOLDED = tuple(name for name in FEW if QUANTIZATIONS[name].flow is not Flow.OP_LINEAR)

CASES: tuple[Quantizable, ...] = (
    Quantizable("linear", _linear, ALL, ALL),
    Quantizable("linear-beyond", _linear, OF_ACTIVATIONS, (_STATIC,), beyond=True),
    Quantizable("embedding", _embedding, OF_TABLES, OF_TABLES),
    Quantizable("tied-embedding", _tied, FEW, ("torchao_int8_channel", "op_linear_int8")),
    Quantizable("conv1d", partial(_convolution, 1), OF_ANY_WEIGHT, (_STATIC, "op_linear_int8")),
    Quantizable("conv2d", partial(_convolution, 2), OF_ANY_WEIGHT, OF_ANY_WEIGHT),
    Quantizable("conv2d-beyond", partial(_convolution, 2), OF_ACTIVATIONS, beyond=True),
    Quantizable("conv3d", partial(_convolution, 3), OF_ANY_WEIGHT, (_WEIGHT_ONLY,)),
    Quantizable("conv_transpose1d", partial(_convolution, 1, transposed=True), OF_ANY_WEIGHT),
    Quantizable(
        "conv_transpose2d",
        partial(_convolution, 2, transposed=True),
        OF_ANY_WEIGHT,
        (_STATIC, "op_linear_int8", "op_linear_int4_group32"),
    ),
    Quantizable("conv_transpose3d", partial(_convolution, 3, transposed=True), OF_ANY_WEIGHT),
    Quantizable("depthwise", _grouped, OF_ANY_WEIGHT, (_STATIC,)),
    Quantizable("matmul", _matmul, OF_ANY_WEIGHT, (_STATIC, "op_linear_int8")),
    Quantizable("attention", _attention, FEW, (_STATIC, "torchao_int4_group32", "codebook4")),
    Quantizable("norms", _norms, FEW, (_STATIC, _WEIGHT_ONLY)),
    Quantizable("mlp", _mlp, FEW, (_STATIC, _TRAINED, "torchao_int4_group32", "op_linear_int4_group32")),
    # Batch normalisation is folded into the weights before coremltools quantizes them: no module has those.
    Quantizable("conv-net", _conv_net, _FOLDED, (_STATIC, _WEIGHT_ONLY, "torchao_int8_channel")),
)

#: By which models are checked: each flow once. At level `standard` those of `CoreMLQuantizer`; the others are there
#: with the models of `harness.cases.models`, which these are smaller ones of, and MobileNetV2 with both of the
#: quantizer's as an example of ExecuTorch's pages (`harness.cases.documentation`).
OF_MODELS = (_STATIC, _WEIGHT_ONLY, "torchao_int4_group32", "codebook4")


@cache
def cases() -> Sequence[Case]:
    """Some are listed twice, at each of two levels with other recipes."""
    return (*(one for case in CASES for one in _levels(case)), *_models())


def _levels(case: Quantizable) -> Iterable[Case]:
    first = tuple(recipe for recipe in recipes(case.first) if not _rare(recipe))
    others = tuple(recipe for recipe in recipes(case.schemes) if recipe not in first)
    for level, by in ((Level.STANDARD, first), (Level.FULL, others)):
        if by:
            yield _case(f"{SUITE}.{case.name}", case.name, f"{SUITE}.{case.name}", level, by, partial(_build, case))


def _models() -> Iterable[Case]:
    by = recipes(OF_MODELS)
    quantizers = [scheme for scheme in OF_MODELS if scheme in PT2E]
    for model in models.SMALL:
        schemes = quantizers if model.name != "mobilenet_v2" else []
        first = tuple(f"fp16-{QUANTIZATIONS[scheme].lowest.lower()}-{scheme}" for scheme in schemes)
        others = tuple(recipe for recipe in by if recipe not in first)
        for level, some in ((Level.STANDARD, first), (Level.FULL, others)):
            name = f"model.{model.name}"
            if some:
                yield _case(f"{SUITE}.{model.name}", name, model.api, level, some, partial(models.build, model))


def _case(op: str, name: str, api: str, level: Level, by: tuple[str, ...], build: Callable[[], Built]) -> Case:
    return Case(
        id=f"{SUITE}/{name}/float32/seed-{SEED}",
        kind=Kind.QUANTIZATION,
        op=op,
        api=api,
        dtype="float32",
        origin=SUITE,
        level=level,
        build=build,
        whole_model=True,
        recipes=by,
    )


def _build(case: Quantizable) -> Built:
    import torch

    torch.manual_seed(SEED)
    module, inputs = case.make()
    _uneven(module)
    _on_grid(module)
    inputs = tuple(on_fp16_grid(one) for one in inputs)
    far = tuple(3 * one if one.is_floating_point() else one for one in inputs)
    return Built(module.eval(), inputs, SEED, calls=(Arguments(far),) if case.beyond else ())


def _uneven(module: torch.nn.Module) -> None:
    """Weights of neighbouring channels, and of neighbouring groups of sixteen, of different magnitude, as trained ones
    are: the scale of one would be another's otherwise, and its place say nothing."""
    import torch

    with torch.no_grad():
        for weight in module.parameters():
            if weight.dim() < 2:
                continue
            rows = torch.tensor([1.0, 0.5, 2.0, 0.25])[torch.arange(weight.shape[0]) % 4]
            columns = torch.tensor([1.0, 0.5, 0.25])[torch.arange(weight.shape[1]) // 16 % 3]
            weight.mul_((rows[:, None] * columns).reshape(*weight.shape[:2], *[1] * (weight.dim() - 2)))


def _on_grid(module: torch.nn.Module) -> None:
    import torch

    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(on_fp16_grid(tensor))
