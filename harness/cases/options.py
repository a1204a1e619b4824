"""Options of the partitioner and of its compile specs, alone and in the pairs that interact, right and wrong ones.

What each promises is held against the lowered program (`harness.verdict.promises`); its values are judged besides. A
wrong option has to be refused, with the error that the row names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from harness.cases.case import Arguments, Built, Case, Partitioning, Refusal
from harness.evidence.vocabulary import Kind, Level, Phase

if TYPE_CHECKING:
    import torch

SUITE = "options"
SEED = 0

_INT8 = "{'mode': 'linear_symmetric', 'dtype': 'int8'}"
_FP16_CAST = "common::add_fp16_cast"
#: Every pass that the conversion of a program with a linear layer needs, in the order of coremltools' own pipeline.
_OWN = ["common::const_elimination", "common::dead_code_elimination"]


@dataclass(frozen=True)
class Option:
    """`module` names a function below. `specs` are keyword arguments of `generate_compile_specs` as Python expressions,
    `options` those of `CoreMLPartitioner`; `refusal` is what a wrong one is to get."""

    name: str
    value: str
    module: Callable[[], tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]
    recipes: tuple[str, ...] = ("fp16-ios18",)
    specs: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    refusal: Refusal | None = None
    calls: int = 0
    level: Level = Level.STANDARD


def _module(function: Callable[..., Any], **parts: Any) -> torch.nn.Module:
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, part in parts.items():
                if isinstance(part, torch.nn.Module):
                    self.add_module(name, part)
                else:
                    self.register_buffer(name, part)

        def forward(self, *inputs: torch.Tensor) -> Any:
            return function(self, *inputs)

    return Module().eval()


def _linear() -> Any:
    import torch

    return torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU()).eval(), (torch.randn(2, 16),)


def _wide() -> Any:
    """A weight large enough to be quantized."""
    import torch

    return torch.nn.Linear(64, 64).eval(), (torch.randn(2, 64),)


def _embedding() -> Any:
    import torch

    table, out = torch.nn.Embedding(48, 64), torch.nn.Linear(64, 48, bias=False)
    return _module(lambda m, i: m.out(m.table(i)), table=table, out=out), (torch.tensor([[1, 5, 30]]),)


def _tied() -> Any:
    import torch

    table, out = torch.nn.Embedding(48, 64), torch.nn.Linear(64, 48, bias=False)
    out.weight = table.weight
    return _module(lambda m, i: m.out(m.table(i)), table=table, out=out), (torch.tensor([[1, 5, 30]]),)


def _elementwise() -> Any:
    import torch

    return _module(lambda _m, x, y: torch.sigmoid(torch.sin(x) * y)), (torch.randn(3, 4), torch.randn(3, 4))


def _with_fallback() -> Any:
    import torch

    layers = {"before": torch.nn.Linear(4, 4), "after": torch.nn.Linear(4, 4)}
    return _module(lambda m, x: m.after(torch.asinh(m.before(x))), **layers), (torch.randn(3, 4),)


def _counter() -> Any:
    """A buffer that is written, and one that is only read."""
    import torch

    def step(m: Any, x: torch.Tensor) -> torch.Tensor:
        m.total.add_(x)
        return m.total * m.scale

    return _module(step, total=torch.zeros(2, 3), scale=torch.arange(6.0).reshape(2, 3)), (torch.randn(2, 3),)


def _normalised() -> Any:
    import torch

    layers = torch.nn.Sequential(torch.nn.Conv1d(3, 4, 3), torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    return layers.eval(), (torch.randn(1, 3, 8),)


def _refused(phase: Phase, error: str, says: str) -> Refusal:
    return Refusal(phase, error, says)


_BOTH = ("fp16-ios18", "fp32-ios18")
_SKIP = {"skip_ops_for_coreml_delegation": ["aten.linear.default"]}
_KEEP_CONSTANTS = {"take_over_constant_data": False}
_KEEP_BUFFERS = {"take_over_mutable_buffer": False}
_FULL = {"lower_full_graph": True}
_TOO_LOW = _refused(Phase.CONVERT, "ValueError", "State model is supported only >= iOS18")

OPTIONS: tuple[Option, ...] = (
    *(
        Option("compute_unit", unit.lower(), _linear, specs={"compute_unit": f"ct.ComputeUnit.{unit}"})
        for unit in ("ALL", "CPU_ONLY", "CPU_AND_GPU", "CPU_AND_NE")
    ),
    Option("compute_precision", "each", _normalised, (*_BOTH, "fp32-ios15", "default")),
    Option(
        "minimum_deployment_target",
        "each",
        _normalised,
        ("fp16-none", *(f"fp16-ios{number}" for number in (15, 16, 17, 18, 26))),
    ),
    Option("model_type", "model", _linear, specs={"model_type": "CoreMLBackend.MODEL_TYPE.MODEL"}),
    Option(
        "model_type",
        "compiled_model",
        _linear,
        specs={"model_type": "CoreMLBackend.MODEL_TYPE.COMPILED_MODEL"},
        refusal=_refused(Phase.PACKAGE, "Exception", "compiled"),
    ),
    Option("pass_names", "empty", _normalised, _BOTH, {"pass_names": "[]"}),
    Option("pass_names", "default", _normalised, _BOTH, {"pass_names": "list(ct.PassPipeline.DEFAULT.passes)"}),
    Option("pass_names", "own-without-fp16-cast", _normalised, _BOTH, {"pass_names": repr(_OWN)}),
    Option("pass_names", "own-with-fp16-cast", _normalised, ("fp16-ios18",), {"pass_names": repr([_FP16_CAST, *_OWN])}),
    Option(
        "pass_names",
        "unknown",
        _linear,
        specs={"pass_names": "['common::no_such_pass']"},
        refusal=_refused(Phase.CONVERT, "KeyError", "no_such_pass not found"),
    ),
    *(
        Option("op_linear_quantizer_config", name, module, recipes)
        for name, module, recipes in (
            ("linear", _wide, ("fp32-ios16-op_linear_int8", "fp16-ios18-op_linear_int4_group32")),
            ("embedding", _embedding, ("fp32-ios18-op_linear_int8",)),
            ("tied-embedding", _tied, ("fp32-ios18-op_linear_int8",)),
        )
    ),
    Option(
        "op_linear_quantizer_config",
        "int4-below-its-target",
        _wide,
        ("fp16-ios16",),
        {"op_linear_quantizer_config": "{'mode': 'linear_symmetric', 'dtype': 'int4', 'granularity': 'per_block'}"},
        refusal=_refused(Phase.CONVERT, "ValueError", "iOS18"),
    ),
    Option("skip_ops_for_coreml_delegation", "linear", _linear, options=_SKIP),
    Option("lower_full_graph", "true", _linear, options=_FULL),
    Option(
        "lower_full_graph",
        "with-fallback",
        _with_fallback,
        options=_FULL,
        refusal=_refused(Phase.PARTITION, "NotImplementedError", "lower_full_graph=True"),
    ),
    *(
        Option(
            "lower_full_graph",
            name,
            _linear,
            options={**_FULL, **other},
            refusal=_refused(Phase.EDGE, "AssertionError", says),
        )
        for name, other, says in (
            ("with-skipped", _SKIP, "you cannot set skip_ops_for_coreml_delegation"),
            ("without-constants", _KEEP_CONSTANTS, "you must set take_over_constant_data=True"),
            ("without-buffers", _KEEP_BUFFERS, "you must set take_over_mutable_buffer=True"),
        )
    ),
    Option("take_over_constant_data", "true", _linear, options={"take_over_constant_data": True}),
    Option("take_over_constant_data", "false", _linear, options=_KEEP_CONSTANTS),
    Option("take_over_constant_data", "false-with-fallback", _with_fallback, options=_KEEP_CONSTANTS),
    Option("take_over_mutable_buffer", "true", _counter, options={"take_over_mutable_buffer": True}, calls=3),
    Option("take_over_mutable_buffer", "false", _counter, options=_KEEP_BUFFERS, calls=3),
    Option("take_over_mutable_buffer", "false-ios17", _counter, ("fp16-ios17",), options=_KEEP_BUFFERS, calls=3),
    Option("take_over_mutable_buffer", "true-ios17", _counter, ("fp16-ios17",), refusal=_TOO_LOW),
    Option("take_over_mutable_buffer", "true-without-target", _counter, ("default",), refusal=_TOO_LOW),
    Option("pairs", "constants-and-buffers-left", _counter, options={**_KEEP_CONSTANTS, **_KEEP_BUFFERS}, calls=3),
    Option("pairs", "constants-left-buffers-taken", _counter, options=_KEEP_CONSTANTS, calls=3),
    Option("pairs", "skipped-and-constants-left", _linear, options={**_SKIP, **_KEEP_CONSTANTS}),
    Option("pairs", "full-graph-and-state", _counter, options=_FULL, calls=3),
    Option(
        "pairs",
        "full-graph-and-compute-unit",
        _linear,
        specs={"compute_unit": "ct.ComputeUnit.CPU_ONLY"},
        options=_FULL,
    ),
    Option("pairs", "no-passes-below-fp16", _elementwise, ("fp16-ios15",), {"pass_names": "[]"}),
    Option("pairs", "no-passes-and-state", _counter, ("fp32-ios18",), {"pass_names": "[]"}),
    Option(
        "pairs",
        "quantized-and-constants-left",
        _wide,
        ("fp32-ios18",),
        {"op_linear_quantizer_config": _INT8},
        options=_KEEP_CONSTANTS,
    ),
)


@cache
def cases() -> tuple[Case, ...]:
    """Makes no tensors."""
    return tuple(
        Case(
            id=f"{SUITE}/{option.name}/float32/{option.value}",
            kind=Kind.OPTION,
            op=f"{SUITE}.{option.name}",
            api=f"{SUITE}.{option.name}",
            dtype="float32",
            origin=SUITE,
            level=option.level,
            recipes=option.recipes,
            build=partial(build, option),
        )
        for option in OPTIONS
    )


def build(option: Option) -> Built:
    import torch

    from harness.cases.opinfo import on_fp16_grid

    def drawn(inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return tuple(on_fp16_grid(value) if value.is_floating_point() else value for value in inputs)

    torch.manual_seed(SEED)
    module, inputs = option.module()
    calls = tuple(Arguments(drawn(tuple(torch.randn_like(value) for value in inputs))) for _ in range(option.calls))
    partitioning = Partitioning(options=tuple(option.options.items()), specs=tuple(option.specs.items()))
    return Built(module, drawn(inputs), SEED, partitioning=partitioning, calls=calls, refusal=option.refusal)
