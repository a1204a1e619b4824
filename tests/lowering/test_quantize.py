from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness import mil
from harness.cases.case import Arguments, Built, CaseFault, Method
from harness.evidence.recipe import QUANTIZATIONS, Recipe
from harness.lowering.lower import export, lower
from harness.lowering.quantize import dequantized, prepared, quantized


@pytest.fixture
def few_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the quantizer's kinds of patterns: all of them take a minute to export."""
    from executorch.backends.apple.coreml.quantizer._coreml_quantizer import _AnnotationPatternRegistry

    kinds = {name: _AnnotationPatternRegistry.get_annotators()[name] for name in ("linear", "conv")}
    monkeypatch.setattr(_AnnotationPatternRegistry, "REGISTRY", kinds)


def built(module: nn.Module, *inputs: torch.Tensor, **others: Any) -> Built:
    return Built(module.eval(), inputs, 0, **others)


def words() -> Built:
    torch.manual_seed(0)
    return built(nn.Sequential(nn.Embedding(20, 32), nn.Linear(32, 8)), torch.tensor([[1, 2, 3]]))


def features() -> Built:
    torch.manual_seed(0)
    return built(nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 4)), torch.randn(3, 16))


def held(module: nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in (*module.parameters(), *module.buffers())]


def weights(module: Any) -> list[torch.Tensor]:
    """Of both layers, as eager has them."""
    found = [module[at].weight.detach() for at in range(2)]
    return [
        weight.dequantize() if hasattr(weight, "dequantize") and type(weight) is not torch.Tensor else weight
        for weight in found
    ]


def operators(one: Built) -> set[str]:
    program = torch.export.export(one.module, one.inputs)
    return {str(node.target) for node in program.graph.nodes if node.op == "call_function"}


def grid(weight: torch.Tensor, group: int) -> list[int]:
    """How many values the groups of a weight have, and at most which."""
    return [len(part.unique()) for part in weight.reshape(-1, group)]


@pytest.mark.parametrize(
    ("name", "group", "values"),
    [
        ("torchao_int4_channel", 32, 16),
        ("torchao_int8_channel", 32, 256),
        ("torchao_int4_group16", 16, 16),
        ("torchao_int8_group32", 32, 256),
    ],
)
def test_torchao_quantizes_linear_layers_and_embeddings(name: str, group: int, values: int) -> None:
    one, scheme = words(), QUANTIZATIONS[name]
    own = weights(one.module)
    found = weights(quantized(one, scheme).module)
    for float_weight, weight in zip(own, found, strict=True):
        assert not torch.equal(weight, float_weight)
        assert max(grid(weight, group)) <= values
        step = float_weight.reshape(-1, group).abs().amax(1, keepdim=True) / (2 ** (scheme.bits - 1) - 1)
        off = (weight - float_weight).reshape(-1, group).abs()
        assert (off <= step).all()


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 8])
def test_codebook_has_a_table_for_sixteen_columns(bits: int) -> None:
    one = words()
    for float_weight, weight in zip(
        weights(one.module), weights(quantized(one, QUANTIZATIONS[f"codebook{bits}"]).module), strict=True
    ):
        for columns in weight.split(16, dim=1):
            assert len(columns.unique()) <= 2**bits
        assert len(weight.unique()) > 2**bits or bits > 6
        if bits == 8:  # as many values as a table of an embedding of twenty rows could need
            assert torch.allclose(weight, float_weight, atol=0.02)


def test_static_quantization_has_weights_and_activations_on_a_grid(few_patterns: None) -> None:
    found = quantized(features(), QUANTIZATIONS["pt2e_int8_static"])
    assert {
        "quantized_decomposed.quantize_per_tensor.default",
        "quantized_decomposed.dequantize_per_tensor.default",
        "quantized_decomposed.dequantize_per_channel.default",
    } <= operators(found)


def test_weight_only_leaves_activations_alone(few_patterns: None) -> None:
    found = operators(quantized(features(), QUANTIZATIONS["pt2e_int8_weight_only"]))
    assert "quantized_decomposed.dequantize_per_channel.default" in found
    assert not any("per_tensor" in name for name in found)


