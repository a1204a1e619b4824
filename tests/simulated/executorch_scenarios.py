"""What the tests do with the simulated ExecuTorch runtime: one function, run by `host.py`, with JSON out.

Checks are whole ones, from the case to the record, on `executorch` and `executorch:<compute unit>`; programs of several
methods are also run on the Core ML units, as coremltools opens their functions.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
from collections.abc import Callable, Sequence
from typing import Any

import executorch_runtime
import torch
from faults import set_faults

from harness.cases.case import Built, Case, Method, Partitioning
from harness.check import Checker
from harness.evidence.check import Check
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import HARDWARE_UNITS, Kind, Level
from harness.lowering import speedups
from harness.lowering.lower import Lowered, export, lower
from harness.units import executorch
from harness.units.coreml import CoreMLUnit
from harness.units.host import is_simulated_host
from harness.units.whole_program import run_program

torch.set_num_threads(1)
speedups.enable()

RECIPE = Recipe.parse("fp16-ios18")
UNITS = ["executorch", *(f"executorch:{unit}" for unit in HARDWARE_UNITS)]
X = (((torch.arange(6) * 37 + 11) % 64) / 16 - 2).reshape(2, 3)
NOT_TAKEN = ["aten.add.Tensor", "aten.cat.default", "aten.view_copy.default", "aten.split_with_sizes_copy.default"]


class Function(torch.nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(3, 3)
        self.register_buffer("total", torch.zeros(2, 3))

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(self, *inputs)


def _accumulate(module: Any, x: torch.Tensor) -> torch.Tensor:
    module.total.add_(x)
    return module.total * 2


def _accumulate_outside(module: Any, x: torch.Tensor) -> torch.Tensor:
    module.total.copy_(torch.asinh(module.total) + torch.asinh(x))
    return module.total * 2


def _copied(_module: Any, x: torch.Tensor) -> Any:
    y = torch.asinh(x)
    return torch.cat([y, x]), torch.split(y, 1), torch.asinh(y.reshape(-1))


def _built(function: Callable[..., Any], *inputs: torch.Tensor, options: Sequence[tuple[str, object]] = ()) -> Built:
    return Built(Function(function).eval(), inputs, 0, partitioning=Partitioning(options=tuple(options)))


_SKIP = [("skip_ops_for_coreml_delegation", NOT_TAKEN)]
#: Name -> what is checked; the runtime itself plays all but the delegates of these.
PROGRAMS: dict[str, Callable[[], Built]] = {
    "linear": lambda: _built(lambda m, x: m.linear(x), X),
    "two_inputs": lambda: _built(lambda m, x, y: (x - y, x * 2), X, X * 0.5),
    "integer": lambda: _built(lambda m, x, y: x + y, torch.arange(6).reshape(2, 3) - 3, torch.tensor([1, 70000, -5])),
    "boolean": lambda: _built(lambda m, x, y: (torch.where(x, y, y * 4), y > 0), X > 0, X),
    "half": lambda: _built(lambda m, x: x * 2, X.half()),
    "rank_0": lambda: _built(lambda m, x: x * 2 + 1, torch.tensor(1.5)),
    "partly": lambda: _built(lambda m, x: torch.asinh(x * 2) - x, X),
    "fell_back": lambda: _built(lambda m, x: torch.asinh(x), X),
    "copied": lambda: _built(_copied, X, options=_SKIP),
    "state": lambda: _built(_accumulate, X),
    "state_outside": lambda: _built(_accumulate_outside, X, options=[("take_over_mutable_buffer", False)]),
}


def _methods(name: str) -> Built:
    prefill = Function(lambda m, x: torch.relu(m.linear(x))).eval()
    decode = Function(lambda m, x, y: m.linear(x) * 2 - y).eval()
    modules = {"forward": (prefill, (X,)), "decode": (decode, (X[:1], X[1]))}
    beside = tuple(Method(other, *modules[other]) for other in modules if other != name)
    return Built(*modules[name], 0, method=name, beside=beside)


def _case(name: str, build: Callable[[], Built]) -> Case:
    return Case(
        id=f"check/{name}",
        kind=Kind.OPERATOR,
        op="aten.linear.default",
        api="",
        dtype="float32",
        origin="simulated",
        level=Level.SMOKE,
        build=build,
    )


def everything() -> dict[str, Any]:
    checker = Checker()
    cases = {name: _case(name, build) for name, build in PROGRAMS.items()}
    cases |= {name: _case(name, lambda name=name: _methods(name)) for name in ("forward", "decode")}
    return {
        "simulated": is_simulated_host(),
        "backends": executorch.registered_backends(),
        "records": {name: _checked(checker, case) for name, case in cases.items()},
        "built": _with_state_and_functions({name: cases[name] for name in ("state", "forward", "decode")}),
        "functions": {name: _functions(name) for name in ("forward", "decode")},
        "faults": _faults(checker, cases["linear"]),
        "real": [_beside_the_real_runtime(name) for name in ("fell_back", "copied")],
    }


def _checked(checker: Checker, case: Case, units: Sequence[str] = UNITS) -> dict[str, Any]:
    found = {}
    for unit in units:
        phases: list[str] = []
        record = checker.check(Check.of(case, RECIPE, unit), lambda phase, phases=phases: phases.append(str(phase)))
        found[unit] = {**record.to_json(), "phases": phases}
    return found


def _with_state_and_functions(cases: dict[str, Case]) -> dict[str, Any]:
    """A backend built with the SDK of macOS 15, as one's own build may be."""
    os.environ[executorch_runtime.BUILT_WITH] = "state,functions"
    executorch.built_with.cache_clear()
    try:
        checker = Checker()
        found = {name: _checked(checker, case, UNITS[:2]) for name, case in cases.items()}
        return {"records": found, "calls": _two_calls(cases["state"])}
    finally:
        del os.environ[executorch_runtime.BUILT_WITH]
        executorch.built_with.cache_clear()


