"""A case's modules quantized by a scheme, as ExecuTorch's recipes for Core ML and the backend's documentation do it.

What is quantized before lowering is a module that eager runs: it is the truth of what is lowered from it, and what
quantization itself costs is no error of the backend. What coremltools quantizes after conversion (`Flow.OP_LINEAR`) has
no such module; there eager runs on the weights dequantized, by the documented formula and not by what was emitted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.export.graph_signature import InputKind
from torch.utils._pytree import tree_leaves, tree_map

from harness.cases.case import Arguments, Built, CaseFault, Method
from harness.evidence.recipe import Flow, Quantization, Recipe

#: The columns of a weight that share a table of values, as the backend's page has it; all rows do.
CODEBOOK_BLOCK = (-1, 16)
#: By how much the inputs of the second sample for calibration are larger.
BEYOND = 1.25
#: Steps of gradient descent, and their size, by which a module is trained with quantization in it.
TRAINING_STEPS = 4
LEARNING_RATE = 1e-3


def prepared(built: Built, scheme: Quantization, precision: str) -> tuple[Built, Built]:
    """What is lowered by this scheme in this precision, and what is right of it: the same, but for what coremltools
    quantizes itself. Raises as `quantized` and `dequantized`."""
    if scheme.flow is Flow.OP_LINEAR:
        return built, dequantized(built, scheme, precision)
    made = quantized(built, scheme)
    return made, made


def prepared_by(built: Built, recipe: Recipe) -> tuple[Built, Built]:
    """As `prepared`, by a recipe; the same twice where it quantizes nothing."""
    return (built, built) if recipe.scheme is None else prepared(built, recipe.scheme, recipe.precision)


def quantized(built: Built, scheme: Quantization) -> Built:
    """The same with each of its methods' modules quantized; a module that several methods have is quantized once.

    The modules given are left as they are. What `Flow.OP_LINEAR` quantizes is lowered first: that is returned as it is.
    Raises what the quantizer raises, and `CaseFault` for a module that was exported already.
    """
    if scheme.flow is Flow.OP_LINEAR:
        return built
    if any(method.program is not None for method in built.methods):
        raise CaseFault("an exported program cannot be quantized: give the module that it was exported from")
    if scheme.flow is Flow.PT2E:
        # What is captured is a graph for each method's inputs.
        made = [_pt2e(method, scheme, built.seed) for method in built.methods]
    else:
        weights = _torchao if scheme.flow is Flow.TORCHAO else _codebook
        made = _each_once(built, lambda module: weights(module, scheme))
    return _with_modules(built, made)


def dequantized(built: Built, scheme: Quantization, precision: str) -> Built:
    """The same on the weights that a program in `precision` has after `op_linear_quantizer_config`, dequantized.

    Raises `CaseFault` where a weight is used in a way that leaves open along which axis coremltools quantizes it.
    """
    made = {id(method.module): copy.deepcopy(method.module) for method in built.methods}
    with torch.no_grad():
        for method in built.methods:
            _dequantize_weights(method, made[id(method.module)], scheme, precision)
    return _with_modules(built, [made[id(method.module)] for method in built.methods])


def linear_and_embedding(module: torch.nn.Module, _name: str) -> bool:
    """The modules that the recipes say they quantize."""
    return isinstance(module, (torch.nn.Linear, torch.nn.Embedding))


def _with_modules(built: Built, modules: list[torch.nn.Module]) -> Built:
    """The same with these, the case's own first."""
    own, *others = modules
    beside = tuple(replace(method, module=module) for method, module in zip(built.beside, others, strict=True))
    return replace(built, module=own, beside=beside)


def _each_once(built: Built, change: Callable[[torch.nn.Module], torch.nn.Module]) -> list[torch.nn.Module]:
    """The methods' modules changed, each that is there several times once."""
    made: dict[int, torch.nn.Module] = {}
    for method in built.methods:
        if id(method.module) not in made:
            made[id(method.module)] = change(copy.deepcopy(method.module))
    return [made[id(method.module)] for method in built.methods]


