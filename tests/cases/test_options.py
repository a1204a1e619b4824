"""Options of the partitioner as cases."""

from __future__ import annotations

import inspect

import pytest

from harness.cases import options
from harness.evidence.recipe import Recipe


def test_ids_are_told_apart_and_recipes_are_known() -> None:
    ids = [case.id for case in options.cases()]
    assert len(set(ids)) == len(ids)
    for case in options.cases():
        assert case.recipes
        assert all(Recipe.parse(name) for name in case.recipes)


def test_every_keyword_of_the_backend_has_a_case() -> None:
    pytest.importorskip("executorch")
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    keywords = {*inspect.signature(CoreMLPartitioner).parameters} - {"compile_specs"}
    keywords |= set(inspect.signature(CoreMLBackend.generate_compile_specs).parameters)
    assert keywords == {option.name for option in options.OPTIONS} - {"pairs"}


def test_a_case_is_built_the_same_each_time() -> None:
    counter = next(option for option in options.OPTIONS if option.calls)
    first, second = options.build(counter), options.build(counter)
    assert len(first.calls) == counter.calls
    assert all((one == two).all() for one, two in zip(first.leaves, second.leaves, strict=True))
    assert first.partitioning.options == tuple(counter.options.items())
