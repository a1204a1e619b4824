"""Python source of `torch.fx` graph modules: generated when it is asked for, not each time a graph changes.

Passes make, copy and change some fifty graph modules in a lowering of a small operator, and each time torch generates
the source of its `forward` and compiles it, an eighth of a check. Nearly all of them are interpreted node by node or
copied, and their source is never looked at. Here `recompile` leaves a note of what is to be done; torch's own
`recompile` does it as soon as somebody asks for `forward` (to call it, or for its signature), `code` or what belongs to
it.

torch does the same with a class of its own for its compiler, `torch.fx._lazy_graph_module`; there `forward` has no
signature of its own until it is called, and `torch.export` asks for that.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from torch.fx import GraphModule
from torch.fx.graph import _PyTreeCodeGen

_own_recompile: Callable[[GraphModule], Any] = GraphModule.recompile
#: What torch's `recompile` leaves in the module's `__dict__` besides the specs of inputs and outputs.
_MADE = ("_code", "_lineno_map", "_prologue_start")
#: What takes a copy of the `__dict__` before it asks for the source.
_PICKLING = ("__reduce__", "__reduce_package__")


def install() -> None:
    """Put the deferring `recompile` in the place of torch's; calling it again does nothing."""
    if GraphModule.recompile is recompile:
        return
    for name in _MADE:
        setattr(GraphModule, name, _Made(name))
    for name in _PICKLING:
        setattr(GraphModule, name, _made_before(getattr(GraphModule, name)))
    GraphModule.recompile = recompile  # type: ignore[method-assign]


def recompile(module: GraphModule) -> Any:
    """As `GraphModule.recompile`; the source it returns is generated when it is used."""
    cls: Any = type(module)
    if isinstance(module._graph._codegen, _PyTreeCodeGen):
        module._in_spec = module._graph._codegen.pytree_info.in_spec
        module._out_spec = module._graph._codegen.pytree_info.out_spec
    for name in _MADE:
        module.__dict__.pop(name, None)
    if "__call__" not in vars(cls):
        cls.__call__ = _first_call
    cls.forward = _Forward(module)
    module._recompile_submodules()
    return _Source(module)


def is_deferred(module: GraphModule) -> bool:
    """Whether the module's source is still to be generated."""
    return isinstance(vars(type(module)).get("forward"), _Forward)


def _make(module: GraphModule) -> Any:
    """Do what was deferred. The class of a module is its own, and torch puts `forward` and `__call__` there."""
    cls: Any = type(module)
    if vars(cls).get("__call__") is _first_call:
        del cls.__call__  # torch would take it for the class' own, and wrap it
    return _own_recompile(module)


def _first_call(module: GraphModule, *args: Any, **kwargs: Any) -> Any:
    _make(module)
    return module(*args, **kwargs)


class _Forward:
    """`forward` of a module whose source is still to be generated."""

    def __init__(self, module: GraphModule) -> None:
        self._module = weakref.ref(module)  # the class is the module's, and lives longer

    def __get__(self, module: GraphModule | None, owner: type) -> Any:
        found = self._module() if module is None else module
        if found is None:
            raise AttributeError("forward of a graph module that is gone")
        _make(found)
        return found.forward if module is not None else vars(owner)["forward"]


class _Made:
    """An attribute that torch's `recompile` sets on the module, which then stands before this."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, module: GraphModule | None, owner: type) -> Any:
        if module is None:
            return self
        if not is_deferred(module):
            raise AttributeError(self._name)
        _make(module)
        return module.__dict__[self._name]


class _Source:
    """Stands for the `PythonCode` that torch's `recompile` returns."""

    def __init__(self, module: GraphModule) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(_make(self._module), name)


def _made_before(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def made(module: GraphModule, *args: Any) -> Any:
        if is_deferred(module):
            _make(module)
        return original(module, *args)

    return made
