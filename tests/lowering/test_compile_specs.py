from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.evidence.recipe import PRECISIONS, TARGETS, Recipe
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


def test_targets_are_those_of_coremltools_with_the_systems_it_releases_them_for() -> None:
    """A target that a new coremltools has is named here until it has its row in `TARGETS`."""
    import coremltools as ct

    known = ct.target.__members__
    ml_programs = {target for target in known.values() if target >= ct.target.iOS15}
    without_row = {target.name for target in ml_programs} - {known[row.name].name for row in TARGETS.values()}
    assert without_row == set(), "targets of coremltools without a row in harness/evidence/recipe.py"
    for row in TARGETS.values():
        assert known[row.name] is known[f"macOS{row.macos[0]}"] is known[f"iOS{row.ios[0]}"], row


def test_precisions_are_those_of_coremltools_and_have_bounds() -> None:
    import coremltools as ct

    from harness.verdict.tolerance import FORMATS, SQNR_THRESHOLD_DB

    assert set(PRECISIONS.values()) == {precision.name for precision in ct.precision}
    for name in PRECISIONS:
        assert name in FORMATS, f"{name} has no row in FORMATS of harness/verdict/tolerance.py"
        assert name in SQNR_THRESHOLD_DB, f"{name} has no row in SQNR_THRESHOLD_DB of harness/verdict/tolerance.py"
