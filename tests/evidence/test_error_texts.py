import re

import pytest
import yaml

from harness.evidence.causes import Cause, Rule, read_causes
from harness.evidence.error_texts import STEPS, as_errors, find_causes, find_texts, read_error_texts
from harness.evidence.vocabulary import HarnessError, Outcome
from harness.mil.load_rules import LOAD_RULES

CAUSES, TEXTS = read_causes(), read_error_texts()

# Texts that people met, and the cause that they are.
MET_CAUSES = [
    # lowering: coremltools
    (
        (
            "ValueError: Core ML only supports tensors with rank <= 5. Layer "
            '"aten_unsqueeze_copy_default_cast_fp16", with '
            'type "expand_dims", outputs a rank 6 tensor. '
        ),
        "rank-above-five-claimed",
    ),
    ("ValueError: divisor_override is not supported for avg_pool2d", "avg-pool-divisor-override"),
    (
        (
            "ValueError: input_shape (length 1), kernel_shape (length 2), strides (length 2), dilations "
            "(length 2), and "
            "custom_pad (length 4) divided by two must all be the same length"
        ),
        "unbatched-pooling",
    ),
    (
        "AttributeError: type object 'Builder' has no attribute 'acosh'. Did you mean: 'acos'?",
        "acosh-asinh-without-mil-operator",
    ),
    ("KeyError: torch.uint8", "eight-bit-integer-input"),
    (
        (
            "ValueError: In op, of type batch_norm, named 8, the named input `epsilon` must have the "
            "same data type as the "
            "named input `gamma`. However, epsilon has dtype fp32 whereas gamma has dtype fp16."
        ),
        "fp32-constant-beside-fp16-tensor",
    ),
    (
        (
            'ValueError: Op "aten_relu_default" (op_type: relu) Input x="x" expects tensor or scalar of '
            "dtype from type "
            "domain ['fp16', 'fp32'] but got tensor[8,int32]"
        ),
        "integers-given-to-float-operators",
    ),
    ("E       NotImplementedError: Unhandled node type <class 'tuple'>. Node content is: (0,)", "empty-cat-tuple-size"),
    ("Only supports stride >= kernel_size for col2im (fold). Got stride 1", "fold-of-overlapping-blocks-claimed"),
    ("AssertionError: coremltools lowering does not handle/bind value at index 1", "secondary-outputs-unbound"),
    # lowering: torch.export and exir
    (
        (
            "executorch.exir.verification.verifier.SpecViolationError: Operator "
            "torch._ops.aten.exp2.default is not in "
            "Core ATen opset (https://pytorch.org/docs/stable/torch.compiler_ir.html#core-aten-ir)"
        ),
        "claimed-operator-without-decomposition-refused",
    ),
    (
        (
            "torch.fx.experimental.symbolic_shapes.GuardOnDataDependentSymNode: Could not guard on data-dependent "
            "expression Eq(u0, 1) (unhinted: Eq(u0, 1))."
        ),
        "data-dependent-shape",
    ),
    ("RuntimeError: Missing out variants: {'torchao::quantize_affine'}", "operator-without-out-variant"),
    ("RuntimeError: 0 in strides is not supported for ExecuTorch.", "expanded-example-input"),
    # loading
    (
        (
            'RuntimeError: Error compiling model: "Failed to parse the model specification. Error: '
            "Unable to parse ML "
            "Program: in operation pad_cast_fp16: Padding for more than two dimensions only supports "
            '`constant` mode".'
        ),
        "pad-before-the-last-two-dimensions",
    ),
    ("Unable to parse ML Program: Function main has tensor x as both an input and output", "input-returned-as-output"),
    ("more-than-five-dimensions: x: the input has 6 dimensions (fp32[1, 1, 1, 1, 1, 2])", "rank-above-five-claimed"),
]