def _two_calls(case: Case) -> list[list[float]]:
    """Of one loaded method: the second finds the state of the first."""
    from executorch.runtime import Runtime

    built = case.build()
    method = Runtime.get().load_program(_lowered(built).pte).load_method("forward")
    return [method.execute(list(built.inputs))[0].flatten().tolist() for _ in range(2)]


def _lowered(built: Built) -> Lowered:
    found = lower(export(built), RECIPE)
    assert found.program is not None, found.failure
    return found


def _functions(name: str) -> dict[str, Any]:
    """A method on the units of Core ML: its function of the package, and the plan of that function alone."""
    built = _methods(name)
    program = _lowered(built).program
    assert program is not None
    found = {}
    for unit in HARDWARE_UNITS:
        result = run_program(program, CoreMLUnit(unit), built.inputs)
        found[str(unit)] = {
            "outputs": result.outputs[0].tolist(),
            "mil_ops": result.mil_ops,
            "placed": sorted(result.placement),
        }
    return {
        "eager": built.module(*built.inputs).tolist(),
        "units": found,
        "too_old": _on_an_older_macos(program, built),
    }


def _on_an_older_macos(program: Any, built: Built) -> str:
    import libcoremlpython

    played, libcoremlpython.simulated_macos = libcoremlpython.simulated_macos, (14, 4)
    try:
        run_program(program, CoreMLUnit("all"), built.inputs)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        libcoremlpython.simulated_macos = played
    return "ran"


def _faults(checker: Checker, case: Case) -> dict[str, Any]:
    found = {}
    try:
        for name in ("wrong_value", "second_answer", "load_error", "predict_error"):
            small = {"value": 0.0005} if name == "second_answer" else {}  # both answers within the bound
            set_faults(**{name: {"units": ["CPU_AND_GPU"], **small}})
            found[name] = _checked(checker, case)
        set_faults(compile_error=True)
        found["compile_error"] = _checked(checker, case, ["executorch"])
    finally:
        set_faults()
    return found


def _beside_the_real_runtime(name: str) -> dict[str, Any]:
    """A program without delegates and what this runtime gives for inputs, good and bad; the test asks the real one."""
    from executorch.runtime import Runtime

    built = PROGRAMS[name]()
    pte = _lowered(built).pte
    answers = []
    for inputs in wrong_inputs():
        method = Runtime.get().load_program(pte).load_method("forward")
        answers.append(answer_of(method, inputs))
    return {"pte": base64.b64encode(pte).decode(), "answers": answers}


def wrong_inputs() -> list[list[Any]]:
    """The right ones first."""
    return [[X], [X.int()], [X.double()], [X.T], [X[:1]], [X.flatten()], [], [X, X], [1.0], ["x"], [None]]


def answer_of(method: Any, inputs: list[Any]) -> Any:
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            return [output.tolist() for output in method.execute(inputs)]
        except RuntimeError as error:
            return str(error).partition(" Ensure")[0]
