from __future__ import annotations

import copy
import gc
import inspect
import pickle
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.fx import GraphModule

from harness.lowering.speedups import recompile
from harness.lowering.speedups.recompile import is_deferred

X = torch.linspace(-1, 1, 4)


class Twice(torch.nn.Module):
    def forward(self, x, offset=1.0):  # without annotations, which torch cannot pickle as text
        return x * 2 + offset


@pytest.fixture(autouse=True)
def deferring() -> Iterator[None]:
    names = (*recompile._MADE, *recompile._PICKLING, "recompile")
    before = {name: vars(GraphModule)[name] for name in names if name in vars(GraphModule)}
    recompile.install()
    yield
    for name in names:
        if name in before:
            setattr(GraphModule, name, before[name])
        else:
            delattr(GraphModule, name)


@pytest.fixture
def module() -> GraphModule:
    return torch.fx.symbolic_trace(Twice())


def plain(make: Callable[[], Any]) -> Any:
    """What torch's own does."""
    with pytest.MonkeyPatch.context() as own:
        own.setattr(GraphModule, "recompile", recompile._own_recompile)
        return make()


def test_nothing_is_generated_until_somebody_asks(module: GraphModule) -> None:
    assert is_deferred(module)
    assert torch.equal(module(X), Twice()(X))
    assert not is_deferred(module)
    module.recompile()
    assert is_deferred(module)


@pytest.mark.parametrize(
    "ask",
    [
        lambda module: module.code,
        lambda module: str(module),
        lambda module: module._lineno_map,
        lambda module: module._prologue_start,
        lambda module: str(inspect.signature(module.forward)),
        lambda module: str(inspect.signature(type(module).forward)),
        lambda module: module.recompile().src,
        lambda module: sorted(module.recompile().globals),
        lambda module: module.forward(X, 3.0).tolist(),
        lambda module: module(X, offset=3.0).tolist(),
        lambda module: copy.deepcopy(module).code,
        lambda module: pickle.loads(pickle.dumps(module)).code,
        lambda module: module.print_readable(print_output=False),
    ],
)
def test_what_is_asked_for_is_what_torch_gives(ask: Callable[[GraphModule], Any], module: GraphModule) -> None:
    assert ask(module) == plain(lambda: ask(torch.fx.symbolic_trace(Twice())))


def test_a_changed_graph_is_what_runs(module: GraphModule) -> None:
    module(X)
    for node in module.graph.nodes:
        if node.target is torch.mul or getattr(node.target, "__name__", "") == "mul":
            node.args = (node.args[0], 5)
    module.recompile()
    assert torch.equal(module(X), X * 5 + 1)


def test_a_graph_put_in_place_is_what_runs(module: GraphModule) -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_function(torch.neg, (x,)))
    module.graph = graph
    assert is_deferred(module)
    assert torch.equal(module(X), -X)


def test_modules_within_are_deferred_and_run(module: GraphModule) -> None:
    outer = torch.nn.Module()
    outer.inner = module
    graph = torch.fx.Graph()
    graph.output(graph.call_module("inner", (graph.placeholder("x"),)))
    whole = GraphModule(outer, graph)
    module(X)
    whole.recompile()
    assert is_deferred(module)
    assert torch.equal(whole(X), Twice()(X))


def test_an_error_in_the_call_is_torchs(module: GraphModule) -> None:
    def raised(call: Callable[[], Any]) -> tuple[type, str]:
        with pytest.raises(Exception) as caught:
            call()
        return type(caught.value), str(caught.value)

    theirs = plain(lambda: raised(lambda: torch.fx.symbolic_trace(Twice())(None)))
    assert raised(lambda: module(None)) == theirs
    assert raised(lambda: module(None)) == theirs


def test_a_missing_attribute_is_missing(module: GraphModule) -> None:
    with pytest.raises(AttributeError):
        module.no_such_attribute  # noqa: B018


def test_the_deferred_keeps_no_module_alive() -> None:
    module = torch.fx.symbolic_trace(Twice())
    gone, kind = weakref.ref(module), type(module)
    del module
    gc.collect()
    assert gone() is None
    with pytest.raises(AttributeError, match="gone"):
        kind.forward  # noqa: B018


def test_installing_twice_is_once() -> None:
    before = GraphModule.__reduce__
    recompile.install()
    assert GraphModule.__reduce__ is before


def test_an_exported_program_is_the_same() -> None:
    def exported() -> str:
        return str(torch.export.export(Twice(), (X,)).run_decompositions())

    assert exported() == plain(exported)