def _torchao(module: torch.nn.Module, scheme: Quantization) -> torch.nn.Module:
    from torchao.quantization.granularity import PerAxis, PerGroup
    from torchao.quantization.quant_api import IntxWeightOnlyConfig

    granularity = PerGroup(scheme.group) if scheme.group else PerAxis(axis=0)
    config = IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{scheme.bits}"), granularity=granularity)
    return _weights_quantized(module, config)


def _codebook(module: torch.nn.Module, scheme: Quantization) -> torch.nn.Module:
    from torchao.prototype.quantization.codebook_coreml import CodebookWeightOnlyConfig

    dtype = getattr(torch, f"uint{scheme.bits}")
    return _weights_quantized(module, CodebookWeightOnlyConfig(dtype=dtype, block_size=list(CODEBOOK_BLOCK)))


def _weights_quantized(module: torch.nn.Module, config: Any) -> torch.nn.Module:
    """As the stage `SourceTransformStage` of `executorch.export` does it."""
    from torchao.quantization import quantize_
    from torchao.utils import unwrap_tensor_subclass

    with torch.random.fork_rng(devices=[]):
        quantize_(module, config, linear_and_embedding)
    return unwrap_tensor_subclass(module)


def _pt2e(method: Method, scheme: Quantization, seed: int) -> torch.nn.Module:
    """As the stage `QuantizeStage` of `executorch.export` does it, with the samples of `calibration`."""
    from executorch.backends.apple.coreml.quantizer import CoreMLQuantizer
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e

    module = copy.deepcopy(method.module).train(scheme.trained)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        captured = torch.export.export(
            module,
            method.inputs,
            dict(method.kwargs),
            dynamic_shapes=method.dynamic_shapes,  # type: ignore[arg-type]
        ).module()
        quantizer = CoreMLQuantizer(quantizer_config(scheme))
        if scheme.trained:
            prepared = prepare_qat_pt2e(captured, quantizer)
            _train(prepared, method)
        else:
            prepared = prepare_pt2e(captured, quantizer)
            for sample in calibration(method):
                prepared(*sample.inputs, **sample.kwargs)
        return convert_pt2e(prepared)


def calibration(method: Method) -> tuple[Arguments, ...]:
    """What a method's activations are observed with: its first call, and the same with larger floating inputs.

    Of one call alone the largest magnitude would lie half-way between two integers, at 127.5 steps of a symmetric
    scale, and what it is rounded to would say nothing.
    """

    def larger(leaf: Any) -> Any:
        return BEYOND * leaf if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() else leaf

    first = method.arguments[0]
    return first, Arguments(*tree_map(larger, (first.inputs, dict(first.kwargs))))


def quantizer_config(scheme: Quantization) -> Any:
    """That of ExecuTorch's recipes: symmetric, weights by channel."""
    from coremltools.optimize.torch.quantization import LinearQuantizerConfig

    of_all = {
        "quantization_scheme": "symmetric",
        "activation_dtype": torch.quint8 if scheme.activations else torch.float32,
        "weight_dtype": torch.qint8,
        "weight_per_channel": True,
    }
    return LinearQuantizerConfig.from_dict({"global_config": of_all})


