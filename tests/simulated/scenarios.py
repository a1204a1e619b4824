"""What the tests do on the simulated host: functions run by `host.py`, with JSON in and out.

Each scenario is run in one child process for many cases, because importing the measured packages takes seconds.
"""

from __future__ import annotations

import copy
import os
import resource
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import operators
import torch
from coremltools.models.model import MLModelAsset
from faults import set_faults

from harness import mil
from harness.cases import ane
from harness.check import Checker
from harness.evidence.check import Check
from harness.evidence.environment import environment_block
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import HARDWARE_UNITS
from harness.lowering import speedups
from harness.lowering.program import UnpackedDelegate
from harness.units import coreml, host, placement
from harness.units.coreml import CoreMLUnit
from harness.units.whole_program import run_program

torch.set_num_threads(1)
speedups.enable()

_UNITS = [str(unit) for unit in HARDWARE_UNITS]


def everything() -> dict[str, Any]:
    """All scenarios below in one process; a scenario that raises has its error as the result."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        steps: dict[str, Callable[[], Any]] = {
            "host": _host,
            "operators": lambda: {
                **{name: _attempt(_operator, name, root) for name in operators.CASES},
                **{f"{name}/fp32": _attempt(_operator, name, root, "fp32-ios18") for name in ("linear", "softmax")},
            },
            "partial": _partial,
            "state": lambda: _state(root),
            "strictness": lambda: _strictness(root),
            "compiled_once": lambda: _compiled_once(root),
            "faults": lambda: _faults(root),
            "deaths": lambda: _deaths(root),
            "placement": lambda: _placement(root),
            "positions": lambda: _positions(root),
            "contradictions": lambda: _contradictions(root),
            "mlmodel": lambda: _mlmodel(root),
        }
        return {name: _attempt(step) for name, step in steps.items()}


def _attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        return _error(error)
    finally:
        set_faults()


def _error(error: Exception) -> dict[str, str]:
    return {"error": type(error).__name__, "message": str(error)}


def _delegate(name: str, folder: Path, recipe: str = "fp16-ios18") -> tuple[Any, tuple[torch.Tensor, ...], Any, Any]:
    module, inputs, program = operators.lowered(name, recipe)
    return module, inputs, program, operators.unpack(program, folder)


def _host() -> dict[str, Any]:
    identity, block = environment_block(simulated_macos=host.simulated_macos(), devices=placement.available_devices())
    return {
        "simulated": coreml.is_simulated_host(),
        "version": host.macos_version(),
        "devices": block["devices"],
        "labelled": bool(block.get("simulated")) and identity.endswith("-simulated"),
        "unavailable": {unit: CoreMLUnit(unit).unavailable("iOS18") for unit in _UNITS},
        "too_new": CoreMLUnit("all").unavailable("iOS26"),
    }


def _operator(name: str, root: Path, recipe: str = "fp16-ios18") -> dict[str, Any]:
    """One lowering, four units. Values as lists, so that the test compares them and not this side."""
    module, inputs, program, delegate = _delegate(name, root / f"op-{name}-{recipe}", recipe)
    eager = copy.deepcopy(module)(*inputs)  # a copy: the module with state changes
    eager = eager if isinstance(eager, tuple) else (eager,)
    reference = mil.load(delegate.package)
    result: dict[str, Any] = {"eager": [_plain(tensor) for tensor in eager], "units": {}}
    for unit in _UNITS:
        opened = CoreMLUnit(unit).open(delegate)
        arrays = operators.features_of(program, inputs, opened.features)
        before = [array.copy() for array in arrays]
        notes = opened.plan()
        prediction = opened.predict(arrays)
        state = reference.make_state("main")
        direct = reference(dict(zip(delegate.input_names, arrays, strict=True)), state=state)
        result["units"][unit] = {
            "outputs": [_plain(t) for t in operators.user_outputs(program, prediction.outputs)],
            "features": [[f.dtype, list(f.shape or ())] for f in opened.features],
            "output_dtypes": [str(array.dtype) for array in prediction.outputs],
            "contiguous": all(array.flags.c_contiguous for array in prediction.outputs),
            "inputs_untouched": all(np.array_equal(a, b) for a, b in zip(arrays, before, strict=True)),
            "equals_reference": all(
                array.shape == (direct[n].shape or (1,)) and np.array_equal(array, direct[n].reshape(array.shape))
                for n, array in zip(delegate.output_names, prediction.outputs, strict=True)
            ),
            "notes": _said(notes + prediction.notes),
            "mil_ops": opened.mil_ops,
            "placement": opened.placement,
        }
        opened.close()
    return result


def _partial() -> dict[str, Any]:
    """Two delegates with a fallback operator between them, through the runner of whole programs."""
    torch.manual_seed(0)
    module, inputs = operators.partly_delegated()
    program = operators.lower_module(module, inputs)
    return {
        "delegates": len(program.delegates),
        "fallback": program.fallback_ops,
        "eager": _plain(module(*inputs)),
        "units": {unit: _plain(run_program(program, CoreMLUnit(unit), inputs).outputs[0]) for unit in _UNITS},
    }


def _said(notes: Iterable[Note]) -> list[str]:
    return [str(note) for note in notes]


def _plain(tensor: torch.Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype), "shape": list(tensor.shape), "values": tensor.reshape(-1).tolist()}


def _state(root: Path) -> dict[str, Any]:
    """State lasts over the calls of one open delegate, and starts anew with the next."""
    _, inputs, program, delegate = _delegate("state", root / "state")
    seen = []
    for _ in range(2):
        opened = CoreMLUnit("all").open(delegate)
        arrays = operators.features_of(program, inputs, opened.features)
        seen.append([opened.predict(arrays) for _ in range(3)])
        left = {name: value.tolist() for name, value in opened.read_state().items()}
        opened.close()
    import libcoremlpython

    played, libcoremlpython.simulated_macos = libcoremlpython.simulated_macos, (14, 4)
    try:
        too_old = _attempt(lambda: CoreMLUnit("all").open(delegate))
    finally:
        libcoremlpython.simulated_macos = played
    return {
        "input": inputs[0].tolist(),
        "outputs": [[prediction.outputs[0].tolist() for prediction in run] for run in seen],
        "left": left,
        "notes": _said(note for run in seen for prediction in run for note in prediction.notes),
        "too_old": too_old,
    }


def _strictness(root: Path) -> dict[str, Any]:
    """What the native side refuses, and that our conversion turns each of it into something it takes."""
    _, _, _, delegate = _delegate("relu", root / "strict")
    opened = CoreMLUnit("cpu_only").open(delegate)
    good = np.arange(6, dtype=np.float32).reshape(2, 3)
    frozen = good.copy()
    frozen.flags.writeable = False
    raw = {
        "int64": good.astype(np.int64),
        "int16": good.astype(np.int16),
        "uint8": good.astype(np.uint8),
        "bool": good > 0,
        "float16": good.astype(np.float16),
        "rank 0": np.array(1, np.float32),
        "read-only": frozen,
        "negative strides": good[:, ::-1],
        "wrong shape": good.T,
        "list": good.tolist(),
        "declared otherwise": good.astype(np.int32),
    }
    proxy = opened._model._proxy
    ours = {}
    for case in ("float16", "read-only", "negative strides"):
        ours[case] = opened.predict([raw[case]]).outputs[0].tolist()
    ours["fortran"] = opened.predict([np.asfortranarray(good)]).outputs[0].tolist()
    name = delegate.input_names[0]
    result = {
        "refused": {case: _attempt(proxy.predict, {name: value}, None) for case, value in raw.items()},
        "unnamed": _attempt(proxy.predict, {"x": good}, None),
        "accepted": sorted(proxy.predict({name: good}, None)),
        "ours": ours,
        "count": _attempt(opened.predict, [good, good]),
    }
    opened.close()
    result["closed"] = _attempt(opened.predict, [good])
    return result


def _compiled_once(root: Path) -> dict[str, Any]:
    """Compilations for two unpackings of one program on four units, and what is left on disk."""
    import libcoremlpython

    _, inputs, program, first = _delegate("mul", root / "once-1")
    second = operators.unpack(program, root / "once-2")
    _, _, _, other = _delegate("sub", root / "once-3")
    compiled: list[str] = []
    original = libcoremlpython._MLModelProxy.compileModel

    def counting(path: str) -> str:
        compiled.append(path)
        return original(path)

    libcoremlpython._MLModelProxy.compileModel = staticmethod(counting)
    try:
        overlapping = [CoreMLUnit(unit).open(first) for unit in _UNITS]
        folder = overlapping[0]._compiled.folder
        for opened in overlapping:
            opened.close()
            opened.close()  # closing twice is closing once
        for unit in _UNITS:
            opened = CoreMLUnit(unit).open(second)
            opened.predict(operators.features_of(program, inputs, opened.features))
            opened.close()
        same = len(compiled)
        kept = folder.is_dir()
        CoreMLUnit("all").open(other).close()
        return {"same": same, "kept": kept, "other": len(compiled), "dropped": not folder.exists()}
    finally:
        libcoremlpython._MLModelProxy.compileModel = staticmethod(original)


def _faults(root: Path) -> dict[str, Any]:
    """Each fault on one unit: what that unit says, and that another is not touched."""
    _, inputs, program, delegate = _delegate("mul", root / "faults")

    def run(unit: str) -> dict[str, Any]:
        opened = CoreMLUnit(unit).open(delegate)
        try:
            prediction = opened.predict(operators.features_of(program, inputs, opened.features))
            return {
                "outputs": [_plain(torch.from_numpy(a)) for a in prediction.outputs],
                "notes": _said(prediction.notes),
            }
        finally:
            opened.close()

    result: dict[str, Any] = {"none": run("cpu_and_gpu")}
    for name in ("load_error", "predict_error", "wrong_value", "second_answer", "missing_output"):
        set_faults(**{name: {"units": ["CPU_AND_GPU"]}})
        result[name] = {"hit": _attempt_keeping(run, "cpu_and_gpu"), "spared": _attempt_keeping(run, "cpu_only")}
    set_faults(nan_above={"units": ["CPU_AND_NE"], "value": 1.0})
    result["nan_above"] = {"hit": _attempt_keeping(run, "cpu_and_ne"), "spared": _attempt_keeping(run, "all")}
    set_faults(compile_error=True)
    coreml._compiled.clear()
    result["compile_error"] = {"hit": _attempt_keeping(run, "all")}
    set_faults()
    result["left_behind"] = [entry.folder.name for entry in coreml._compiled._by_digest.values() if entry.users]
    (delegate.package / "Manifest.json").unlink()
    result["damaged"] = _attempt(run, "all")
    return result


def _attempt_keeping(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        return _error(error)


def _deaths(root: Path) -> dict[str, Any]:
    """Faults that end the process or stop it, each in a fork of its own: the signal, or `running`."""
    _, inputs, program, delegate = _delegate("add", root / "deaths")

    def work() -> None:
        opened = CoreMLUnit("all").open(delegate)
        opened.predict(operators.features_of(program, inputs, opened.features))

    work()  # imports are done before forking
    result: dict[str, Any] = {"none": _fate(work)}
    for name in ("load_abort", "predict_abort", "predict_segfault", "load_hang", "predict_hang"):
        set_faults(**{name: True})
        result[name] = _fate(work, patience=0.5 if name.endswith("hang") else 30)
    set_faults()
    load_plan = ct.models.compute_plan.MLComputePlan.load_from_path
    result["plan_of_package"] = _fate(lambda: load_plan(str(delegate.package)))
    result["plan_of_package_refused"] = _attempt(placement.placement_of, delegate.package, ct.ComputeUnit.ALL)
    return result


def _fate(work: Callable[[], object], patience: float = 30) -> str:
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # writing the core of so large a process takes long
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return (
                signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
            )
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "running"


def _placement(root: Path) -> dict[str, Any]:
    import libcoremlpython

    _, inputs, program, delegate = _delegate("linear", root / "placement")

    def on(unit: str) -> dict[str, Any]:
        opened = CoreMLUnit(unit).open(delegate)
        notes = opened.plan()
        notes += opened.predict(operators.features_of(program, inputs, opened.features)).notes
        opened.close()
        return {"placement": opened.placement, "aten": opened.aten_placement, "notes": _said(notes)}

    result: dict[str, Any] = {"plain": {unit: on(unit) for unit in _UNITS}}
    for name in ("plan_missing", "plan_error", "plan_unknown", "ane_unsupported"):
        set_faults(**{name: True})
        result[name] = on("cpu_and_ne")
    set_faults(ane_unsupported={"value": ["linear"]})
    result["partly"] = on("cpu_and_ne")
    set_faults()
    result["joined"] = {name: _attempt(_joined, *program) for name, program in _placed_programs().items()}
    result["planted"] = _planted_joins(root)
    result["attracting"] = _attracting()
    played, libcoremlpython.simulated_macos = libcoremlpython.simulated_macos, (14, 3)
    try:
        _, _, _, older = _delegate("linear", root / "placement-old", "fp16-ios17")
        opened = CoreMLUnit("all").open(older)
        result["too_old"] = {
            "notes": _said(opened.plan()),
            "placement": opened.placement,
            "aten": opened.aten_placement,
        }
        opened.close()
    finally:
        libcoremlpython.simulated_macos = played
    return result


def _placed_programs() -> dict[str, tuple[torch.nn.Module, tuple[torch.Tensor, ...]]]:
    """Programs whose operators become one operator, several, another's, or nothing."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(2, 3, 3), torch.nn.Hardswish(), torch.nn.Flatten(), torch.nn.Linear(27, 4)]
    x, y = torch.linspace(-2, 2, 6).reshape(2, 3), torch.linspace(0, 1, 6).reshape(2, 3)
    return {
        "several": (torch.nn.Sequential(*layers), (torch.linspace(-2, 2, 50).reshape(1, 2, 5, 5),)),
        "decomposed": (operators.Function(torch.logaddexp), (x, y)),
        "fused": (operators.Function(lambda x: torch.relu(x @ torch.ones(3, 4) + torch.ones(4))), (x,)),
        "cast": (operators.Function(lambda x: x.to(torch.int32)), (x,)),
        "two_delegates": operators.partly_delegated(),
    }


