import ast

import pytest

from harness.evidence.recipe import Recipe
from harness.evidence.remedy import (
    REWRITES,
    SKIP,
    Problem,
    Remedy,
    code,
    leads_to,
    partitioner_options,
    summary,
)
from harness.evidence.vocabulary import HarnessError, Outcome

FP16 = Recipe.parse("fp16-ios18")
FULL = Remedy(
    outcome=Outcome.PARTIAL,
    recipe="fp32-ios17",
    options={"take_over_mutable_buffer": "False"},
    skip=("aten.gelu.default", "roll.default"),
    preserve=("aten.i0.default",),
    unchecked=True,
    rewrite="explicit_stride",
    delegated=3,
    left=1,
    missing_kernels=("aten::i0.out",),
    tries=7,
    problems=(
        Problem(Outcome.CONVERT_ERROR, "aten.roll.default", "mine.py:3, in forward", "default-arguments-left-out"),
    ),
)


@pytest.mark.parametrize("remedy", [FULL, Remedy(), Remedy(reason="none of 3 changes tried helps", tries=3)])
def test_json_gives_it_back(remedy):
    assert Remedy.from_json(remedy.to_json()) == remedy


@pytest.mark.parametrize("data", [{"outcome": "fine"}, {"problems": [{}]}, {"wand": 1}, [1], None])
def test_what_is_no_remedy_is_refused(data):
    with pytest.raises(HarnessError, match="remedy: "):
        Remedy.from_json(data)


def test_what_lacks_a_kernel_is_not_verified():
    assert not FULL.is_verified
    assert not Remedy().is_verified
    assert Remedy(outcome=Outcome.PASS).is_verified


def test_the_summary_names_every_change():
    text = summary(FULL)
    for part in ("aten.gelu.default", "roll.default", "fp32-ios17", "aten.i0.default", "_check_ir_validity=False"):
        assert part in text
    assert REWRITES["explicit_stride"] in text
    assert summary(Remedy(reason="nothing helps")) == "none found: nothing helps"


def test_what_it_leads_to():
    assert leads_to(FULL) == "partial: 3 of 4 operators delegated; add a kernel to the runtime for aten::i0.out"
    assert leads_to(Remedy(outcome=Outcome.PASS, delegated=2)) == "pass: 2 of 2 operators delegated"


def arguments(text, function):
    """Keyword arguments of the one call of `function`, as source."""
    calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith(function)]
    assert len(calls) == 1
    return {keyword.arg: ast.unparse(keyword.value) for keyword in calls[0].keywords}


def test_the_code_has_every_change():
    text = code(FULL, FP16)
    assert (
        arguments(text, "CoreMLPartitioner")["skip_ops_for_coreml_delegation"]
        == "['aten.gelu.default', 'roll.default']"
    )
    assert arguments(text, "CoreMLPartitioner")["take_over_mutable_buffer"] == "False"
    specs = arguments(text, "generate_compile_specs")
    assert specs == {
        "compute_precision": "ct.precision.FLOAT32",
        "minimum_deployment_target": "ct.target.iOS17",
    }
    assert arguments(text, "EdgeCompileConfig") == {
        "preserve_ops": "[torch.ops.aten.i0.default]",
        "_check_ir_validity": "False",
    }


def test_the_code_has_nothing_else():
    text = code(Remedy(outcome=Outcome.PASS, skip=("aten.gelu.default",)), FP16)
    assert "EdgeCompileConfig" not in text
    assert arguments(text, "CoreMLPartitioner").keys() == {"skip_ops_for_coreml_delegation", "compile_specs"}
    assert arguments(text, "generate_compile_specs")["compute_precision"] == "ct.precision.FLOAT16"


def test_what_is_skipped_adds_to_what_was_given():
    assert partitioner_options([], {"lower_full_graph": True}) == {"lower_full_graph": True}
    assert partitioner_options(["b"], {SKIP: ["a"], "lower_full_graph": True}) == {
        SKIP: ["a", "b"],
        "lower_full_graph": False,  # the partitioner takes no operators to skip with it
    }