def _train(prepared: torch.fx.GraphModule, method: Method) -> None:
    """A few steps towards the results of the module as it was."""
    from torchao.quantization.pt2e import (
        allow_exported_model_train_eval,
        move_exported_model_to_eval,
        move_exported_model_to_train,
    )

    def results(module: torch.nn.Module, sample: Arguments) -> list[torch.Tensor]:
        leaves = tree_leaves(module(*sample.inputs, **sample.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()]

    with torch.no_grad():
        wanted = [(sample, results(copy.deepcopy(method.module), sample)) for sample in calibration(method)]
    allow_exported_model_train_eval(prepared)
    move_exported_model_to_train(prepared)
    weights = [parameter for parameter in prepared.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(weights, lr=LEARNING_RATE) if weights else None
    with torch.enable_grad():
        for step in range(TRAINING_STEPS):
            sample, right = wanted[step % len(wanted)]
            pairs = zip(results(prepared, sample), right, strict=True)
            losses = [(got - value).square().mean() for got, value in pairs]
            if optimizer is not None and losses and (loss := torch.stack(losses).sum()).requires_grad:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    move_exported_model_to_eval(prepared)


#: coremltools quantizes constants with more elements than these.
_THRESHOLD = 2048
#: Axes of the output and of the input channels of a weight, by the operators that take it and its place there. Source:
#: documentation of `coremltools.optimize.coreml.OpLinearQuantizerConfig`; the layouts are those of the MIL operators.
_LAYOUTS: dict[tuple[str, int], tuple[int, int]] = {
    **{(f"aten.{name}", 1): (0, 1) for name in ("linear", "conv1d", "conv2d", "conv3d")},
    **{(f"aten.conv_transpose{n}d", 1): (1, 0) for n in (1, 2, 3)},
    **{(f"aten.{name}", 1): (-1, -2) for name in ("matmul", "mm", "bmm")},
    **{(f"aten.{name}", 0): (-2, -1) for name in ("matmul", "mm", "bmm")},
    **{(f"aten.{name}", place): (0, 1) for name in ("add", "sub", "mul") for place in (0, 1)},
}


def _dequantize_weights(method: Method, module: torch.nn.Module, scheme: Quantization, precision: str) -> None:
    """In place. A weight that nothing but lookups take stays as it is: the backend leaves gathers out."""
    program = method.program or torch.export.export(
        method.module,
        method.inputs,
        dict(method.kwargs),
        dynamic_shapes=method.dynamic_shapes,  # type: ignore[arg-type]
    )
    named = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    targets = {
        spec.arg.name: spec.target
        for spec in program.graph_signature.input_specs
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and spec.target is not None
    }
    # A weight may be there by several names.
    weights = {id(weight): weight for weight in named.values()}
    layouts: dict[int, set[tuple[int, int]]] = {}
    for node in program.graph.nodes:
        weight = named.get(targets.get(node.name, "")) if node.op == "placeholder" else None
        if weight is None or weight.numel() <= _THRESHOLD or weight.dim() < 2 or not weight.is_floating_point():
            continue
        layouts.setdefault(id(weight), set()).update(
            _layout(user, place, targets[node.name], weight.dim())
            for user in node.users
            for place, argument in enumerate(user.args)
            if argument is node and not str(user.target).startswith("aten.embedding.")
        )
    for key, found in layouts.items():
        if len(found) == 1:  # coremltools leaves a constant alone whose users disagree
            values = weights[key].detach().numpy()
            weights[key].copy_(torch.from_numpy(_on_grid(values, *found.pop(), scheme, precision)))


def _layout(user: torch.fx.Node, place: int, weight: str, rank: int) -> tuple[int, int]:
    operator = ".".join(str(user.target).split(".")[:2])
    if (operator, place) not in _LAYOUTS:
        raise CaseFault(f"{operator} takes the weight {weight}: along which axis that is quantized is not known")
    out, into = _LAYOUTS[operator, place]
    return out % rank, into % rank


_FORMATS: Mapping[str, type[np.floating[Any]]] = {"fp16": np.float16, "fp32": np.float32}


def _on_grid(weight: np.ndarray, out: int, into: int, scheme: Quantization, precision: str) -> np.ndarray:
    """Symmetric linear quantization, and back: of each channel, or of each group of its inputs, the largest magnitude
    is the largest integer. Scales are rounded to the program's precision, which the weights are in by then."""
    rounded = weight.astype(_FORMATS[precision])
    largest = 2 ** (scheme.bits - 1) - 1
    moved = np.moveaxis(rounded, (out, into), (0, 1))
    groups = moved
    if scheme.group:
        if moved.shape[1] % scheme.group:
            return weight  # what groups do not divide stays in floating point
        groups = moved.reshape(moved.shape[0], -1, scheme.group, *moved.shape[2:])
    axes = tuple(range(2, groups.ndim)) if scheme.group else tuple(range(1, groups.ndim))
    scale = np.abs(groups).max(axis=axes, keepdims=True) / rounded.dtype.type(largest)
    with np.errstate(divide="ignore", invalid="ignore"):
        integers = np.nan_to_num(np.clip(np.round(groups / scale), -largest, largest))
    back = (integers.astype(np.float32) * scale.astype(np.float32)).reshape(moved.shape)
    return np.ascontiguousarray(np.moveaxis(back, (0, 1), (out, into)))