def _joined(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> dict[str, Any]:
    """A whole program on `cpu_and_ne`, which refuses two MIL types."""
    program = operators.lower_module(module, inputs)
    set_faults(ane_unsupported={"value": ["sigmoid_hard", "sub"]})
    result = run_program(program, CoreMLUnit("cpu_and_ne"), inputs)
    return {
        "aten": result.aten_placement,
        "mil": result.placement,
        "mil_ops": result.mil_ops,
        "delegated": program.delegated_ops,
        "notes": _said(note for note in result.notes if note.code is NoteCode.NOT_ON_ANE),
    }


def _attracting() -> list[dict[str, Any]]:
    """Records of cases made to attract the ANE, one of an operator that it refuses; on two units."""
    cases = [case for case in ane.cases() if case.op in ("aten.gelu.default", "aten.softmax.int")]
    set_faults(ane_unsupported={"value": ["softmax"]})
    checker = Checker("here")
    recipe = Recipe.parse("fp16-ios18")
    return [checker.check(Check.of(case, recipe, unit)).to_json() for case in cases for unit in ("cpu_and_ne", "all")]


def _planted_joins(root: Path) -> dict[str, Any]:
    """What is said of convolution, hardswish and linear layer when what they are joined by is not right."""
    program = operators.lower_module(*_placed_programs()["several"])
    (root / "planted").mkdir()
    right = program.delegates[0].unpack(root / "planted")
    handles = right.debug_info["debugSymbolToHandles"]
    turned = {symbol: [handle % 4 + 1 for handle in found] for symbol, found in handles.items()}
    renamed = tuple(replace(node, names=("nobody",)) for node in right.nodes)
    planted = {
        "right": right,
        "handles turned": replace(right, debug_info={"debugSymbolToHandles": turned}),
        "no handles": replace(right, debug_info={}),
        "names lost": replace(right, nodes=renamed),
        "both": replace(right, nodes=renamed, debug_info={"debugSymbolToHandles": turned}),
    }
    set_faults(ane_unsupported={"value": ["sigmoid_hard"]})
    result = {}
    for name, delegate in planted.items():
        opened = CoreMLUnit("cpu_and_ne").open(delegate)
        notes = opened.plan()
        opened.close()
        result[name] = {"aten": opened.aten_placement, "notes": _said(notes)}
    set_faults()
    return result


def _positions(root: Path) -> dict[str, Any]:
    """Metadata in another order than the package's description: positions are the metadata's."""

    def turned_round(name: str) -> list[Any]:
        _, inputs, program, delegate = _delegate(name, root / f"positions-{name}")
        turned = UnpackedDelegate(delegate.package, delegate.input_names[::-1], delegate.output_names[::-1])
        opened = CoreMLUnit("all").open(turned)
        outputs = opened.predict(operators.features_of(program, inputs, opened.features)).outputs
        opened.close()
        return [array.tolist() for array in outputs]

    return {name: turned_round(name) for name in ("sub", "two_outputs")}


def _contradictions(root: Path) -> dict[str, Any]:
    _, _, _, delegate = _delegate("two_outputs", root / "contradictions")

    def with_names(inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
        return _attempt(CoreMLUnit("all").open, UnpackedDelegate(delegate.package, inputs, outputs))

    names, outputs = delegate.input_names, delegate.output_names
    import libcoremlpython

    coreml._compiled.clear()
    played, libcoremlpython.simulated_macos = libcoremlpython.simulated_macos, (14, 4)
    try:
        too_new = with_names(names, outputs)
    finally:
        libcoremlpython.simulated_macos = played
    return {
        "too_new": too_new,
        "output": with_names(names, (*outputs, "ghost")),
        "input": with_names(("ghost",), outputs),
        "unnamed input": with_names((), outputs),
    }


def _mlmodel(root: Path) -> dict[str, Any]:
    """coremltools' other door, which turns a load failure into a warning: the facts our own check rests on."""
    _, inputs, _, delegate = _delegate("linear", root / "mlmodel")
    model = ct.models.MLModel(str(delegate.package))
    answer = model.predict({delegate.input_names[0]: inputs[0].numpy()})
    compiled = Path(model.get_compiled_model_path())
    name, output = delegate.input_names[0], delegate.output_names[0]
    # The other entrances of the fake, through coremltools' own code.
    asset = MLModelAsset.from_path(str(compiled))
    blobs = {f"weights/{path.name}": path.read_bytes() for path in delegate.package.rglob("weights/*.bin")}
    in_memory = MLModelAsset.from_memory(model.get_spec().SerializeToString(), blobs)
    half = {name: inputs[0].numpy().astype(np.float16)}
    doors = {
        "batch": model.predict([{name: inputs[0].numpy()}])[0][output].tolist(),
        "asset": ct.models.CompiledMLModel.from_asset(asset).predict({name: inputs[0].numpy()})[output].tolist(),
        "memory": ct.models.CompiledMLModel.from_asset(in_memory).predict(half)[output].tolist(),
    }
    durations = [model.load_duration_in_nano_seconds, model.last_predict_duration_in_nano_seconds]
    del model, asset
    set_faults(load_error={"value": "no network today"})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        broken = ct.models.MLModel(str(delegate.package))
    return {
        "answer": answer[delegate.output_names[0]].tolist(),
        "doors": doors,
        "durations": durations,
        "dict_after_predict": str(half[name].dtype),
        "compiled_gone": not compiled.exists(),
        "proxy_missing": getattr(broken, "__proxy__") is None,  # noqa: B009 - a plain access would be name-mangled
        "warnings": [str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)],
    }
