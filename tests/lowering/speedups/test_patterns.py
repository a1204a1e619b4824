"""The patterns of coremltools' fusions from memory: the same fusions, and the same left behind, as when built anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil.passes.defs import optimize_activation as passes
from coremltools.converters.mil.mil.passes.pass_registry import PASS_REGISTRY

from harness.lowering.speedups import patterns
from harness.lowering.speedups.patterns import Counters

BY_NAME = pytest.mark.parametrize(("owner", "method", "drawn"), patterns._PATTERNS)


@pytest.fixture(autouse=True)
def _originals(monkeypatch: pytest.MonkeyPatch) -> None:
    """coremltools' own, whatever an earlier test has installed."""
    for owner, method, _ in patterns._PATTERNS:
        build = getattr(getattr(passes, owner), method)
        monkeypatch.setattr(getattr(passes, owner), method, staticmethod(getattr(build, "__wrapped__", build)))


def left_by(build: Callable[[], Any]) -> tuple[Counters, float]:
    """What two calls add to the counters, and the next random number."""
    np.random.seed(0)
    before = Counters.now()
    build(), build()
    return Counters.now() - before, np.random.random_sample()


@BY_NAME
def test_the_same_is_left_behind(owner: str, method: str, drawn: int) -> None:
    build = getattr(getattr(passes, owner), method)
    assert left_by(patterns.remembering(build, drawn)) == left_by(build)


@BY_NAME
def test_each_is_built_once(owner: str, method: str, drawn: int) -> None:
    build = getattr(getattr(passes, owner), method)
    remembered = patterns.remembering(build, drawn)
    first = remembered()
    assert remembered() is first
    assert operators(first) == operators(build())
    assert len(operators(first)) >= 5


def operators(program: Any) -> list[tuple[str, str]]:
    """Those that are compared to a model's, by type and by the name that the fusion knows them by."""
    return [(op.op_type, op.name) for op in program.functions["main"].operations if op.op_type != "const"]


def gelu(first: bool) -> Any:
    """In one of the two forms that coremltools knows, with its neighbours."""

    @mb.program(input_specs=[mb.TensorSpec(shape=(2, 3))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        x = mb.sin(x=x)
        inner = mb.add(x=x, y=mb.mul(x=0.044715, y=mb.pow(x=x, y=3.0)))
        one = mb.add(x=1.0, y=mb.tanh(x=mb.mul(x=0.7978845834732056, y=inner)))
        whole = mb.mul(x=mb.mul(x=0.5, y=one), y=x) if first else mb.mul(x=mb.mul(x=0.5, y=x), y=one)
        return mb.cos(x=whole)

    return program


def prelu(transposed: bool) -> Any:
    @mb.program(input_specs=[mb.TensorSpec(shape=(1, 3, 2, 4))], opset_version=ct.target.iOS16)
    def program(x: Any) -> Any:
        x = mb.sin(x=x)
        x = mb.transpose(x=x, perm=[0, 2, 3, 1]) if transposed else x
        shape = (3,) if transposed else (3, 1, 1)
        alpha = np.array([0.1, 0.2, 0.3], np.float32).reshape(shape)
        below = mb.mul(x=mb.relu(x=mb.mul(x=x, y=-1.0)), y=alpha)
        return mb.cos(x=mb.add(x=mb.relu(x=x), y=below))

    return program


@pytest.mark.parametrize(
    ("name", "made", "fused"),
    [
        ("fuse_gelu_tanh_approximation", gelu, "gelu"),
        ("fuse_prelu", prelu, "prelu"),
    ],
)
def test_each_form_is_fused_again_and_again(name: str, made: Callable[[bool], Any], fused: str) -> None:
    patterns.install()
    for form in (True, False, True, False):
        program = made(form)
        assert not program.find_ops(op_type=fused)
        PASS_REGISTRY[f"common::{name}"](program)
        assert len(program.find_ops(op_type=fused)) == 1


def test_installed_once() -> None:
    patterns.install()
    first = passes.FusePreluPattern2.get_prelu_pattern
    patterns.install()
    assert passes.FusePreluPattern2.get_prelu_pattern is first
    assert hasattr(first, "__wrapped__")