# Texts that people met which are no cause of ours, their step, and a word of what they mean.
MET_TEXTS = [
    (
        'raise RuntimeError("BlobWriter not loaded")\nRuntimeError: BlobWriter not loaded',
        "lowering",
        "native libraries",
    ),
    (
        "Fail to import BlobWriter from libmilstoragepython. No module named 'coremltools.libmilstoragepython'",
        "lowering",
        "native libraries",
    ),
    (
        (
            "ValueError: In op, of type [X], named [Y], the named input [Z] must have the same data type "
            "as the named input "
            "x. However, [Z] has dtype fp32 whereas x has dtype fp16."
        ),
        "lowering",
        "one dtype",
    ),
    (
        (
            "error: ValueError: No available version for quantize in the coremltools.target.iOS15 opset. "
            "Please update the "
            "minimum_deployment_target to at least coremltools.target.iOS17"
        ),
        "lowering",
        "deployment target",
    ),
    (
        (
            "ValueError: The more fine-grained quantization (such as blockwise) is only supported since "
            "iOS18.Please set "
            "minimum_deployment_target to iOS18 for using it."
        ),
        "lowering",
        "deployment target",
    ),
    ("NotImplementedError: PyTorch convert function for op 'inverse' not implemented.", "lowering", "no converter"),
    ("InternalError: Failed with error: self.node.meta['spec'] <class 'dict'> is not supported", "lowering", "a dict"),
    (
        (
            "[ETCoreMLModelCompiler.mm:55] [Core ML]  Failed to compile model, error = Error "
            "Domain=com.apple.mlassetio "
            "Code=1 \u201cFailed to parse the model specification. Error: Unable to parse ML Program: at "
            "unknown location: "
            "Unknown opset \u2018CoreML7\u2019.\u201d UserInfo={NSLocalizedDescription=Failed to par$"
        ),
        "loading",
        "CoreML7 iOS 17",
    ),
    (
        "E 00:00:15.438547 executorch:method.cpp:69] Backend CoreMLBackend is not registered.",
        "loading",
        "linked without",
    ),
    ("E 00:00:25.912566 executorch:method.cpp:540] Missing operator: [16] aten::scatter.src_out", "loading", "kernel"),
    (
        "E [executorch:operator_registry.cpp:256 get_op_function_from_registry()] kernel 'aten::exp.out' not found.",
        "loading",
        "kernel",
    ),
    ("RuntimeError: Failed to load method forward, error: 0x:14", "loading", "OperatorMissing"),
    ("fails to load the forward method with Error 32 (NotFound)", "loading", "NotFound"),
    ("[method.cpp:113] Init failed for backend CoreMLBackend: 0x23", "loading", "InvalidProgram"),
    (
        (
            "Failed to build the model execution plan using a model architecture file "
            "'/tmp/a.mlmodelc/model.mil' with "
            "error code: -14."
        ),
        "loading",
        "cannot plan",
    ),
    (
        (
            "E5RT encountered an STL exception. msg = MILCompilerForANE error: failed to compile ANE "
            "model using ANEF. "
            "Error=_ANECompiler : ANECCompile() FAILED."
        ),
        "loading",
        "Neural Engine",
    ),
    (
        "[espresso] [Espresso::handle_ex_plan] exception=ANECF error:\n[coreml] Error plan build: -1.",
        "loading",
        "Neural Engine",
    ),
    ('NSLocalizedDescription = "Error in declaring network_";', "loading", "a layer"),
    (
        "reason: '+[MLModel compileModelAtURL:completionHandler:]: unrecognized selector sent to class 0x1daa8e928'",
        "loading",
        "older",
    ),
    (
        "E executorch:tensor_impl.cpp:83] Attempted to change the tensor rank which is immutable: old=2, new=4",
        "running",
        "another rank",
    ),
    (
        "[method.cpp:1334] KernelCall failed at instruction 0:1 in operator aten::add.out: 0x12",
        "running",
        "InvalidArgument",
    ),
    (
        (
            "Error: Unable to compute the prediction using ML Program. It can be an invalid input data or "
            "broken/unsupported model."
        ),
        "running",
        "when it ran",
    ),
    ('RuntimeError: {\n    NSLocalizedDescription = "Error computing NN outputs.";\n}', "running", "when it ran"),
]


@pytest.mark.parametrize(("text", "slug"), MET_CAUSES)
def test_a_text_that_was_met_finds_its_cause_first(text, slug):
    assert find_causes(text, CAUSES, TEXTS)[0].cause.cause == slug


@pytest.mark.parametrize(("text", "step", "says"), MET_TEXTS)
def test_a_text_that_was_met_is_told_first(text, step, says):
    first = find_texts(text, TEXTS)[0]
    assert first.step == step
    assert says in first.means


@pytest.mark.parametrize(
    "text", ["", "hello", "it does not work", "RuntimeError: expected scalar type", "I have 20 errors and 14 warnings"]
)
def test_a_text_that_says_nothing_finds_nothing(text):
    assert find_causes(text, CAUSES, TEXTS) == []
    assert find_texts(text, TEXTS) == []


def slugs(text, causes=CAUSES):
    return [match.cause.cause for match in find_causes(text, causes, TEXTS)]


