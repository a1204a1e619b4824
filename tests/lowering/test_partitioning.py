import torch

from harness.cases.case import Built, Partitioning
from harness.evidence.recipe import Recipe
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering.compile_specs import compile_specs
from harness.lowering.lower import export, lower
from harness.lowering.partitioning import edge_config, make_partitioner

FP32 = Recipe.parse("fp32-ios18")
X = torch.arange(12.0).reshape(3, 4)


class Module(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def lowered(function, *inputs, **partitioning):
    return lower(export(Built(Module(function).eval(), inputs, 0, partitioning=Partitioning(**partitioning))), FP32)


def test_by_default_it_is_the_partitioner_itself_with_the_recipes_specs():
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner

    made = make_partitioner(Partitioning(), FP32)
    assert type(made) is CoreMLPartitioner
    assert made.delegation_spec.compile_specs == compile_specs(FP32)
    assert make_partitioner(Partitioning(options=(("lower_full_graph", True),)), FP32).lower_full_graph


def test_an_override_acts_until_it_is_switched_off_and_acts_again_afterwards():
    from executorch.backends.apple.coreml.partition import coreml_partitioner

    before = coreml_partitioner._OperatorsSupportedForCoreMLBackend.should_override_support
    assert lowered(torch.argmax, X).program.fallback_ops == {"aten.argmax.default": 1}
    assert lowered(torch.argmax, X, claim=("aten.argmax.default",)).program.delegated_ops == {"aten.argmax.default": 1}
    assert coreml_partitioner._OperatorsSupportedForCoreMLBackend.should_override_support is before
    assert lowered(torch.argmax, X).program.fallback_ops == {"aten.argmax.default": 1}


def test_one_override_off_leaves_the_others():
    off = lowered(lambda x: (torch.argmax(x), torch.asinh(x)), X, claim=("aten.argmax.default",))
    assert off.program.fallback_ops == {"aten.asinh.default": 1}
    assert off.program.delegated_ops == {"aten.argmax.default": 1}


def test_the_override_is_back_after_conversion_raised():
    failed = lowered(torch.asinh, X, claim=("aten.asinh.default",))
    assert (failed.failure.outcome, failed.failure.phase) == (Outcome.CONVERT_ERROR, Phase.CONVERT)
    assert lowered(torch.asinh, X).program.fallback_ops == {"aten.asinh.default": 1}


def test_an_operator_to_keep_is_not_decomposed():
    def repeat(x):
        return torch.repeat_interleave(x, 2, dim=1)

    name = "aten.repeat_interleave.self_int"
    assert name not in lowered(repeat, X).program.delegated_ops
    assert lowered(repeat, X, keep=(name,)).program.delegated_ops == {name: 1}


def test_options_reach_the_partitioner():
    options = (("skip_ops_for_coreml_delegation", ["aten.gelu.default"]),)
    program = lowered(lambda x: torch.nn.functional.gelu(x) + x, X, options=options).program
    assert program.fallback_ops == {"aten.gelu.default": 1}
    assert program.delegated_ops == {"aten.add.Tensor": 1}


def test_options_that_contradict_each_other_are_a_failure_of_lowering():
    options = (("lower_full_graph", True), ("take_over_constant_data", False))
    failure = lowered(torch.sin, X, options=options).failure
    assert "take_over_constant_data" in failure.error.message


def test_an_operator_outside_core_aten_reaches_the_partitioner_when_let_through():
    refused = lowered(torch.exp2, X).failure
    assert (refused.outcome, refused.phase) == (Outcome.UNSUPPORTED, Phase.EDGE)
    assert "aten.exp2.default is not in Core ATen opset" in refused.error.message
    name = "aten.exp2.default"
    assert lowered(torch.exp2, X, admit=(name,)).program.delegated_ops == {name: 1}
    assert edge_config(Partitioning()) is None
