"""CoreMLQuantizer annotates sums of integers, which cannot be quantized.

It goes by the operator alone: a sum with a number gets an observer of its input, and the model fails in calibration.
"""

import torch
from coremltools import __version__ as coremltools
from coremltools.optimize.torch.quantization import LinearQuantizerConfig
from executorch.backends.apple.coreml.quantizer import CoreMLQuantizer
from executorch.version import __version__ as executorch
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e


class Lookup(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(8, 4)

    def forward(self, ids):
        return self.table(ids + 1)


print(f"executorch {executorch}, coremltools {coremltools}, torch {torch.__version__}")
inputs = (torch.tensor([1, 2]),)
config = LinearQuantizerConfig.from_dict({"global_config": {"quantization_scheme": "symmetric"}})
prepared = prepare_pt2e(torch.export.export(Lookup().eval(), inputs).module(), CoreMLQuantizer(config))
print("expected: integers are left alone")
try:
    prepared(*inputs)
    print("actual:   they are")
    raise SystemExit(1)
except NotImplementedError as error:
    print(f"actual:   NotImplementedError: {error}")
