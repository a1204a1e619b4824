from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import HarnessError
from harness.lowering.compile_specs import compile_specs


@pytest.mark.parametrize(("name", "precision", "target"), [("fp16-ios17", "FLOAT16", 8), ("fp32-ios18", "FLOAT32", 9)])
def test_compile_specs_carry_precision_and_target(name: str, precision: str, target: int) -> None:
    from executorch.backends.apple.coreml.compiler import CoreMLBackend

    specs = compile_specs(Recipe.parse(name))
    assert CoreMLBackend.model_compute_precision_from_compile_specs(specs).name == precision
    # The specification version: iOS17 is 8, iOS18 is 9.
    assert int(CoreMLBackend.min_deployment_target_from_compile_specs(specs)) == target


def test_a_target_that_this_coremltools_does_not_have_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import coremltools as ct

    monkeypatch.setattr(ct, "target", SimpleNamespace(iOS18=ct.target.iOS18))
    monkeypatch.setattr(ct, "__version__", "8.3.0")
    with pytest.raises(HarnessError, match=r"^recipe fp16-ios26: coremltools 8\.3\.0 has no deployment target iOS26$"):
        compile_specs(Recipe.parse("fp16-ios26"))
    assert compile_specs(Recipe.parse("fp16-ios18"))
