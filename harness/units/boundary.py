"""Values crossing the delegate's boundary, converted as the ExecuTorch runtime does it.

torch -> feature: float32 to the declared float type, bool to float32, int64/int16 to int32, float64 to float32,
rank 0 to shape [1]. feature -> torch: back to the dtype the graph declares. A conversion that loses a value
is noted, because the user loses it too.
"""

from __future__ import annotations

import numpy as np
import torch

from harness.evidence.notes import Note, NoteCode
from harness.lowering.program import TensorSpec
from harness.units.base import Feature


def to_feature(value: object, feature: Feature) -> tuple[np.ndarray, list[Note]]:
    """A fresh C-contiguous array of the feature's dtype and shape, and notes on what was lost."""
    tensor = value if isinstance(value, torch.Tensor) else torch.tensor(value)
    array = tensor.detach().cpu().contiguous()
    source = array.float().numpy() if array.dtype == torch.bfloat16 else array.numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.array(source, dtype=feature.dtype, order="C", copy=True)
    notes: list[Note] = []
    if source.dtype.kind in "iu" and result.dtype.kind in "iu" and not np.array_equal(source, result):
        detail = f"input {feature.name}: {source.dtype} to {result.dtype} changed a value"
        notes.append(Note(NoteCode.INPUT_CHANGED, detail))
    if result.ndim == 0:
        result = result.reshape(1)
    return result, notes


def from_feature(array: np.ndarray, spec: TensorSpec | None, name: str) -> tuple[torch.Tensor, list[Note]]:
    """The tensor the rest of the graph sees. The shape is left as it came: judging it is not our work."""
    result = torch.from_numpy(np.array(array, order="C", copy=True))
    if spec is None:
        return result, []
    notes: list[Note] = []
    if spec.shape == () and result.shape == (1,):
        result = result.reshape(())
    dtype = spec.torch_dtype
    if result.dtype != dtype:
        converted = result.to(dtype)
        integral = not (dtype.is_floating_point or dtype.is_complex or dtype is torch.bool)
        if integral and not torch.equal(converted.double(), result.double()):
            notes.append(Note(NoteCode.OUTPUT_LOST, f"output {name}: {result.dtype} to {dtype} lost a value"))
        result = converted
    return result, notes
