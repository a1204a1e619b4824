"""Control flow of PyTorch (`torch.cond`, `torch.while_loop`) run as plain Python, for modes that watch operators.

Called in eager PyTorch it is compiled first, where no mode of ours may look; under a mode it is an operator that takes
functions, which only who knows it can run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch._higher_order_ops import utils
from torch.utils._python_dispatch import TorchDispatchMode

#: Through this function, where torch has it, eager calls of control flow are compiled.
_COMPILED = "_hop_compile_and_call"


@contextlib.contextmanager
def in_plain_python() -> Iterator[None]:
    """Within it, control flow is called without being compiled."""
    original = getattr(utils, _COMPILED, None)
    if original is None:
        yield
        return

    def call(function: Callable[..., Any], args: Any, kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))

    setattr(utils, _COMPILED, call)
    try:
        yield
    finally:
        setattr(utils, _COMPILED, original)


def run_plainly(mode: TorchDispatchMode, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What an operator that takes functions gives, each operator in the functions seen by `mode`."""
    run = _PLAIN.get(str(func))
    if run is None:
        return func(*args, **kwargs)
    with mode:
        return run(*args, **kwargs)


def _cond(predicate: Any, true: Callable[..., Any], false: Callable[..., Any], operands: Any = ()) -> Any:
    return (true if bool(predicate) else false)(*operands)


def _while_loop(condition: Callable[..., Any], body: Callable[..., Any], carried: Any, additional: Any = ()) -> Any:
    while bool(condition(*carried, *additional)):
        made = body(*carried, *additional)
        carried = made if isinstance(made, (tuple, list)) else (made,)
    return tuple(value.clone() if isinstance(value, torch.Tensor) else value for value in carried)


_PLAIN: dict[str, Callable[..., Any]] = {"cond": _cond, "while_loop": _while_loop}
