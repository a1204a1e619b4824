"""The emitted `.pte` for another compute unit, without lowering again.

The compute unit is a compile spec beside each delegate, read by the runtime when it loads the package; the package is
the same for all of them (`CoreMLBackend`'s `get_compute_units` in ExecuTorch's `backend_delegate.mm`).
"""

from __future__ import annotations

import struct
from typing import Any

#: The id of ExecuTorch's Core ML delegates.
BACKEND = "CoreMLBackend"
COMPUTE_UNITS = "compute_units"


def read(pte: bytes) -> Any:
    """ExecuTorch's own reading of a `.pte`: `PTEFile`, as it was before it was written.

    Raises `ValueError` in one line for bytes that are no program.
    """
    from executorch.exir._serialize._program import deserialize_pte_binary

    try:
        file = deserialize_pte_binary(pte)
    except (ValueError, TypeError, AssertionError, IndexError, AttributeError, struct.error) as error:
        text = " ".join(str(error).split())[:200]
        raise ValueError(f"the .pte cannot be read back: {type(error).__name__}: {text}") from error
    # The emitter writes no list where there is none; the reader gives an empty one for it.
    file.program.named_data = file.program.named_data or None
    return file


def with_compute_unit(pte: bytes, compute_unit: str) -> bytes:
    """The same program, its Core ML delegates restricted to `compute_unit` (`cpu_only`, ...).

    As ExecuTorch would have emitted it, had it been lowered for that unit. Raises `ValueError` when its reader and
    writer do not give back, unchanged, the file they are given: then nothing can be said about a changed one.
    """
    from executorch.exir.backend.compile_spec_schema import CompileSpec

    file = read(pte)
    if _written(file) != pte:
        raise ValueError("the .pte cannot be made for another compute unit: read and written again it is another file")
    for plan in file.program.execution_plan:
        for delegate in plan.delegates:
            if delegate.id == BACKEND:
                others = [spec for spec in delegate.compile_specs if spec.key != COMPUTE_UNITS]
                delegate.compile_specs = [CompileSpec(COMPUTE_UNITS, compute_unit.encode()), *others]
    return _written(file)


def _written(file: Any) -> bytes:
    from executorch.exir import ExecutorchBackendConfig
    from executorch.exir._serialize._program import serialize_pte_binary

    config = ExecutorchBackendConfig()
    return bytes(
        serialize_pte_binary(
            file,
            extract_delegate_segments=config.extract_delegate_segments,
            segment_alignment=config.segment_alignment,
            constant_tensor_alignment=config.constant_tensor_alignment,
            delegate_alignment=config.delegate_alignment,
        )
    )
