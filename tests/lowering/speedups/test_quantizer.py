from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from executorch.backends.apple.coreml.quantizer import _coreml_quantizer_utils as utils
from torch.nn import functional as F

from harness.lowering.speedups import quantizer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The patterns that ExecuTorch's own function is asked for, the memory in front of it."""
    own = getattr(utils._get_aten_graph_module, "__wrapped__", utils._get_aten_graph_module)
    asked = []

    def original(pattern: torch.nn.Module, *others: Any) -> Any:
        asked.append(pattern)
        return own(pattern, *others)

    monkeypatch.setattr(utils, "_get_aten_graph_module", quantizer.remembering(original))
    return asked


PATTERNS: dict[str, Callable[[], Any]] = {
    "linear": lambda: utils.get_linear_pattern(),
    "linear relu": lambda: utils.get_linear_pattern(F.relu),
    "linear relu in place": lambda: utils.get_linear_pattern(F.relu, True),
    "linear gelu": lambda: utils.get_linear_pattern(F.gelu),
    "linear batch norm": lambda: utils.get_linear_bn_pattern(),
    "conv1d": lambda: utils.get_conv_pattern(1),
    "conv2d": lambda: utils.get_conv_pattern(2),
    "add": lambda: utils.get_binary_op_act_pattern(torch.add),
    "mul": lambda: utils.get_binary_op_act_pattern(torch.mul),
}


def test_each_pattern_is_exported_once_and_is_its_own(asked: list[Any]) -> None:
    first = {name: make().code for name, make in PATTERNS.items()}
    again = {name: make().code for name, make in PATTERNS.items()}
    assert again == first
    assert len(set(first.values())) == len(asked) == len(PATTERNS)


def nodes(module: torch.fx.GraphModule) -> list[tuple[str, ...]]:
    return [(n.op, n.name, str(n.target), str(n.args), str(n.kwargs)) for n in module.graph.nodes]


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_is_what_it_is_without(name: str, asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found = PATTERNS[name]()
    export = torch.export.export
    assert asked
    assert export is torch.export.export
    own = utils._get_aten_graph_module.__wrapped__
    modes = []
    monkeypatch.setattr(utils, "_get_aten_graph_module", own)
    monkeypatch.setattr(torch.export, "export", lambda *a, **k: (modes.append(k["strict"]), export(*a, **k))[1])
    plain = PATTERNS[name]()
    assert modes == [True]
    assert nodes(found) == nodes(plain)
    assert found.code == plain.code


def test_what_is_done_to_one_use_is_not_seen_by_the_next(asked: list[Any]) -> None:
    first = utils.get_linear_pattern(F.relu)
    code = first.code
    for node in first.graph.nodes:
        node.meta["seen"] = True
    first.graph.erase_node(next(node for node in reversed(first.graph.nodes)))
    second = utils.get_linear_pattern(F.relu)
    assert second.code == code
    assert not any("seen" in node.meta for node in second.graph.nodes)
    assert len(asked) == 1


def test_random_numbers_drawn_afterwards_are_the_same(asked: list[Any]) -> None:
    def drawn() -> list[float]:
        torch.manual_seed(3)
        utils.get_conv_pattern(2, F.relu)
        return torch.rand(2).tolist()

    assert drawn() == drawn()
    assert len(asked) == 1


def test_a_model_is_annotated_alike(asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the quantizer's kinds of patterns: all of them take a minute to export."""
    from coremltools.optimize.torch.quantization import LinearQuantizerConfig
    from executorch.backends.apple.coreml.quantizer import CoreMLQuantizer
    from executorch.backends.apple.coreml.quantizer._coreml_quantizer import _AnnotationPatternRegistry
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    kinds = {name: _AnnotationPatternRegistry.get_annotators()[name] for name in ("linear", "add")}
    monkeypatch.setattr(_AnnotationPatternRegistry, "REGISTRY", kinds)

    class Layers(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) + x

    def quantized() -> str:
        torch.manual_seed(0)
        config = LinearQuantizerConfig.from_dict({"global_config": {"quantization_scheme": "symmetric"}})
        example = (torch.randn(2, 4),)
        prepared = prepare_pt2e(torch.export.export(Layers(), example).module(), CoreMLQuantizer(config))
        prepared(*example)
        return convert_pt2e(prepared).code

    first = quantized()
    made = len(asked)
    assert quantized() == first
    assert len(asked) == made
    assert "quantize_per" in first


def test_installing_twice_is_once(monkeypatch: pytest.MonkeyPatch) -> None:
    own = getattr(utils._get_aten_graph_module, "__wrapped__", utils._get_aten_graph_module)
    monkeypatch.setattr(utils, "_get_aten_graph_module", own)
    quantizer.install()
    once = utils._get_aten_graph_module
    quantizer.install()
    assert utils._get_aten_graph_module is once
    assert once.__wrapped__ is own
