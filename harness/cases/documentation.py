"""An equivalent of each code example of ExecuTorch's pages on Core ML, run as it stands there.

The pages' own words, models and weights are theirs: a case has the same calls on a module of its own.
Source: docs/source/backends/coreml of ExecuTorch, coreml-overview, -partitioner, -quantization and -troubleshooting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from harness.cases.case import Arguments, Built, Case, Method, Partitioning
from harness.cases.models import SMALL, build
from harness.cases.opinfo import on_fp16_grid
from harness.evidence.recipe import BARE
from harness.evidence.vocabulary import Kind, Level

if TYPE_CHECKING:
    import torch

SUITE = "documentation"
SEED = 0


@dataclass(frozen=True)
class Example:
    """`page` without its `coreml-`; `recipes` are those that the example writes down."""

    page: str
    name: str
    recipes: tuple[str, ...]
    make: Callable[[], Built]


def _overview() -> Built:
    """MobileNetV2 by a partitioner without arguments, a small one with seeded weights."""
    return build(next(model for model in SMALL if model.name == "mobilenet_v2"))


def _enumerated_shapes() -> Built:
    """Two inputs whose shapes belong together in pairs; any other shapes are a runtime error."""
    import torch

    class TwoInputs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(10, 5), torch.nn.Linear(11, 5)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.first(x).sum() + self.second(y)

    def pair(*shapes: tuple[int, ...]) -> Arguments:
        return Arguments(tuple(on_fp16_grid(torch.randn(shape)) for shape in shapes))

    auto = torch.export.Dim.AUTO
    own, other = pair((4, 6, 10), (5, 11)), pair((1, 5, 10), (3, 11))
    return Built(
        TwoInputs(),
        own.inputs,
        SEED,
        dynamic_shapes=({0: auto(min=1, max=4), 1: auto(min=5, max=6)}, {0: auto(min=3, max=5)}),
        calls=(other,),
        refused=(pair((4, 6, 10), (3, 11)), pair((2, 5, 10), (3, 11))),
        partitioning=Partitioning(
            options=(("lower_full_graph", True),),
            enumerated=(("x", ((1, 5, 10), (4, 6, 10))), ("y", ((3, 11), (5, 11)))),
        ),
    )


def _multifunction() -> Built:
    """One layer on a token and on a prompt: two methods, one set of weights."""
    import torch

    class OneLayer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(16, 16)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x)

    module = OneLayer()
    token, prompt = on_fp16_grid(torch.randn(1, 1, 16)), on_fp16_grid(torch.randn(1, 64, 16))
    return Built(module, (token,), SEED, beside=(Method("prefill", module, (prompt,)),), judge_beside=True)


def _language_model() -> torch.nn.Module:
    import torch

    class TokensToLogits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(48, 64)
            self.hidden, self.head = torch.nn.Linear(64, 96), torch.nn.Linear(96, 48)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.head(torch.nn.functional.silu(self.hidden(self.table(ids))))

    return TokensToLogits()


def _quantized_by_torchao() -> Built:
    """Embeddings of 8 bits by row, linear layers of 4 bits in groups of 32."""
    import torch
    from torchao.quantization.granularity import PerAxis, PerGroup
    from torchao.quantization.quant_api import IntxWeightOnlyConfig, quantize_

    module = _language_model()
    rows = IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerAxis(0))
    quantize_(module, rows, lambda one, _name: isinstance(one, torch.nn.Embedding))
    quantize_(module, IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)))
    return Built(module, (torch.tensor([[1, 0, 47, 5]]),), SEED)


def _quantized_by_codebook() -> Built:
    """3 bits, with a table of values for each 16 rows."""
    import torch
    from torchao.prototype.quantization.codebook_coreml import CodebookWeightOnlyConfig
    from torchao.quantization.quant_api import quantize_

    module = _language_model()
    config = CodebookWeightOnlyConfig(dtype=torch.uint3, block_size=[16, -1])
    quantize_(module, config, lambda one, _name: isinstance(one, (torch.nn.Embedding, torch.nn.Linear)))
    return Built(module, (torch.tensor([[1, 0, 47, 5]]),), SEED)


def _half(dtype: str) -> Built:
    """A model in float16 whose epsilon Core ML takes for float32; in float32, as the page advises, it lowers."""
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8)).to(getattr(torch, dtype))
    return Built(module, (on_fp16_grid(torch.randn(2, 8)).to(getattr(torch, dtype)),), SEED)


_IOS18 = "fp16-ios18"
EXAMPLES: tuple[Example, ...] = (
    Example("overview", "mobilenet-v2", (BARE,), _overview),
    Example("partitioner", "enumerated-shapes", (_IOS18,), _enumerated_shapes),
    Example("partitioner", "multifunction", (_IOS18,), _multifunction),
    Example("quantization", "pt2e-static", ("fp16-ios17-pt2e_int8_static",), _overview),
    Example("quantization", "pt2e-weight-only", ("fp16-ios17-pt2e_int8_weight_only",), _overview),
    Example("quantization", "torchao", (_IOS18,), _quantized_by_torchao),
    Example("quantization", "codebook", (_IOS18,), _quantized_by_codebook),
    Example("troubleshooting", "float16-model", (_IOS18,), partial(_half, "float16")),
    Example("troubleshooting", "float32-model", (_IOS18,), partial(_half, "float32")),
)


@cache
def cases() -> Sequence[Case]:
    return tuple(
        Case(
            id=f"{SUITE}/{example.page}/float32/{example.name}",
            kind=Kind.DOCUMENTATION,
            op=f"{SUITE}.{example.page}",
            api=f"{SUITE}.{example.page}",
            dtype="float32",
            origin=SUITE,
            level=Level.STANDARD,
            build=partial(_build, example),
            whole_model=True,
            recipes=example.recipes,
        )
        for example in EXAMPLES
    )


def _build(example: Example) -> Built:
    import torch

    torch.manual_seed(SEED)
    built = example.make()
    built.module.eval()
    return built
