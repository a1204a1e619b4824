"""ML Programs that ExecuTorch had no part in: converted by coremltools from TorchScript, compressed by its optimizer,
or written with its MIL builder; saved, run by `python -m harness.mil` and compared with torch or numpy."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import coremltools as ct
import coremltools.optimize.coreml as cto
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from coremltools.converters.mil import Builder as mb
from coremltools.converters.mil.mil import types
from torch import nn

FP32, FP16 = ct.precision.FLOAT32, ct.precision.FLOAT16


@dataclass(frozen=True)
class Foreign:
    """A saved package, what to feed it and what must come out, in the order of its outputs. `operators` are some it
    must hold: a conversion that folds away what a row is about would prove nothing."""

    package: Path
    inputs: Mapping[str, np.ndarray]
    expected: list[np.ndarray]
    operators: tuple[str, ...]
    function: str | None = None
    rtol: float = 1e-5
    atol: float = 1e-5


def converted(
    module: nn.Module,
    examples: Mapping[str, torch.Tensor],
    precision: Any = FP32,
    target: Any = ct.target.iOS18,
    **more: Any,
) -> Any:
    """coremltools' model of a traced module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module.eval(), tuple(examples.values()))
        integer = {torch.int32: np.int32, torch.int64: np.int32}
        specs = [
            ct.TensorType(name=name, shape=tuple(value.shape), dtype=integer.get(value.dtype, np.float32))
            for name, value in examples.items()
        ]
        return ct.convert(
            traced,
            **{"inputs": specs, **more},
            minimum_deployment_target=target,
            compute_precision=precision,
            skip_model_load=True,
        )


def from_torch(
    folder: Path,
    module: nn.Module,
    inputs: Mapping[str, torch.Tensor],
    *operators: str,
    precision: Any = FP32,
    target: Any = ct.target.iOS18,
    tolerance: float = 1e-5,
    truth: nn.Module | None = None,
    compress: Callable[[Any], Any] = lambda model: model,
) -> Foreign:
    model = compress(converted(module, inputs, precision, target))
    model.save(str(folder / "model.mlpackage"))
    with torch.no_grad():
        out = (truth or module).eval()(*inputs.values())
    expected = [o.numpy() for o in (out if isinstance(out, tuple) else (out,))]
    arrays = {name: value.numpy() for name, value in inputs.items()}
    return Foreign(folder / "model.mlpackage", arrays, expected, operators, rtol=tolerance, atol=tolerance)


def from_builder(
    folder: Path, program: Any, inputs: Mapping[str, Any], expected: list[Any], *operators: str
) -> Foreign:
    model = ct.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=FP32,
        skip_model_load=True,
    )
    model.save(str(folder / "model.mlpackage"))
    arrays = {name: np.asarray(value) for name, value in inputs.items()}
    return Foreign(folder / "model.mlpackage", arrays, [np.asarray(e) for e in expected], operators)


def convnet(channels: int = 8) -> nn.Sequential:
    net = nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1, stride=2),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
        nn.BatchNorm2d(channels),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 5),
        nn.Softmax(dim=-1),
    )
    for layer in net:
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5)
            layer.running_var.uniform_(0.5, 2)
    return net


def convnet_fp32(folder: Path) -> Foreign:
    return from_torch(folder, convnet(), {"image": torch.randn(2, 3, 16, 16)}, "conv", "softmax")


def convnet_fp16_of_ios15(folder: Path) -> Foreign:
    inputs = {"image": torch.randn(1, 3, 16, 16)}
    return from_torch(folder, convnet(), inputs, "conv", precision=FP16, target=ct.target.iOS15, tolerance=3e-3)


