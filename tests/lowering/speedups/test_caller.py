"""The partitioner's warning of the deprecated way, with the speedup and without: asked by functions of ExecuTorch's
names."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from executorch.backends.apple.coreml.partition import CoreMLPartitioner, coreml_partitioner

from harness.lowering.speedups import caller

#: What calls the partitioner: a function, and the file that it is in.
OF = {
    "the way of today": [("to_backend", "exir/program/_program.py"), ("to_edge_transform_and_lower", "x.py")],
    "the deprecated way": [("to_backend", "exir/program/_program.py"), ("main", "x.py")],
    "another's to_backend": [("to_backend", "x.py")],
    "nobody": [],
}


@pytest.fixture(autouse=True)
def _original(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coreml_partitioner, "inspect", inspect)


def called(by: list[tuple[str, str]], ask: Callable[[], bool]) -> bool:
    """The answer where it is asked by these functions, each called by the next."""
    for name, file in by:
        scope = {"ask": ask}
        exec(compile(f"def {name}(): return ask()", file, "exec"), scope)
        ask = scope[name]
    return ask()


@pytest.mark.parametrize("by", OF.values(), ids=OF.keys())
def test_the_same_is_told(by: list[tuple[str, str]]) -> None:
    ask = CoreMLPartitioner()._check_if_called_from_to_backend
    plain = called(by, ask)
    caller.install()
    assert called(by, ask) is plain
    assert plain is (by is OF["the deprecated way"])


def test_every_frame_is_named_as_by_inspect() -> None:
    caller.install()
    assert isinstance(coreml_partitioner.inspect, caller._Inspect)
    both = coreml_partitioner.inspect.stack(), inspect.stack()
    assert both[0] == [(info.filename, info.function) for info in both[1]]
    assert coreml_partitioner.inspect.signature is inspect.signature


def test_installed_once() -> None:
    caller.install()
    first = coreml_partitioner.inspect
    caller.install()
    assert coreml_partitioner.inspect is first
