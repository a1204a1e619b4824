from __future__ import annotations

import pytest
import torch

from harness.cases import documentation
from harness.cases.find import find
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Level

CASES = {case.id: case for case in documentation.cases()}


def test_examples_have_names_and_recipes_of_their_own() -> None:
    assert len(CASES) == len(documentation.EXAMPLES)
    for case in CASES.values():
        assert find(case.id) == case
        assert case.level is Level.STANDARD
        assert [Recipe.parse(name).name for name in case.recipes] == list(case.recipes)
    pages = {example.page for example in documentation.EXAMPLES}
    assert pages == {"overview", "partitioner", "quantization", "troubleshooting"}


@pytest.mark.parametrize("case_id", [name for name in CASES if "overview" not in name and "pt2e" not in name])
def test_an_example_is_the_same_each_time_and_runs_in_eager(case_id: str) -> None:
    first, second = CASES[case_id].build(), CASES[case_id].build()
    assert not first.module.training
    with torch.no_grad():
        results = [built.module(*built.inputs) for built in (first, second)]
    assert torch.equal(*results)
    assert torch.isfinite(results[0]).all()


def test_quantized_examples_are_quantized() -> None:
    plain = documentation._language_model().state_dict()
    for name in ("torchao", "codebook"):
        module = CASES[f"documentation/quantization/float32/{name}"].build().module
        for key in ("table.weight", "hidden.weight"):
            assert type(module.state_dict()[key]) is not type(plain[key])


def test_the_pairs_of_shapes_that_do_not_belong_together_are_to_be_refused() -> None:
    built = CASES["documentation/partitioner/float32/enumerated-shapes"].build()
    listed = dict(built.partitioning.enumerated)
    for arguments in built.own.arguments:
        shapes = tuple(tuple(one.shape) for one in arguments.inputs)
        assert shapes in list(zip(listed["x"], listed["y"], strict=True))
    for arguments in built.refused:
        assert tuple(tuple(one.shape) for one in arguments.inputs) not in list(
            zip(listed["x"], listed["y"], strict=True)
        )