class Recurrent(nn.Module):
    """The sequence and the final state, so that both outputs of the layer are judged."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sequence, state = self.layer(x)
        return sequence, state[0] if isinstance(state, tuple) else state


def lstm(folder: Path) -> Foreign:
    layer = Recurrent(nn.LSTM(6, 5, bidirectional=True))
    return from_torch(folder, layer, {"x": torch.randn(7, 2, 6)}, "lstm")


def gru(folder: Path) -> Foreign:
    return from_torch(folder, Recurrent(nn.GRU(6, 5, batch_first=True)), {"x": torch.randn(2, 7, 6)}, "while_loop")


def elman_network(folder: Path) -> Foreign:
    return from_torch(folder, Recurrent(nn.RNN(6, 5, nonlinearity="tanh")), {"x": torch.randn(7, 2, 6)}, "rnn")


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.project, self.out = nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.project(self.norm(x)).reshape(2, 6, 3, 4, 4).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        return x + self.out(mixed.transpose(1, 2).reshape(2, 6, 16))


def attention(folder: Path) -> Foreign:
    return from_torch(folder, Attention(), {"x": torch.randn(2, 6, 16)}, "scaled_dot_product_attention", "layer_norm")


class Embedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(20, 8), nn.Linear(8, 4)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.head(self.table(tokens).mean(1)))


def embedding(folder: Path) -> Foreign:
    return from_torch(
        folder, Embedding(), {"tokens": torch.randint(0, 20, (2, 9), dtype=torch.int32)}, "gather", "gelu"
    )


class Resizing(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (
            F.interpolate(x, scale_factor=2, mode="nearest"),
            F.interpolate(x, size=(9, 7), mode="bilinear", align_corners=True),
            F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
            F.pad(F.pixel_shuffle(x, 2), (1, 2, 3, 0), mode="reflect"),
        )


def image_resizing(folder: Path) -> Foreign:
    operators = ("upsample_nearest_neighbor", "pixel_shuffle", "pad")
    return from_torch(folder, Resizing(), {"x": torch.randn(1, 4, 5, 6)}, *operators)


def two_layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))


def with_weights(module: nn.Sequential, change: Callable[[np.ndarray], np.ndarray]) -> nn.Sequential:
    """A copy whose matrices are what is left of them after compression, worked out in numpy."""
    copy = two_layers()
    copy.load_state_dict(module.state_dict())
    for layer in copy:
        if isinstance(layer, nn.Linear):
            layer.weight.data = torch.from_numpy(change(layer.weight.data.numpy().astype(np.float64))).float()
    return copy


def quantized_weights(folder: Path) -> Foreign:
    """int8, symmetric, a scale for each output: w is scale * round(w / scale), scale = max|w| / 127."""

    def nearest(w: np.ndarray) -> np.ndarray:
        scale = np.abs(w).max(axis=1, keepdims=True) / 127
        return scale * np.round(w / scale)

    settings = cto.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype="int8", granularity="per_channel", weight_threshold=0
    )
    return compressed(folder, nearest, settings, cto.linear_quantize_weights, "constexpr_blockwise_shift_scale")


def quantized_blocks(folder: Path) -> Foreign:
    """int4, symmetric, a scale for each 16 inputs: scale = max|w| / 7."""

    def nearest(w: np.ndarray) -> np.ndarray:
        blocks = w.reshape(len(w), -1, 16)
        scale = np.abs(blocks).max(axis=2, keepdims=True) / 7
        return (scale * np.round(blocks / scale)).reshape(w.shape)

    settings = cto.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=16, weight_threshold=0
    )
    return compressed(folder, nearest, settings, cto.linear_quantize_weights, "constexpr_blockwise_shift_scale")


def palettized_weights(folder: Path) -> Foreign:
    """Four bits, evenly spaced: sixteen values from the smallest weight to the largest, the nearest one taken."""

    def nearest(w: np.ndarray) -> np.ndarray:
        palette = np.linspace(w.min(), w.max(), 16)
        return palette[np.abs(w[..., None] - palette).argmin(-1)]

    settings = cto.OpPalettizerConfig(mode="uniform", nbits=4, weight_threshold=0)
    return compressed(folder, nearest, settings, cto.palettize_weights, "constexpr_lut_to_dense")


def pruned_weights(folder: Path) -> Foreign:
    """Stored sparse, what is below the threshold left out."""
    settings = cto.OpThresholdPrunerConfig(threshold=0.08, minimum_sparsity_percentile=0.1, weight_threshold=0)
    return compressed(
        folder, lambda w: np.where(np.abs(w) < 0.08, 0, w), settings, cto.prune_weights, "constexpr_sparse_to_dense"
    )


def compressed(
    folder: Path,
    weights: Callable[[np.ndarray], np.ndarray],
    settings: Any,
    optimize: Callable[..., Any],
    operator: str,
) -> Foreign:
    module = two_layers()
    return from_torch(
        folder,
        module,
        {"x": torch.randn(3, 64)},
        operator,
        truth=with_weights(module, weights),
        compress=lambda model: optimize(model, cto.OptimizationConfig(global_config=settings)),
        tolerance=1e-4,
    )


def two_functions(folder: Path) -> Foreign:
    """Two networks in one package; the second, not the default one, is run."""
    x = torch.randn(2, 64)
    descriptor = ct.utils.MultiFunctionDescriptor()
    modules = {"first": two_layers(), "second": two_layers()}
    for name, module in modules.items():
        converted(module, {"x": x}).save(str(folder / f"{name}.mlpackage"))
        descriptor.add_function(str(folder / f"{name}.mlpackage"), "main", name)
    descriptor.default_function_name = "first"
    ct.utils.save_multifunction(descriptor, str(folder / "model.mlpackage"))
    with torch.no_grad():
        expected = [modules["second"](x).numpy()]
    return Foreign(folder / "model.mlpackage", {"x": x.numpy()}, expected, ("linear",), function="second")


class Counter(nn.Module):
    total: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(1, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.total.add_(x)
        self.total.mul_(2)
        return self.total + x


def stateful(folder: Path) -> Foreign:
    """A state starts from zeros: 2x is kept, 3x returned."""
    x = torch.tensor([[1.0, -2.0, 0.5, 4.0]])
    states = [ct.StateType(wrapped_type=ct.TensorType(shape=(1, 4), dtype=np.float16), name="total")]
    converted(Counter(), {"x": x}, FP16, states=states).save(str(folder / "model.mlpackage"))
    return Foreign(folder / "model.mlpackage", {"x": x.numpy()}, [3 * x.numpy()], ("read_state", "write_state"))


def flexible_shape(folder: Path) -> Foreign:
    """Traced at one length, run at another."""
    module = nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.ELU(), nn.MaxPool1d(2))
    length = ct.RangeDim(lower_bound=4, upper_bound=64, default=16)
    inputs = [ct.TensorType(name="x", shape=(1, 3, length))]
    converted(module, {"x": torch.randn(1, 3, 16)}, inputs=inputs).save(str(folder / "model.mlpackage"))
    x = torch.randn(1, 3, 40)
    with torch.no_grad():
        return Foreign(folder / "model.mlpackage", {"x": x.numpy()}, [module(x).numpy()], ("conv", "max_pool"))


def while_loop(folder: Path) -> Foreign:
    """Newton's square root, as many steps as it takes; compared with numpy's."""

    @mb.program(input_specs=[mb.TensorSpec((3,))], opset_version=ct.target.iOS18)
    def program(x):
        def unfinished(guess, step):
            error = mb.reduce_max(x=mb.abs(x=mb.sub(x=mb.mul(x=guess, y=guess), y=x)), axes=[0], keep_dims=False)
            return mb.logical_and(x=mb.greater(x=error, y=np.float32(1e-4)), y=mb.less(x=step, y=50))

        def better(guess, step):
            return mb.mul(x=mb.add(x=guess, y=mb.real_div(x=x, y=guess)), y=np.float32(0.5)), mb.add(x=step, y=1)

        root, _ = mb.while_loop(_cond=unfinished, _body=better, loop_vars=(mb.add(x=x, y=np.float32(1)), np.int32(0)))
        return root

    x = np.array([2, 9, 0.25], np.float32)
    return from_builder(folder, program, {"x": x}, [np.sqrt(x)], "while_loop")


def cond(folder: Path) -> Foreign:
    """A branch of the data, inside it another."""

    @mb.program(input_specs=[mb.TensorSpec((4,))], opset_version=ct.target.iOS18)
    def program(x):
        total = mb.reduce_sum(x=x, axes=[0], keep_dims=False)
        return mb.cond(
            pred=mb.greater(x=total, y=np.float32(0)),
            _true_fn=lambda: mb.cond(
                pred=mb.greater(x=total, y=np.float32(100)),
                _true_fn=lambda: mb.mul(x=x, y=np.float32(0)),
                _false_fn=lambda: mb.cumsum(x=x, axis=0),
            ),
            _false_fn=lambda: mb.abs(x=x),
        )

    x = np.array([5, -1, 2, -3], np.float32)
    return from_builder(folder, program, {"x": x}, [np.cumsum(x)], "cond")


def lists(folder: Path) -> Foreign:
    """Rows written one by one in a loop, read back in another order."""

    @mb.program(input_specs=[mb.TensorSpec((4, 2))], opset_version=ct.target.iOS18)
    def program(x):
        empty = mb.make_list(init_length=4, elem_shape=(2,), dtype="fp32", dynamic_length=False)

        def write(i, rows):
            row = mb.gather(x=x, indices=i, axis=0, validate_indices=False)
            return mb.add(x=i, y=1), mb.list_write(ls=rows, index=i, value=mb.mul(x=row, y=row))

        _, rows = mb.while_loop(_cond=lambda i, rows: mb.less(x=i, y=4), _body=write, loop_vars=(np.int32(0), empty))
        return mb.list_gather(ls=rows, indices=[3, 1, 1])

    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    return from_builder(folder, program, {"x": x}, [x[[3, 1, 1]] ** 2], "make_list", "list_write", "list_gather")


def sorting_and_scattering(folder: Path) -> Foreign:
    @mb.program(
        input_specs=[mb.TensorSpec((3, 5)), mb.TensorSpec((3, 2), dtype=types.int32)], opset_version=ct.target.iOS18
    )
    def program(x, columns):
        best, places = mb.topk(x=x, k=2, axis=1)
        put = mb.scatter_along_axis(data=x, indices=columns, updates=best, axis=1, mode="add", validate_indices=False)
        return put, places, mb.band_part(x=put, lower=1, upper=0)

    x = np.random.default_rng(3).permutation(15).reshape(3, 5).astype(np.float32)
    columns = np.array([[0, 4], [1, 2], [3, 0]], np.int32)
    places = np.argsort(-x, axis=1)[:, :2]
    put = x.copy()
    for row in range(3):
        for n in range(2):
            put[row, columns[row, n]] += x[row, places[row, n]]
    lower = np.array([[put[i, j] if 0 <= i - j <= 1 else 0 for j in range(5)] for i in range(3)], np.float32)
    operators = ("topk", "scatter_along_axis", "band_part")
    return from_builder(folder, program, {"x": x, "columns": columns}, [put, places, lower], *operators)


PROGRAMS: tuple[Callable[[Path], Foreign], ...] = (
    convnet_fp32,
    convnet_fp16_of_ios15,
    lstm,
    gru,
    elman_network,
    attention,
    embedding,
    image_resizing,
    quantized_weights,
    quantized_blocks,
    palettized_weights,
    pruned_weights,
    two_functions,
    stateful,
    flexible_shape,
    while_loop,
    cond,
    lists,
    sorting_and_scattering,
)

# `python -m harness.mil` for many packages, at the price of one start of the interpreter.
DRIVER = """
import json, sys
from harness.mil.__main__ import main
codes = [main(arguments) for arguments in json.load(sys.stdin)]
print(json.dumps({"codes": codes, "imported": sorted({m.split(".")[0] for m in sys.modules})}), file=sys.__stderr__)
"""


def command(name: str, made: Foreign) -> list[str]:
    """Arguments of `python -m harness.mil` that run the program; its inputs are written beside it."""
    folder = made.package.parent
    np.savez(folder / "in.npz", **dict(made.inputs))  # type: ignore[arg-type]
    chosen = ["--function", made.function] if made.function else []
    return ["run", str(made.package), str(folder / "in.npz"), "--out", str(folder / "out.npz"), *chosen]


def faults(made: Foreign) -> str:
    """What is wrong with the outputs that were written, or nothing."""
    with np.load(made.package.parent / "out.npz") as archive:
        outputs = [archive[name] for name in archive.files]
    if len(outputs) != len(made.expected):
        return f"{len(outputs)} outputs, expected {len(made.expected)}"
    for number, (got, wanted) in enumerate(zip(outputs, made.expected, strict=True)):
        if got.shape != wanted.shape:
            return f"output {number} is of shape {got.shape}, expected {wanted.shape}"
        error = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
        if not (error <= made.atol + made.rtol * np.abs(wanted)).all():
            return f"output {number} is off by {error.max():.3g}"
    return ""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Foreign]:
    torch.manual_seed(0)
    return {build.__name__: build(tmp_path_factory.mktemp(build.__name__)) for build in PROGRAMS}


def test_programs_not_made_by_executorch(programs: dict[str, Foreign]) -> None:
    from harness.mil import load

    for name, made in programs.items():
        counts = load(made.package).op_counts(made.function)
        assert set(made.operators) <= counts.keys(), f"{name} holds only {', '.join(counts)}"
    commands = [command(name, made) for name, made in programs.items()]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps(commands), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stderr.strip().splitlines()[-1])
    assert not {"coremltools", "executorch"} & set(report["imported"])
    failed = [name for name, code in zip(programs, report["codes"], strict=True) if code != 0]
    assert not failed, done.stderr
    wrong = {name: fault for name, made in programs.items() if (fault := faults(made))}
    assert not wrong
    # The comparison can fail: shifted by a twentieth, every program is noticed.
    shifted = {
        name: faults(replace(m, expected=[e + 0.05 * np.abs(e).max() for e in m.expected]))
        for name, m in programs.items()
    }
    assert all(shifted.values()), shifted
    # And by its own name, once.
    assert subprocess.run([sys.executable, "-m", "harness.mil", *commands[-1]], timeout=120).returncode == 0