def test_training_changes_what_is_quantized(few_patterns: None, monkeypatch: pytest.MonkeyPatch) -> None:
    one, scheme = features(), QUANTIZATIONS["pt2e_int8_qat"]

    def stored() -> list[torch.Tensor]:
        state = quantized(one, scheme).module.state_dict()
        return [value for value in state.values() if value.dtype != torch.int8]

    first, again = stored(), stored()
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    monkeypatch.setattr("harness.lowering.quantize.TRAINING_STEPS", 0)
    assert not all(torch.equal(a, b) for a, b in zip(first, stored(), strict=True))


@pytest.mark.parametrize("name", ["torchao_int4_group16", "codebook4", "pt2e_int8_static", "pt2e_int8_qat"])
def test_eager_and_export_take_it_and_the_module_given_stays(name: str, few_patterns: None) -> None:
    one = words() if "pt2e" not in name else features()
    before, mode = held(one.module), one.module.training
    drawn = torch.get_rng_state()
    found = quantized(one, QUANTIZATIONS[name])
    assert torch.equal(torch.get_rng_state(), drawn)
    assert one.module.training is mode
    assert all(torch.equal(a, b) for a, b in zip(before, held(one.module), strict=True))
    right = one.module(*one.inputs)
    got = found.module(*found.inputs)
    assert 0 < (got - right).norm() < 0.5 * right.norm()
    again = torch.export.export(found.module, found.inputs).module()(*found.inputs)
    assert torch.equal(again, got)


def test_the_methods_of_a_program_share_a_module_afterwards() -> None:
    one = words()
    other = Method("other", one.module, (torch.tensor([[4]]),))
    found = quantized(built(one.module, *one.inputs, beside=(other,)), QUANTIZATIONS["torchao_int8_channel"])
    assert found.module is found.beside[0].module is not one.module
    assert found.beside[0].inputs is other.inputs


def test_a_module_already_exported_is_refused() -> None:
    one = features()
    program = torch.export.export(one.module, one.inputs)
    exported = Built(program.module(), one.inputs, 0, program=program)
    with pytest.raises(CaseFault, match="exported"):
        quantized(exported, QUANTIZATIONS["torchao_int8_channel"])


def test_what_the_quantizer_raises_passes() -> None:
    narrow = built(nn.Sequential(nn.Linear(8, 4)), torch.randn(2, 8))
    with pytest.raises(AssertionError, match="not divisible"):
        quantized(narrow, QUANTIZATIONS["codebook4"])


def test_quantizing_after_conversion_changes_nothing_before() -> None:
    one = features()
    scheme = QUANTIZATIONS["op_linear_int8"]
    assert quantized(one, scheme) is one
    lowered, judged = prepared(one, scheme, "fp16")
    assert lowered is one
    assert judged.module is not one.module


def test_what_is_lowered_is_what_is_right_elsewhere() -> None:
    lowered, judged = prepared(words(), QUANTIZATIONS["torchao_int8_channel"], "fp16")
    assert lowered is judged


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(32, 80))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


class Tied(nn.Module):
    def __init__(self, tied: bool = True) -> None:
        super().__init__()
        self.table = nn.Embedding(80, 32)
        self.out = nn.Linear(32, 80, bias=False)
        if tied:
            self.out.weight = self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.table(ids))


LAYERS: dict[str, Callable[[], Built]] = {
    "linear": lambda: built(nn.Linear(32, 80), torch.randn(2, 32)),
    "conv1d": lambda: built(nn.Conv1d(32, 40, 3), torch.randn(1, 32, 6)),
    "conv2d": lambda: built(nn.Conv2d(32, 12, 3), torch.randn(1, 32, 4, 4)),
    "conv2d of groups": lambda: built(nn.Conv2d(64, 16, 3, groups=4), torch.randn(1, 64, 4, 4)),
    "conv3d": lambda: built(nn.Conv3d(32, 6, 3), torch.randn(1, 32, 3, 3, 3)),
    "conv_transpose2d": lambda: built(nn.ConvTranspose2d(32, 12, 3), torch.randn(1, 32, 2, 2)),
    "matmul": lambda: built(Product(), torch.randn(2, 32)),
    "tied": lambda: built(Tied(), torch.tensor([[3, 70]])),
    "untied": lambda: built(Tied(tied=False), torch.tensor([[3, 70]])),
}


