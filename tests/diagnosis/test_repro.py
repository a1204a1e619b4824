import ast
import base64
import functools
import sys
import zlib
from pathlib import Path

import pytest
import torch

from harness.cases import find, partitioner
from harness.cases.case import Built
from harness.cases.opinfo import cases
from harness.diagnosis import repro
from harness.evidence.recipe import Recipe
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.vocabulary import Level, Outcome, Phase

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from plain_python import run

RECIPE = Recipe.parse("fp16-ios18")


def case_of(op, suffix=""):
    return next(c for c in cases() if c.op == op and c.level is not Level.FULL and c.id.endswith(suffix))


def record_of(case, outcome="convert_error", phase="convert", message="ValueError: why"):
    error = ErrorInfo("ValueError", message, message)
    return Record(
        case.id, RECIPE.name, "reference", Outcome(outcome), Phase(phase), op=case.op, api=case.api, error=error
    )


def script_of(case, **fields):
    return repro.script(record_of(case, **fields), case.build(), RECIPE)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Each script of `RAN` under a plain Python: its exit code or traceback, and what it printed."""
    folder = tmp_path_factory.mktemp("scripts")
    for name, make in RAN.items():
        (folder / f"{name}.py").write_text(make())
    done = run([folder / f"{name}.py" for name in RAN], folder)
    return {Path(path).stem: answer for path, answer in done.items()}


def module_of(script):
    """The script's model and inputs, made by its own code; nothing is lowered."""
    tree = ast.parse(script)
    end = next(i for i, node in enumerate(tree.body) if "expected" in ast.unparse(node).partition("=")[0])
    wanted = [n for n in tree.body[:end] if not ast.unparse(n).startswith(("import core", "from executorch"))]
    scope = {}
    exec(compile(ast.Module(wanted, []), "script", "exec"), scope)
    return scope["model"], scope["inputs"]


# Literals.


def unpack(text, dtype, shape):
    return torch.frombuffer(bytearray(zlib.decompress(base64.b85decode(text))), dtype=dtype).reshape(shape)


def read_literal(text):
    return eval(text, {"torch": torch, "unpack": unpack})


def bits(tensor):
    return tensor.resolve_conj().contiguous().reshape(-1).view(torch.uint8).tolist() if tensor.numel() else []


DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
    torch.float8_e4m3fn,
]


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,), (2, 0), (9, 9)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_literal_makes_the_tensor_again_bit_by_bit(dtype, shape):
    torch.manual_seed(0)
    source = torch.randn(shape) * 3 if dtype is not torch.bool else torch.randn(shape) > 0
    tensor = source.clamp(0).to(dtype) if dtype is torch.uint8 else source.to(dtype)
    again = read_literal(repro.literal(tensor))
    assert (again.dtype, again.shape) == (tensor.dtype, tensor.shape)
    assert bits(again) == bits(tensor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.bfloat16])
def test_special_values_are_kept(dtype):
    info = torch.finfo(dtype)
    values = [float("inf"), -float("inf"), -0.0, 0.0, info.max, info.min, info.tiny, info.smallest_normal / 2, 1 / 3]
    tensor = torch.tensor(values, dtype=dtype)
    assert bits(read_literal(repro.literal(tensor))) == bits(tensor)
    assert read_literal(repro.literal(torch.tensor(float("nan"), dtype=dtype))).isnan()


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 2**53 + 1])
def test_large_integers_are_exact(value):
    assert read_literal(repro.literal(torch.tensor([value]))).item() == value


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(6.0).reshape(2, 3).T,
        torch.arange(200.0).reshape(10, 20)[:, ::3],
        torch.ones(1).expand(100),
        torch.tensor([1 + 2j, 3 - 4j]).conj(),
        torch.ones(2, requires_grad=True),
    ],
    ids=["transposed", "strided", "broadcast", "conjugate", "with gradient"],
)
def test_values_come_in_order_whatever_the_layout(tensor):
    assert torch.equal(read_literal(repro.literal(tensor)), tensor.detach())


