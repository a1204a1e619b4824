"""Cases of a user's own file: each public function without parameters that returns `(module, example_inputs)`, with
options or without."""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.cases import exported_file
from harness.cases.case import Built, Case, CaseFault
from harness.cases.torchvision_ops import declare_on_import
from harness.evidence.ids import USER, UserCase
from harness.evidence.vocabulary import HarnessError, Kind, Level

SEED = 0


def functions_in_sight(path: Path) -> int:
    """How many cases the text of a file promises, itself not run: functions at the top that `load` would take.

    No more than a guess: a file may make its functions otherwise. 0 for what is no Python.
    """
    try:
        body = ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return 0
    functions = [node for node in body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return sum(not ast.unparse(node.args) for node in functions)


def load_case(path: Path, case_id: str) -> Case:
    """The case of a file that an id names. Raises `HarnessError` as `load` does, and for an id of another kind."""
    named = UserCase.of(case_id)
    if named is None:
        raise HarnessError(f"{case_id}: not the id of a case of a user's own file")
    return load(path, named.function)[0]


def load(path: Path, name: str | None = None) -> list[Case]:
    """The cases of a file, or the one named: of a `.pt2` its program, else functions, which are not called here.

    Raises `HarnessError` when the file does not exist, cannot be read, or holds no such case.
    """
    if path.suffix == exported_file.SUFFIX:
        if name not in (None, exported_file.NAME):
            raise HarnessError(f"{path}: no case named {name!r}: it holds one program, {exported_file.NAME}")
        return [exported_file.case(path)]
    functions = _functions(_import(path, path.absolute()))
    if name is not None:
        if name not in functions:
            known = ", ".join(functions) or "none"
            raise HarnessError(
                f"{path}: no case named {name!r} (a public function without parameters); it has: {known}"
            )
        functions = {name: functions[name]}
    if not functions:
        raise HarnessError(f"{path}: no case: a case is a public function without parameters")
    return [_case(path, function_name, function) for function_name, function in functions.items()]


@functools.cache
def _import(path: Path, absolute: Path) -> ModuleType:
    """The file as a module, once. `path` is the user's name for it, which errors repeat."""
    if not path.is_file():
        raise HarnessError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(f"_checked_{path.stem}", absolute)
    if spec is None or spec.loader is None:
        raise HarnessError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    declare_on_import()
    # A user's file may import its neighbours, as it does when it is run.
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise HarnessError(f"{path}: does not import: {type(error).__name__}: {_one_line(error)}") from None
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)
    return module


def _functions(module: ModuleType) -> dict[str, Callable[[], Any]]:
    """Public functions defined in the file itself, in its order, that can be called without arguments."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and value.__module__ == module.__name__
        and not inspect.signature(value).parameters
    }


def _case(path: Path, name: str, function: Callable[[], Any]) -> Case:
    return Case(
        id=UserCase(path.stem, name).id,
        kind=Kind.USER,
        op=f"{USER}.{name}",
        api=name,
        dtype="mixed",
        origin="user file",
        level=Level.SMOKE,
        build=functools.partial(_build, path, name, function),
        whole_model=True,
        named=False,
    )


def _build(path: Path, name: str, function: Callable[[], Any]) -> Built:
    """Raises `NoCase` when the function returns something else, `CaseFault` when it raises."""
    import torch

    from harness.cases.user_forms import built_of

    torch.manual_seed(SEED)
    try:
        result = function()
    except (Exception, SystemExit) as error:
        raise CaseFault(f"{name}() raised {type(error).__name__}: {_one_line(error)}") from None
    return built_of(result, f"{path.name}::{name}", SEED)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
