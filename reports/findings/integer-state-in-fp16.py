"""A mutable buffer of integers is held as float16.

A Core ML state is a float16 array: the guide of Core ML Tools names no other ("Stateful Models"). The partitioner
takes a buffer of any data type over, and the converter casts it.
"""

import coremltools as ct
import torch


class Module(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.full((1,), 2048, dtype=torch.int32))

    def forward(self, x):
        self.count.add_(1)
        return x + self.count


inputs = (torch.zeros(1, dtype=torch.int32),)
print(f"coremltools {ct.__version__}, torch {torch.__version__}")
exported = torch.export.export(Module().eval(), inputs).run_decompositions({})
model = ct.convert(exported, compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS18)
(state,) = model.get_spec().description.state
kind = state.type.stateType.arrayType
held = kind.ArrayDataType.Name(kind.dataType)
print(f"eager counts to {int(Module()(*inputs))}; in float16 2048 + 1 is {int(torch.tensor(2048.0).half() + 1)}")
print(f"expected: the state is INT32\nactual:   the state is {held}")
raise SystemExit(held != "FLOAT16")