def test_small_tensors_are_readable_and_large_ones_compact():
    assert repro.literal(torch.tensor([1, 2])) == "torch.tensor([1, 2], dtype=torch.int64)"
    assert len(repro.literal(torch.zeros(1000, 1000))) < 5000


# Scripts.


def test_a_script_needs_torch_executorch_and_coremltools_only():
    tree = ast.parse(script_of(case_of("aten.cosine_similarity.default")))
    imported = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported - set(sys.stdlib_module_names) == {"torch", "executorch", "coremltools"}


@pytest.mark.parametrize("message", ["plain", 'a "quoted" word"', '"""', "C:\\new\\x", "two\nlines", "\\", "{{ x }}"])
def test_a_script_says_what_it_shows(message):
    case = case_of("aten.cosine_similarity.default")
    told = ast.get_docstring(ast.parse(script_of(case, message=message))).splitlines()
    assert told[0] == f"{case.id}@fp16-ios18@reference: convert_error in phase convert ({case.api})"
    assert told[2] == " ".join(message.split())


@pytest.mark.parametrize(
    ("op", "suffix"),
    [
        ("aten.add.Tensor", ""),
        ("aten.linear.default", "-constants"),
        ("aten.max.dim", ""),
        ("aten.gelu.default", ""),
        ("aten.to.dtype", "cdouble-652e10"),
        ("aten.full_like.default", ""),
        ("aten.where.self", ""),
    ],
)
def test_the_scripts_module_is_the_case(op, suffix):
    case = case_of(op, suffix)
    built = case.build()
    model, inputs = module_of(repro.script(record_of(case), built, RECIPE))
    assert all(torch.equal(a, b) and a.dtype is b.dtype for a, b in zip(inputs, built.inputs, strict=True))
    expected = torch.utils._pytree.tree_leaves(built.module(*built.inputs))
    got = torch.utils._pytree.tree_leaves(model(*inputs))
    assert all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(got, expected, strict=True))


@pytest.mark.parametrize(
    ("case_id", "line"),
    [
        ("modules/functional/float32/F.elu(x, alpha=0.5)", "        return F.elu(x, alpha=0.5)"),
        ("modules/functional/float32/F.conv2d(x, w2, bias)", "        return F.conv2d(x, w2, bias)"),
        ("modules/functional/float32/a[:, keep]", "        return a[:, keep]"),
        (
            "modules/torch.nn.Conv2d/float32/4,5,3,padding=same-2x4x3x4",
            "model = torch.nn.Conv2d(4, 5, 3, padding='same')",
        ),
        ("modules/torch.nn.LazyConv2d/float32/5,3-2x4x3x4", "model = torch.nn.LazyConv2d(5, 3)"),
        ("modules/torch.nn.BatchNorm2d/float32/3-2x3x6x6", "model = torch.nn.BatchNorm2d(3)"),
        ("modules/torch.nn.LSTMCell/float32/5,10-5,(10,10)", "class Model(torch.nn.Module):"),
        ("modules/torch.nn.Linear/float32/10,8-input=4x10", "class Model(torch.nn.Module):"),
    ],
)
def test_the_script_of_a_module_has_it_as_people_write_it(case_id, line):
    case = find.find(case_id)
    built = case.build()
    text = script_of(case)
    assert line in text.splitlines()
    model, inputs = module_of(text)
    assert all(torch.equal(a, b) for a, b in zip(inputs, built.leaves, strict=True))
    with torch.no_grad():
        got, expected = model(*inputs), built.module(*built.inputs, **built.kwargs)
    flat = torch.utils._pytree.tree_leaves
    assert all(torch.equal(a, b) for a, b in zip(flat(got), flat(expected), strict=True))


def test_a_quantized_module_is_shown_by_its_graph():
    case = find.find("modules/functional/float32/F.linear(tokens, weight, shift)")
    text = repro.script(record_of(case), case.build(), Recipe.parse("fp16-ios18-torchao_int8_channel"))
    assert "return F.linear" not in text
    assert "torch.ops.aten.linear.default" in text


