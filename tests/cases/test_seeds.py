"""The hand-written seed calls: harness/cases/seeds.txt."""

import importlib
from pathlib import Path

import pytest
import torch

import harness.cases
from harness.cases.calls import Name, TensorSpec, read_calls
from harness.cases.drawing import draw
from harness.cases.index.universe import REGISTERING
from harness.evidence.universe import read_universe
from harness.publish.coverage import read_reasons

SEEDS = read_calls(Path(harness.cases.__file__).with_name("seeds.txt").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def _registered():
    for module in REGISTERING:
        importlib.import_module(module)


def _call(seed):
    """What the overload itself gives in eager PyTorch."""
    generator = torch.Generator().manual_seed(0)

    def made(value):
        if isinstance(value, TensorSpec):
            return draw(value, generator)
        if isinstance(value, Name):
            return getattr(torch, value.name)
        return [made(item) for item in value] if isinstance(value, list) else value

    namespace, packet, overload = seed.op.split(".")
    operator = getattr(getattr(getattr(torch.ops, namespace), packet), overload)
    return operator(*map(made, seed.args), **{name: made(value) for name, value in seed.kwargs.items()})


@pytest.mark.parametrize("seed", SEEDS, ids=[seed.op for seed in SEEDS])
def test_a_seed_runs_and_gives_finite_tensors(seed):
    result = _call(seed)
    results = result if isinstance(result, (list, tuple)) else [result]
    assert results
    for tensor in results:
        assert isinstance(tensor, torch.Tensor)
        assert torch.isfinite(tensor.to(torch.complex64 if tensor.is_complex() else torch.float32)).all()


def test_seeds_are_rows_of_the_universe_once_each_and_have_no_reason_not_to_be():
    names = [seed.op for seed in SEEDS]
    assert sorted(set(names)) == sorted(names)
    assert set(names) <= set(read_universe().operators)
    assert set(names).isdisjoint(read_reasons(Path("suites/ops/uncovered.yaml")))


def test_a_seed_is_written_as_it_is_read():
    text = Path(harness.cases.__file__).with_name("seeds.txt").read_text(encoding="utf-8")
    written = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert [str(seed) for seed in SEEDS] == written
