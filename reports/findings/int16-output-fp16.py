"""In fp16 a cast to int16 whose result is an output fails to convert; in fp32 it lowers.

For fp16 the converter declares every output of the model: floats as fp16, everything else with the dtype it has. int16
is no dtype of an output, so the declaration raises. For fp32 no output is declared and int16 becomes int32.
"""

import coremltools as ct
import torch
from executorch.backends.apple.coreml.compiler import CoreMLBackend
from executorch.backends.apple.coreml.partition import CoreMLPartitioner
from executorch.exir import to_edge_transform_and_lower


class ToInt16(torch.nn.Module):
    def forward(self, x):
        return x.to(torch.int16)


def lowering_error(precision):
    """What lowering to Core ML raises, or None when it succeeds."""
    specs = CoreMLBackend.generate_compile_specs(compute_precision=precision, minimum_deployment_target=ct.target.iOS18)
    exported = torch.export.export(ToInt16(), (torch.ones(3),))
    try:
        to_edge_transform_and_lower(exported, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    except Exception as error:
        return error
    return None


def main() -> int:
    half = lowering_error(ct.precision.FLOAT16)
    single = lowering_error(ct.precision.FLOAT32)
    print(f"x.to(torch.int16), FLOAT16: {f'{type(half).__name__}: {half}' if half else 'lowers'}")
    print(f"x.to(torch.int16), FLOAT32: {type(single).__name__ if single else 'lowers'}")
    if isinstance(half, TypeError) and "make_int" in str(half) and single is None:
        print("shown: the int16 output is declared in fp16 only, and refused")
        return 0
    print("not shown: both precisions do the same")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