def constant(operation: Any) -> np.ndarray:
    """Symmetric: each integer by the scale of its block."""
    given = {name: np.asarray(value.value) for name, value in operation.inputs.items() if hasattr(value, "value")}
    integers = given["quantized_data" if "quantized_data" in given else "data"].astype(np.float64)
    scale = given["scale"].astype(np.float64)
    if "axis" in given:
        assert not given["zero_point"].any()
        scale = scale.reshape([-1 if at == given["axis"] else 1 for at in range(integers.ndim)])
    for axis, size in enumerate(integers.shape):
        scale = np.repeat(scale, size // scale.shape[axis], axis)
    return integers * scale


def emitted_constants(one: Built, recipe: str) -> list[np.ndarray]:
    """The values that the package's operators of compressed constants make."""
    result = lower(export(one), Recipe.parse(recipe))
    assert result.program is not None, result.failure
    found: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as directory:
        delegate = result.program.delegates[0].unpack(Path(directory))
        model = mil.load(delegate.package)
        for operation in model.function().block.walk():
            if operation.type.startswith("constexpr_"):
                found.append(constant(operation))
    return found


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    ("scheme", "recipe"),
    [("op_linear_int8", "fp32-ios16"), ("op_linear_int8", "fp16-ios18"), ("op_linear_int4_group32", "fp16-ios18")],
)
def test_dequantized_weights_are_those_of_the_package(layer: str, scheme: str, recipe: str) -> None:
    torch.manual_seed(0)
    one = LAYERS[layer]()
    before = held(one.module)
    found = dequantized(one, QUANTIZATIONS[scheme], Recipe.parse(recipe).precision)
    assert all(torch.equal(a, b) for a, b in zip(before, held(one.module), strict=True))
    changed = [
        parameter.detach().double().numpy()
        for parameter, was in zip(found.module.parameters(), one.module.parameters(), strict=True)
        if not torch.equal(parameter, was)
    ]
    constants = emitted_constants(one, f"{recipe}-{scheme}")
    assert len(constants) == len(changed) == (0 if layer == "conv2d of groups" and "group" in scheme else 1)
    for constant, weight in zip(constants, changed, strict=True):
        weight = weight if constant.shape == weight.shape else weight.T
        rounding = 2.0**-11 if recipe.startswith("fp16") else 2.0**-23
        np.testing.assert_allclose(constant, weight, rtol=rounding, atol=0)


def test_scales_are_those_of_the_precision() -> None:
    torch.manual_seed(0)
    one = LAYERS["linear"]()
    scheme = QUANTIZATIONS["op_linear_int8"]
    narrow, wide = (dequantized(one, scheme, precision).module.weight for precision in ("fp16", "fp32"))
    assert not torch.equal(narrow, wide)
    assert torch.allclose(narrow, wide, rtol=2e-3, atol=2e-3)


def test_a_weight_used_in_another_way_has_no_known_axis() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(50, 50))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.weight.flip(0)

    with pytest.raises(CaseFault, match=r"aten.flip takes the weight weight"):
        dequantized(built(Turned(), torch.randn(50)), QUANTIZATIONS["op_linear_int8"], "fp16")


def test_what_is_small_stays() -> None:
    one = features()
    found = dequantized(one, QUANTIZATIONS["op_linear_int8"], "fp32")
    assert all(torch.equal(a, b) for a, b in zip(held(one.module), held(found.module), strict=True))


def test_a_quantized_module_lowers(few_patterns: None) -> None:
    for name in ("torchao_int8_channel", "pt2e_int8_static"):
        one = quantized(features(), QUANTIZATIONS[name])
        result = lower(export(one), Recipe.parse("fp32-ios18"))
        assert result.failure is None
        assert result.program is not None
        assert len(result.program.delegates) == 1


def test_calls_beyond_the_first_are_no_calibration(few_patterns: None) -> None:
    one = features()
    far = Arguments((one.inputs[0] * 100,))
    scheme = QUANTIZATIONS["pt2e_int8_static"]
    with_far = built(one.module, *one.inputs, calls=(far,))
    assert quantized(with_far, scheme).module.code == quantized(one, scheme).module.code
