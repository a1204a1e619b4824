"""A method of a `.pte` on several units with the same inputs: each against the first. There is no truth to go by."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from harness.evidence.unit import UnitSpec
from harness.lowering.from_pte import StoredMethod, StoredProgram
from harness.lowering.program import TensorSpec
from harness.process.child import Child, ChildDied, ChildRaised, ChildRefused
from harness.process.isolation import MODEL_DEADLINE
from harness.process.serve import Handler
from harness.verdict.difference import Difference, difference
from harness.verdict.tolerance import sqnr

#: What a child runs: Core ML may end the process that asks it.
HANDLER = "harness.commands.compare_units:make_handler"
SEED = 0
#: Two units that are further apart, in dB, do not compute the same: no rounding to fp16 leaves less of an answer.
AGREE_DB = 20.0


def make_handler() -> Handler:
    """Called in the child: answers with what one unit makes of a method, or why it makes nothing of it."""
    torch.set_num_threads(1)

    def handle(request: dict[str, Any], _send: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        from harness.lowering.graph import UnplannableGraph
        from harness.lowering.lower import Emitted
        from harness.units.base import NotRunnable
        from harness.units.registry import make_unit
        from harness.verdict.judge import as_tensors

        stored = StoredProgram(Path(request["file"]).read_bytes())
        method = stored.methods[request["method"]]
        unit = make_unit(UnitSpec.parse(request["unit"]))
        if reason := unit.unavailable(request["target"]):
            return {"not_run": reason}
        try:
            counts = {int(number): count for number, count in request["inputs"].items()}
            program = stored.program(method.name, counts)
            outputs = unit.run(Emitted(program, stored.pte), example_inputs(method), plan=False).outputs
        except (NotRunnable, UnplannableGraph) as error:
            return {"not_run": str(error)}
        except Exception as error:  # of the many that a unit has for what goes wrong
            return {"failed": f"{type(error).__name__}: {error}"}
        torch.save(as_tensors(outputs), request["out"])
        return {}

    return handle


def compared(
    path: Path, method: StoredMethod, inputs: dict[int, int], target: str, units: Sequence[UnitSpec]
) -> tuple[list[str], bool]:
    """Lines, and whether no unit fails and all agree. `inputs` are the numbers of inputs of the delegates."""
    lines: list[str] = []
    answers: dict[UnitSpec, list[torch.Tensor]] = {}
    right = True
    for unit in units:
        with tempfile.TemporaryDirectory(prefix="coreml-harness-") as folder:
            out = Path(folder) / "outputs"
            request = {"file": str(path), "method": method.name, "unit": str(unit), "out": str(out)}
            found = _asked({**request, "inputs": inputs, "target": target})
            if out.exists():
                answers[unit] = torch.load(out, weights_only=True)
                continue
            what, why = next(iter(found.items()), ("failed", "it gave no answer"))
            right &= what == "not_run"
            lines.append(f"  {unit}: {what.replace('_', ' ')}: {' '.join(str(why).split())[:300]}")
    first = next(iter(answers), None)
    for unit, got in answers.items():
        if first is not None and unit != first:
            apart = difference(got, answers[first], "fp16")
            near = agree(apart, got, answers[first])
            right &= near
            lines.append(f"  {unit} against {first}: {apart}{'' if near else '; more than rounding'}")
    if len(answers) < 2:
        lines.append("  nothing to compare: it ran on less than two units")
    return lines, right


def agree(apart: Difference, got: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    """Whether two answers differ by rounding at most: same shapes, dtypes and special values, and `AGREE_DB`."""
    if apart.kind:
        return False
    return all(
        sqnr(one[two.isfinite()], two[two.isfinite()]) >= AGREE_DB
        for one, two in zip(got, other, strict=True)
        if two.is_floating_point()
    )


def example_inputs(method: StoredMethod) -> list[Any]:
    """Random floats, zeros for integers, and the numbers that the program was made with."""
    generator = torch.Generator().manual_seed(SEED)

    def made(spec: TensorSpec) -> torch.Tensor:
        if not spec.torch_dtype.is_floating_point:
            return torch.zeros(spec.shape, dtype=spec.torch_dtype)
        return torch.randn(spec.shape, generator=generator).to(spec.torch_dtype)

    return [made(one) if isinstance(one, TensorSpec) else one for one in method.inputs]


def _asked(request: dict[str, Any]) -> dict[str, Any]:
    child = Child(HANDLER)
    try:
        return child.call(request, MODEL_DEADLINE)
    except (ChildDied, ChildRaised, ChildRefused) as error:
        how = error.how if isinstance(error, ChildDied) else str(error)
        return {"failed": how}
    finally:
        child.close()