def test_an_operator_in_the_text_comes_first():
    bare = "IndexError: tuple index out of range"
    assert len(slugs(bare)) > 2
    for operator, slug in (("meshgrid", "meshgrid-scalar"), ("nll_loss_nd", "nll-loss-unbatched")):
        text = f"ERROR - converting '{operator}' op (located at: 'aten_{operator}_default'):\n\n{bare}"
        assert set(slugs(text)) == set(slugs(bare))
        first = find_causes(text, CAUSES)[0]
        assert (first.cause.cause, first.named) == (slug, True)


def cause(slug, error, *operators):
    texts = tuple(("op", re.compile(glob).match) for glob in operators)
    rule = Rule(frozenset({Outcome.CONVERT_ERROR}), None, texts, error=re.compile(error), operators=operators)
    return Cause(slug, slug, "converter", "s", "e", "f.py", (rule,))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ValueError: stride of the window is wrong", True),
        ("  torch.x.ValueError: stride of the window is wrong\n", True),
        ("E   ValueError: stride of the window is wrong", True),
        ("stride of the window is wrong", True),  # the message says enough
        ("KeyError: stride of the window is wrong", False),
        ("ValueError: the stride of the window is wrong", False),
    ],
)
def test_exception_and_message_are_found_where_they_stand(text, found):
    assert bool(slugs(text, [cause("a", "^ValueError: stride of the window")])) is found


def test_a_short_message_needs_its_exception():
    pooled = [cause("a", "^IndexError: pop from$")]
    assert slugs("IndexError: pop from", pooled) == ["a"]
    assert slugs("pop from", pooled) == []
    key = [cause("a", r"^KeyError: torch\.complexfloatthirtytwo$")]
    assert slugs("torch.complexfloatthirtytwo", key) == []


def test_what_is_bound_to_an_unnamed_operator_comes_last():
    causes = [
        cause("bound", "^ValueError: stride", "aten.pixel_*shuffle.*"),
        cause("first", "^ValueError: stri"),
        cause("second", "^ValueError: stride"),
    ]
    assert slugs("ValueError: stride of it", causes) == ["first", "second", "bound"]
    assert slugs("pixel_unshuffle\nValueError: stride of it", causes)[0] == "bound"
    assert slugs("pixelshuffle\nValueError: stride of it", causes)[-1] == "bound"


def test_an_assertion_without_a_message_is_told_by_its_function():
    text = '  File "/a/ops.py", line 7, in clamp_min\n    assert x.dtype == y.dtype\nAssertionError\n'
    assert as_errors(text).splitlines()[-1] == "AssertionError: in clamp_min"
    assert "clamp-bound-other-dtype" in slugs(text)


# The table.

ENTRY = {"error": "boom", "source": "https://example.org/1", "step": "loading", "means": "It fell.", "remedy": "Rise."}


def write(tmp_path, *entries):
    path = tmp_path / "texts.yaml"
    path.write_text(yaml.safe_dump(list(entries)))
    return path


def test_a_known_text_is_read_on_one_line(tmp_path):
    (known,) = read_error_texts(write(tmp_path, ENTRY | {"means": "It\n fell."}))
    assert (known.means, known.step, known.error.pattern) == ("It fell.", "loading", "boom")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("words", "expected a mapping"),
        (ENTRY | {"colour": "red"}, "unknown keys colour"),
        ({k: v for k, v in ENTRY.items() if k != "source"}, "lacks source"),
        ({k: v for k, v in ENTRY.items() if k != "remedy"}, "lacks remedy"),
        (ENTRY | {"cause": "a"}, "either a cause"),
        ({"error": "boom", "source": "https://example.org/1"}, "either a cause"),
        (ENTRY | {"step": "walking"}, "step 'walking' is none of lowering"),
        (ENTRY | {"source": "somewhere"}, "source: expected https"),
        (ENTRY | {"error": "(a"}, "is no regular expression"),
        (ENTRY | {"error": ".*"}, "fits everything"),
        (ENTRY | {"means": ""}, "means: expected text"),
    ],
)
def test_a_malformed_text_is_refused_by_file_and_entry(tmp_path, entry, says):
    with pytest.raises(HarnessError, match=says) as caught:
        read_error_texts(write(tmp_path, ENTRY, entry))
    assert "texts.yaml: entry 2" in str(caught.value)


def test_the_table_names_causes_and_rules_that_there_are():
    assert {known.cause for known in TEXTS} - {""} <= {cause.cause for cause in CAUSES}
    assert {known.load_rule for known in TEXTS} - {""} <= {rule.name for rule in LOAD_RULES}
    assert {known.step for known in TEXTS if not known.cause} == set(STEPS)
