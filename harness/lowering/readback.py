"""The emitted `.pte` written to a file, read back, and compared with what was lowered."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness.lowering.program import LoweredProgram


def read_back(pte: bytes, program: LoweredProgram) -> str | None:
    """What the file lost or changed, in one line; None when it holds the program.

    Compared are the delegates' bytes and the number of the user's inputs and outputs. Delegates may be stored once
    and used several times.
    """
    from executorch.exir._serialize._program import deserialize_pte_binary

    with tempfile.TemporaryDirectory(prefix="coreml-harness-") as directory:
        path = Path(directory) / "program.pte"
        path.write_bytes(pte)
        try:
            found = deserialize_pte_binary(path.read_bytes()).program
        except Exception as error:
            return f"the .pte cannot be read back: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    stored = [bytes(data.data) for data in found.backend_delegate_data]
    lost = [number for number, delegate in enumerate(program.delegates) if delegate.processed not in stored]
    if lost:
        return f"the .pte does not hold delegate {', '.join(map(str, lost))} of {len(program.delegates)}"
    plan = found.execution_plan[0]
    inputs = sum(placeholder.kind == "user" for placeholder in program.inputs)
    if len(plan.inputs) != inputs:
        return f"the .pte takes {len(plan.inputs)} inputs, the program {inputs}"
    if len(plan.outputs) < len(program.outputs):
        return f"the .pte returns {len(plan.outputs)} values, the program {len(program.outputs)}"
    return None
