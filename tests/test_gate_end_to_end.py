"""From a broken converter to a red gate: the operator is named, everything else stays as it was."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coremltools.converters.mil.frontend.torch.ops as converters
import pytest
import torch

from harness.cases import find
from harness.check import Checker
from harness.cli import main
from harness.evidence.check import Check
from harness.evidence.environment import environment_block
from harness.evidence.files import Evidence, write_evidence
from harness.evidence.recipe import DEFAULT_RECIPES, Recipe
from harness.lowering import speedups

CASES = (
    "ops/aten.sub.Tensor/float32/opinfo-53be41",
    "ops/aten.add.Tensor/float32/opinfo-b6b781",
    "ops/aten.neg.default/float32/opinfo-1df5b9",
)


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    torch.set_num_threads(1)
    speedups.enable()
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def measure(path: Path) -> Path:
    name, block = environment_block()
    checker = Checker(name)
    records = [
        checker.check(Check.of(find.find(case), Recipe.parse(recipe), "reference"))
        for case in CASES
        for recipe in DEFAULT_RECIPES
    ]
    write_evidence(path, Evidence({name: block}, records))
    return path


class SwappedSub:
    """The converters' MIL builder, subtracting the wrong way round."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        if name != "sub":
            return getattr(self._builder, name)
        return lambda x, y, **rest: self._builder.sub(x=y, y=x, **rest)


def test_a_planted_converter_fault_turns_the_gate_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = measure(tmp_path / "baseline.jsonl")
    again = measure(tmp_path / "again.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(converters, "mb", SwappedSub(converters.mb))
        broken = measure(tmp_path / "broken.jsonl")
    capsys.readouterr()

    for same in (baseline, again):
        assert main(["gate", str(baseline), str(same)]) == 0
        said = capsys.readouterr()
        assert "compared:  6 of 6 checks that the baseline judged" in said.out
        assert said.out.endswith("passes: nothing got worse\n")

    assert main(["gate", str(baseline), str(broken)]) == 1
    said = capsys.readouterr().out
    assert "aten.sub.Tensor" in said
    assert "wrong_value" in said
    assert "aten.add.Tensor" not in said
    assert "aten.neg.default" not in said

    # The other way round nothing got worse.
    assert main(["gate", str(broken), str(baseline)]) == 0
