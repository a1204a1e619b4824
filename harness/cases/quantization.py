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


def recipes(schemes: Iterable[str], precisions: Iterable[str] = PRECISIONS) -> tuple[str, ...]:
    """Recipes of these schemes, each at the lowest target that takes it and at iOS18."""
    precisions = tuple(precisions)
    return tuple(
        f"{precision}-{target.lower()}-{scheme}"
        for scheme in schemes
        for target in sorted({QUANTIZATIONS[scheme].lowest, USUAL}, key=lambda name: list(TARGETS).index(name.lower()))
        for precision in precisions
    )


@dataclass(frozen=True)
class Quantizable:
    """`make` gives the module and its inputs, called after seeding torch. Where `beyond`, a second call has floating
    inputs three times as large."""

    name: str
    make: Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]
    recipes: tuple[str, ...]
    beyond: bool = False
    level: Level = Level.STANDARD


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


_WITHOUT_OP_LINEAR = tuple(name for name in FEW if QUANTIZATIONS[name].flow is not Flow.OP_LINEAR)

CASES: tuple[Quantizable, ...] = (
    Quantizable("linear", _linear, recipes(ALL)),
    Quantizable("linear-beyond", _linear, recipes(OF_ACTIVATIONS), beyond=True),
    Quantizable("embedding", _embedding, recipes(OF_TABLES)),
    Quantizable("tied-embedding", _tied, recipes(FEW)),
    Quantizable("conv1d", partial(_convolution, 1), recipes(OF_ANY_WEIGHT)),
    Quantizable("conv2d", partial(_convolution, 2), recipes(OF_ANY_WEIGHT)),
    Quantizable("conv2d-beyond", partial(_convolution, 2), recipes(OF_ACTIVATIONS), beyond=True),
    Quantizable("conv3d", partial(_convolution, 3), recipes(OF_ANY_WEIGHT)),
    Quantizable("conv_transpose1d", partial(_convolution, 1, transposed=True), recipes(OF_ANY_WEIGHT)),
    Quantizable("conv_transpose2d", partial(_convolution, 2, transposed=True), recipes(OF_ANY_WEIGHT)),
    Quantizable("conv_transpose3d", partial(_convolution, 3, transposed=True), recipes(OF_ANY_WEIGHT)),
    Quantizable("depthwise", _grouped, recipes(OF_ANY_WEIGHT)),
    Quantizable("matmul", _matmul, recipes(OF_ANY_WEIGHT)),
    Quantizable("attention", _attention, recipes(FEW)),
    Quantizable("norms", _norms, recipes(FEW)),
    Quantizable("mlp", _mlp, recipes(FEW)),
    # Batch normalisation is folded into the weights before coremltools quantizes them: no module has those.
    Quantizable("conv-net", _conv_net, recipes(_WITHOUT_OP_LINEAR)),
)

#: By which models are checked: each flow once.
OF_MODELS = ("pt2e_int8_static", "pt2e_int8_weight_only", "torchao_int4_group32", "codebook4")


@cache
def cases() -> Sequence[Case]:
    return (*(_case(case) for case in CASES), *_models())


def _case(case: Quantizable) -> Case:
    return Case(
        id=f"{SUITE}/{case.name}/float32/seed-{SEED}",
        kind=Kind.QUANTIZATION,
        op=f"{SUITE}.{case.name}",
        api=f"{SUITE}.{case.name}",
        dtype="float32",
        origin=SUITE,
        level=case.level,
        build=partial(_build, case),
        whole_model=True,
        recipes=case.recipes,
    )


def _build(case: Quantizable) -> Built:
    import torch

    torch.manual_seed(SEED)
    module, inputs = case.make()
    _on_grid(module)
    inputs = tuple(on_fp16_grid(one) for one in inputs)
    far = tuple(3 * one if one.is_floating_point() else one for one in inputs)
    return Built(module.eval(), inputs, SEED, calls=(Arguments(far),) if case.beyond else ())


def _on_grid(module: torch.nn.Module) -> None:
    import torch

    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(on_fp16_grid(tensor))


def _models() -> Iterable[Case]:
    return (
        Case(
            id=f"{SUITE}/model.{model.name}/float32/seed-{models.SEED}",
            kind=Kind.QUANTIZATION,
            op=f"{SUITE}.{model.name}",
            api=model.api,
            dtype="float32",
            origin=SUITE,
            level=Level.STANDARD,
            build=partial(models.build, model),
            whole_model=True,
            recipes=recipes(OF_MODELS),
        )
        for model in models.SMALL
    )
