"""Makes the `.pte` files of this folder with the executorch that is installed: python suites/programs/make.py

Each release that a user's programs may come from has a folder of its own; what it has made stays as it is. Beside
another torch than its own a release can be put before the rest on the path:

    pip install --target /tmp/old --no-deps executorch==1.3.1
    PYTHONPATH=/tmp/old python suites/programs/make.py

Needs torch, executorch, coremltools and torchao, and of the harness only the file of modules, which is torch alone.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.version import __version__

HERE = Path(__file__).parent
MODULES = HERE.parents[1] / "harness" / "cases" / "program_modules.py"
PRECISIONS = {"fp16": ct.precision.FLOAT16, "fp32": ct.precision.FLOAT32}


def partitioner(recipe: str) -> CoreMLPartitioner:
    if recipe == "default":
        return CoreMLPartitioner()
    precision, target = recipe.split("-")[:2]
    specs = CoreMLBackend.generate_compile_specs(
        compute_precision=PRECISIONS[precision],
        minimum_deployment_target=getattr(ct.target, target.replace("ios", "iOS")),
    )
    return CoreMLPartitioner(compile_specs=specs)


def quantized(module: torch.nn.Module, recipe: str) -> torch.nn.Module:
    if not recipe.endswith("torchao_int8_channel"):
        return module
    from torchao.quantization.granularity import PerAxis
    from torchao.quantization.quant_api import IntxWeightOnlyConfig, quantize_

    quantize_(module, IntxWeightOnlyConfig(weight_dtype=torch.int8, granularity=PerAxis(0)))
    return module


def main() -> None:
    spec = importlib.util.spec_from_file_location("program_modules", MODULES)
    assert spec is not None
    assert spec.loader is not None
    modules = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = modules
    spec.loader.exec_module(modules)
    folder = HERE / __version__.partition("+")[0]
    folder.mkdir(exist_ok=True)
    for name, (make, recipe) in modules.PROGRAMS.items():
        made = make()
        module = quantized(made.module, recipe)
        exported = torch.export.export(module, made.inputs, dynamic_shapes=made.dynamic_shapes)
        lowered = to_edge_transform_and_lower(exported, partitioner=[partitioner(recipe)])
        content = bytes(lowered.to_executorch().buffer)
        (folder / f"{name}.pte").write_bytes(content)
        print(f"{__version__} {name} by {recipe}: {len(content)} bytes")


if __name__ == "__main__":
    main()