def test_the_recipe_is_in_the_script():
    built = case_of("aten.neg.default").build()
    record = record_of(case_of("aten.neg.default"))
    text = repro.script(record, built, Recipe.parse("fp32-ios17"))
    assert "compute_precision=ct.precision.FLOAT32, minimum_deployment_target=ct.target.iOS17" in text


class Branches(torch.nn.Module):
    def forward(self, x):
        return x if x.sum().item() > 0 else -x


def test_what_cannot_be_exported_or_is_too_large_is_said_instead():
    record = record_of(case_of("aten.neg.default"))
    text = repro.script(record, Built(Branches(), (torch.ones(2),), 0), RECIPE)
    ast.parse(text)
    assert "# The graph cannot be shown here: " in text
    large = Built(torch.nn.ReLU(), (torch.ones(repro.LARGEST + 1),), 0)
    assert "too many for a script" in repro.script(record, large, RECIPE)


# Scripts as their reader runs them: slow, since they lower, and together, since a child imports for seconds.

PARTITIONED = {
    "decomposes-triu-off": "triu is not a core aten op",
    "reaches-searchsorted-scalar-off": "different ranks of `sorted_sequence`",
    "refuses-part-of-the-graph-on": "lower_full_graph=True",
    "rejects-asinh-off": "no attribute 'asinh'",  # last: a rejection that is switched off stays so in its process
}


def partitioned(name):
    return script_of(next(c for c in partitioner.cases() if f"/{name}-" in c.id))


RAN = {
    "error": lambda: script_of(case_of("aten.cosine_similarity.default", "-constants")),
    "lowers": lambda: script_of(case_of("aten.linear.default", "-constants"), outcome="wrong_value", phase="value"),
    **{name: functools.partial(partitioned, name) for name in PARTITIONED},
}
together = pytest.mark.xdist_group("repro")


@pytest.mark.slow
@together
def test_a_script_shows_the_error_under_a_plain_python(ran):
    raised, output = ran["error"]
    assert output.startswith("eager: [tensor(")
    assert "cosine_similarity" in raised.splitlines()[-1]
    assert "input(s), expected" in raised.splitlines()[-1]


@pytest.mark.slow
@together
def test_a_script_of_a_program_that_lowers_goes_through(ran):
    code, output = ran["lowers"]
    assert code is None
    assert "delegate 0: " in output
    assert output.splitlines()[-1] == "emitted"


@pytest.mark.slow
@together
@pytest.mark.parametrize("name", PARTITIONED)
def test_a_script_has_the_partitioner_as_the_case_does(name, ran):
    raised, _ = ran[name]
    assert PARTITIONED[name] in raised


# Dynamic shapes, enumerated shapes and further calls.


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        ("shapes/linear/float32/batch-2-to-8", ["dynamic_shapes=({0: s", 'Dim("s', "min=2, max=8)", "refused = ["]),
        ("shapes/linear/float32/batch-hinted", ["dynamic_shapes=({0: torch.export.Dim.AUTO(min=2)},)"]),
        ("shapes/linear/float32/batch-even-2-to-16", ["dynamic_shapes=({0: 2*s"]),
        (
            "shapes/enumerated/float32/pairs",
            ["generate_enumerated_shapes_compile_spec(exported, {'x': [[4, 6], [2, 6]], 'y': [[5, 5], [3, 5]]})"],
        ),
        ("state/total/float32/seed-0", ["calls = [", "make_state()", "register_buffer("]),
    ],
)
def test_a_script_has_the_shapes_and_the_calls_of_its_case(case, lines):
    found = find.find(case)
    script = script_of(found)
    compile(script, "script", "exec")
    assert all(line in script for line in lines), script
    model, inputs = module_of(script)
    built = found.build()
    assert [t.shape for t in inputs] == [t.shape for t in built.inputs]
    want = torch.utils._pytree.tree_leaves(built.module(*built.inputs))
    for got, right in zip(torch.utils._pytree.tree_leaves(model(*inputs)), want, strict=True):
        torch.testing.assert_close(got, right)
