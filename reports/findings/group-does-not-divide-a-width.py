"""torchao quantizes a weight by groups only where the group divides its width.

`_get_reduction_params` (torchao/quantization/quant_primitives.py) asserts it for groups of int4 and int8,
`choose_qparams_and_quantize_codebook_coreml` (torchao/prototype/quantization/codebook_coreml/codebook_ops.py) for
blocks of codebooks. ExecuTorch's recipes quantize every linear layer unless `filter_fn` leaves one out, so that one
layer of an odd width ends the quantization of the whole model.
"""

import torch
import torchao
from torchao.quantization import quantize_
from torchao.quantization.granularity import PerGroup
from torchao.quantization.quant_api import IntxWeightOnlyConfig

print(f"torch {torch.__version__}, torchao {torchao.__version__}")
config = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))
quantize_(torch.nn.Sequential(torch.nn.Linear(64, 8)), config)
try:
    quantize_(torch.nn.Sequential(torch.nn.Linear(48, 8)), config)
    actual = "it is quantized, or left out"
except AssertionError as error:
    actual = f"AssertionError: {error}"
print(f"expected: a width of 48 is quantized, or left out\nactual:   {actual}")
raise SystemExit("divisible" not in actual)
