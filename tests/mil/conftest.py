"""Programs for the tests: written with coremltools' MIL builder, saved as a package, read back and run."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

logging.getLogger("coremltools").setLevel(logging.ERROR)
ct = pytest.importorskip("coremltools")

from coremltools.converters.mil import Builder as mb  # noqa: E402
from coremltools.converters.mil.mil import types  # noqa: E402

from harness.mil import Model, RunResult, load  # noqa: E402

_MIL_TYPES = {
    "float16": types.fp16,
    "float32": types.fp32,
    "int32": types.int32,
    "bool": types.bool,
    "int8": types.int8,
    "uint8": types.uint8,
    "int16": types.int16,
}


@pytest.fixture(scope="session", autouse=True)
def frozen_heap() -> None:
    """A conversion collects garbage several times: without the objects of the imports that is fast."""
    gc.collect()
    gc.freeze()


class Bench:
    """Builds models from a Python function of MIL variables, and runs them."""

    def __init__(self, folder: Any) -> None:
        self._folder = folder
        self._count = 0

    def package(self, build: Callable[..., Any], inputs: Mapping[str, Any], opset: str = "iOS18") -> str:
        """Path of the package of `build`, a function of the inputs by name; `inputs` gives their shapes and types."""
        target = getattr(ct.target, opset)
        specs = [mb.TensorSpec(np.shape(v), dtype=_MIL_TYPES[str(np.asarray(v).dtype)]) for v in inputs.values()]
        names = ", ".join(inputs)
        wrapped = eval(f"lambda {names}: finish(build({names}))", {"build": build, "finish": _presentable})
        program = mb.program(input_specs=specs, opset_version=target)(wrapped)
        return self.save(program, opset)

    def save(self, program: Any, opset: str = "iOS18") -> str:
        model = ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=getattr(ct.target, opset),
            skip_model_load=True,
            compute_precision=ct.precision.FLOAT32,
            pass_pipeline=ct.PassPipeline.EMPTY,
        )
        self._count += 1
        path = str(self._folder / f"model{self._count}.mlpackage")
        model.save(path)
        return path

    def model(self, build: Callable[..., Any], inputs: Mapping[str, Any], opset: str = "iOS18") -> Model:
        return load(self.package(build, inputs, opset))

    def run(
        self, build: Callable[..., Any], inputs: Mapping[str, Any], opset: str = "iOS18", mode: str = "wide"
    ) -> RunResult:
        return self.model(build, inputs, opset).run(inputs, mode=mode)

    def outputs(
        self, build: Callable[..., Any], inputs: Mapping[str, Any], opset: str = "iOS18", mode: str = "wide"
    ) -> list[Any]:
        return list(self.run(build, inputs, opset, mode).outputs.values())

    def check(
        self,
        build: Callable[..., Any],
        inputs: Mapping[str, Any],
        *expected: Any,
        opset: str = "iOS18",
        rtol: float = 2e-6,
        atol: float = 1e-6,
    ) -> None:
        """The outputs are `expected`: shape, kind of type and values (NaN equal to NaN)."""
        got = self.outputs(build, inputs, opset)
        assert len(got) == len(expected)
        for actual, wanted in zip(got, expected, strict=True):
            wanted = np.asarray(wanted)
            assert actual.shape == wanted.shape
            np.testing.assert_allclose(
                actual.astype(np.float64), wanted.astype(np.float64), rtol=rtol, atol=atol, equal_nan=True
            )


def _presentable(result: Any) -> Any:
    """A model's outputs can only be fp16, fp32 and int32 tensors of rank 1 and more."""
    if isinstance(result, (tuple, list)):
        return tuple(_presentable(r) for r in result)
    if result.dtype not in (types.fp16, types.fp32, types.int32):
        result = mb.cast(x=result, dtype="int32")
    return mb.expand_dims(x=result, axes=[0]) if result.rank == 0 else result


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("models"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
