"""The module that shows a cause, given by a user, is told by the name of that cause.

The modules are those of the causes' generated scripts, and where one is written by hand, or shows more than a user can
meet, one of `MODULES`. What cannot be named stands in `NOT_NAMED`, with the reason.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from harness.cases import user_file
from harness.check import Checker
from harness.diagnosis.localise import localise
from harness.evidence.causes import Causes, Script, read_causes
from harness.evidence.check import Check
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import BY_VALUE
from harness.lowering import speedups

#: One worker exports and lowers all of them; the packages are imported once.
pytestmark = pytest.mark.xdist_group("causes of users")

CAUSES = Causes(read_causes())
REJECTED = "the partitioner leaves the operator to ExecuTorch, and a user cannot switch its rule off"


@dataclass(frozen=True)
class Module:
    """What stands in a user's file: the body of a module, its inputs, what stands before, and the options."""

    module: str
    inputs: str
    setup: str = ""
    options: str = ""
    precision: str = "fp32"
    target: str = "ios18"


#: By cause; further ones of the same cause are numbered.
MODULES: dict[str, Module] = {
    "affine-dequantization-of-other-kinds-claimed": Module(
        """
        def forward(self, x):
            scale, zero = torch.full((2, 1), 0.5), torch.zeros(2, 1, dtype=torch.int8)
            weight = torch.tensor([[-2, 1, 0, -1], [1, 0, -2, 0]], dtype=torch.int8)
            return x @ torch.ops.torchao.dequantize_affine(weight, [1, 4], scale, zero, torch.int8, -2, 1)
        """,
        "(torch.randn(3, 2),)",
        setup="from executorch.export import recipe  # registers torchao's operators",
    ),
    "antialias-dropped": Module(
        """
        def forward(self, x):
            return F.interpolate(x * 2, size=(2, 2), mode="bilinear", antialias=True) + 1
        """,
        "(torch.arange(36.0).reshape(1, 1, 6, 6) % 7,)",
    ),
    "arange-step-rounded": Module(
        """
        def forward(self, x):
            return x * torch.arange(1000.0, 1100.0, 0.1)
        """,
        "(torch.ones(1000),)",
    ),
    "assertions-delegated-alone": Module(
        "def forward(self, x):\n    return torch.masked_select(x, x > 0)",
        "(torch.ones(3, 3),)",
        target="ios18+unchecked",
    ),
    "rank-decided-in-fp16": Module(
        "def forward(self, column, row):\n    return torch.linalg.pinv(column @ row)",
        "(torch.tensor([[0.1], [0.7], [-0.3]]), torch.tensor([[0.9, -0.2, 0.6]]))",
        precision="fp16",
        target="ios18+unchecked",
    ),
    "clone-of-transposed-input": Module("def forward(self, x):\n    return x.clone() + 1", "(torch.rand(3, 4).t(),)"),
    "codebook-of-five-or-seven-bits": Module(
        """
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(64, 32), torch.nn.Linear(32, 32)
            config = CodebookWeightOnlyConfig(dtype=torch.uint5, block_size=[-1, 16])
            quantize_(self, config, lambda module, name: name == "second")

        def forward(self, x):
            return self.second(F.relu(self.first(x)))
        """,
        "(torch.randn(1, 64),)",
        setup="""from torchao.prototype.quantization.codebook_coreml import CodebookWeightOnlyConfig
from torchao.quantization.quant_api import quantize_""",
    ),
    "dimension-begins-at-two": Module(
        "def forward(self, x):\n    return x * 2",
        "(torch.randn(4, 3),)",
        options="""{
        "dynamic_shapes": ({0: torch.export.Dim.AUTO(min=1, max=8)},),
        "calls": [(torch.randn(1, 3),)],
    }""",
    ),
    "dimension-begins-at-two#named": Module(
        "def forward(self, x):\n    return x * 2",
        "(torch.randn(4, 3),)",
        options="""{
        "dynamic_shapes": ({0: torch.export.Dim("batch", min=1, max=8)},),
        "enumerated_shapes": {"x": [(4, 3), (2, 3)]},
        "partitioner": {"lower_full_graph": True},
    }""",
    ),
    "effects-in-the-graph": Module(
        "def forward(self, x):\n    return torch.linalg.cholesky(x)", "(torch.eye(3),)", target="ios18+unchecked"
    ),
    "enumerated-shapes-want-the-whole-graph": Module(
        "def forward(self, x):\n    return torch.relu(x)",
        "(torch.randn(1, 3),)",
        options="""{
        "dynamic_shapes": ({0: torch.export.Dim.AUTO},),
        "enumerated_shapes": {"x": [(1, 3), (2, 3)]},
        "calls": [(torch.randn(2, 3),)],
    }""",
    ),
    "enumerated-shape-twice-moves": Module(
        "def forward(self, x, y):\n    return x.sum() + y",
        "(torch.randn(4, 3), torch.randn(5, 3))",
        options="""{
        "dynamic_shapes": ({0: torch.export.Dim.AUTO}, {0: torch.export.Dim.AUTO}),
        "enumerated_shapes": {"x": [(4, 3), (2, 3), (4, 3)], "y": [(5, 3), (3, 3), (7, 3)]},
        "partitioner": {"lower_full_graph": True},
        "calls": [(torch.randn(2, 3), torch.randn(3, 3))],
    }""",
    ),
    "integer-state-as-index": Module(
        """
        def __init__(self):
            super().__init__()
            self.register_buffer("ring", torch.zeros(3, 4))
            self.register_buffer("number", torch.zeros(1, dtype=torch.int64))

        def forward(self, x):
            self.ring.index_copy_(0, self.number % 3, x)
            self.number.add_(1)
            return self.ring.sum(0) + x
        """,
        "(torch.randn(1, 4),)",
    ),
    "integer-state-in-fp16": Module(
        """
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(1, dtype=torch.int32))

        def forward(self, x):
            self.count.add_(999)
            return x + self.count
        """,
        "(torch.randn(1, 4),)",
        options='{"calls": [(torch.randn(1, 4),)] * 3}',
    ),
    "size-floor-division-becomes-float": Module(
        "def forward(self, x):\n    return x[:, : x.shape[1] // 2]",
        "(torch.randn(2, 6),)",
        options='{"dynamic_shapes": ({1: torch.export.Dim.AUTO(min=4, max=16)},)}',
    ),
    "elementwise-to-batchnorm-epsilon": Module(
        """
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.GroupNorm(2, 4)
            torch.nn.init.uniform_(self.norm.weight)
            torch.nn.init.uniform_(self.norm.bias)

        def forward(self, x):
            return torch.relu(self.norm(x))
        """,
        "(torch.randn(1, 4, 8, 8),)",
    ),
    "expanded-example-input": Module(
        "def forward(self, x, y):\n    return x + 1, torch.fmod(y, 2)", "(torch.ones(3), torch.ones(1, 2).expand(3, 2))"
    ),
    "fuse-reduce-mean-absolute-tolerance": Module(
        "def forward(self, x):\n    return torch.relu(x).sum(0) * (1 / 2047)", "(torch.rand(2048),)"
    ),
    "full-graph-refused": Module(
        "def forward(self, x):\n    return torch.asinh(x) + 1",
        "(torch.randn(3),)",
        options='{"partitioner": {"lower_full_graph": True}}',
    ),
    "group-norm-backward-overflows": Module(
        """
        def forward(self, grad, x, mean, rstd):
            return torch.ops.aten.native_group_norm_backward(
                grad, x, mean, rstd, None, 1, 2, 3, 1, [True, False, False]
            )[0]
        """,
        """(
        torch.full((1, 2, 3), 300.0),
        torch.tensor([[[250.0, 260.0, 270.0], [255.0, 265.0, 275.0]]]),
        torch.tensor([[262.5]]),
        torch.tensor([[0.01]]),
    )""",
        precision="fp16",
    ),
    "index-put-last-beside-a-slice": Module(
        """
        def forward(self, x, i, v):
            x = x.clone()
            x[:, i] = v
            return x * 2
        """,
        "(torch.zeros(3, 4), torch.tensor([-1]), torch.ones(3, 1))",
    ),
    "input-returned-as-output": Module(
        "def forward(self, x):\n    return x.clone()", "(torch.randn(3),)", target="ios26"
    ),
    "instance-norm-running-statistics-ignored": Module(
        """
        def __init__(self):
            super().__init__()
            self.norm = torch.nn.InstanceNorm2d(2, track_running_stats=True, affine=True)
            self.norm.running_mean.fill_(0.5)

        def forward(self, x):
            return torch.relu(self.norm(x * 2))
        """,
        "(torch.randn(1, 2, 4, 4),)",
    ),
    "int16-cast-of-empty-constant": Module(
        "def forward(self, x):\n    return torch.roll(x, [1], [0])", "(torch.randn(0, 3),)", precision="fp16"
    ),
    "int16-output-fp16": Module(
        "def forward(self, x):\n    return x.to(torch.int16)", "(torch.ones(3),)", precision="fp16"
    ),
    "number-crosses-a-delegate": Module(
        "def forward(self, x):\n    return torch.relu(x), x.shape[0] * 2",
        "(torch.randn(4, 2),)",
        options='{"dynamic_shapes": ({0: torch.export.Dim.AUTO(min=2, max=8)},)}',
    ),
    "reciprocal-adds-epsilon#folded": Module(
        """
        def forward(self, x):
            inverse = 1.0 / (10000 ** (torch.arange(0, 8, 2).float() / 8))
            angles = torch.outer(torch.arange(x.shape[0]).type_as(inverse), inverse)
            return x * angles.cos() + x.roll(1, -1) * angles.sin()
        """,
        "(torch.randn(6, 4),)",
    ),
    "reciprocal-adds-epsilon#divided": Module(
        "def forward(self, x):\n    return x / (1 / torch.tensor([1.5, 2.0, 3.0]))", "(torch.randn(2, 3),)"
    ),
    "expm1-by-subtraction#folded": Module(
        "def forward(self, x):\n    return x * torch.expm1(torch.tensor([1e-6, 0.01, 0.5]))", "(torch.randn(2, 3),)"
    ),
    "numbers-above-1e38-become-infinite": Module(
        "def forward(self, x, mask):\n    return (x + (1.0 - mask) * torch.finfo(x.dtype).min).softmax(-1)",
        "(torch.randn(2, 5), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0]))",
        precision="fp16",
    ),
    "numbers-above-1e38-become-infinite#row": Module(
        "def forward(self, x, mask):\n    return x.masked_fill(mask, torch.finfo(x.dtype).min).softmax(-1)",
        "(torch.randn(2, 5), torch.tensor([[True], [False]]))",
        precision="fp16",
    ),
    "branches-of-control-flow-claimed#loop": Module(
        """
        def forward(self, n, x):
            return torch.while_loop(lambda n, x: n < 3, lambda n, x: (n + 1, x * 2), (n, x))[1]
        """,
        "(torch.tensor(0), torch.randn(3))",
    ),
    "branches-of-control-flow-claimed#map": Module(
        "def forward(self, x, y):\n    return map(lambda x, y: x + y, x, y)",
        "(torch.randn(3, 4), torch.randn(4))",
        setup="from torch._higher_order_ops.map import map",
    ),
    "repeat-interleave-decomposed-into-refused-operator": Module(
        """
        def __init__(self):
            super().__init__()
            self.register_buffer("repeats", torch.tensor([2, 2, 2]))

        def forward(self, x):
            return torch.repeat_interleave(x, self.repeats, dim=0, output_size=6) + 1
        """,
        "(torch.rand(3, 4),)",
    ),
    "skipped-operator-kept-whole": Module(
        "def forward(self, q):\n    return F.scaled_dot_product_attention(q, q, q) * 2",
        "(torch.rand(1, 2, 4, 8),)",
        options="""{
        "partitioner": {"skip_ops_for_coreml_delegation": ["aten.scaled_dot_product_attention.default"]}
    }""",
    ),
    "soft-margin-loss-exp-overflows": Module(
        "def forward(self, x, y):\n    return F.soft_margin_loss(x, y)",
        "(torch.tensor([-12.0, 1.0]), torch.tensor([1.0, 1.0]))",
        precision="fp16",
    ),
    "state-starts-at-zero": Module(
        """
        def __init__(self):
            super().__init__()
            self.register_buffer("total", torch.full((4,), 3.0))

        def forward(self, x):
            self.total.add_(x)
            return self.total * 2
        """,
        "(torch.tensor([0.5, 1.0, -1.0, 2.0]),)",
    ),
    "upsample-single-scale-ignored": Module(
        "def forward(self, x):\n    return torch.ops.aten.upsample_nearest2d.default(x, [2, 2], 2.0, None)",
        "(torch.arange(16.0).reshape(1, 1, 4, 4),)",
    ),
    "verifier-takes-first-tensor-for-list": Module(
        "def forward(self, x, y):\n    return F.l1_loss(x, y)", "(torch.tensor(1.0), torch.tensor(2.0))"
    ),
    "weight-norm-interface-norm-dtype": Module(
        "def forward(self, v, g):\n    return torch.ops.aten._weight_norm_interface.default(v, g, 0)",
        "(torch.ones(4, 3, dtype=torch.float16), torch.ones(4, 1, dtype=torch.float16))",
    ),
}

#: Causes with a script of which no user's module is told, with the reason.
NOT_NAMED: dict[str, str] = {
    "quantizer-annotates-integers": "the quantizer exports its patterns for seconds; the suite's models are told",
    "quantizer-without-constants": "a promise of options is no user's, who sees a weight that is not quantized",
    "group-does-not-divide-a-width": "of quantizing, whose error any module of an odd width gives; the models are told",
    "recipe-leaves-embeddings-out": "nothing fails: the embedding stays as it was",
    "acosh-asinh-without-mil-operator": REJECTED,
    "alpha-ignored-behind-override": REJECTED,
    "argmax-without-dim-reduces-last-axis": REJECTED,
    "contiguous-input-taken-for-permuted": "message and graph are those of a permuted input; that cause is told",
    "diagonal-as-band-part": REJECTED,
    "group-norm-backward-overflows": "decomposed into arithmetic that may be of anything",
    "integer-data-cast-to-int16": "what the cast makes of such numbers is Core ML's; the reference keeps them",
    "pass-names-without-fp16-cast": "a user's file cannot give compile specs",
    "rand-expects-five-inputs": REJECTED,
    "recipe-replaces-higher-target": "a check has its target from the command line, not from a recipe",
    "repeat-interleave-of-different-repeats": "the partitioner has it decomposed, whatever a user asks for",
    "skipped-operator-with-capitals-is-delegated": "nothing fails: the operator goes to Core ML and is right there",
    "triangle-refused-for-executorch": "the partitioner has the operators decomposed, whatever a user asks for",
}

#: Modules that are right, or fail another way, where other layers come behind.
NOT_BEHIND: dict[str, str] = {
    "clamp-crossed-bounds-lose-nan": "folded into the constants of what follows",
    "clamp-integers-through-float": "fp16 allows the rounding as soon as floats are computed of the integers",
    "int16-cast-turns-unsigned": "65540 is infinite in fp16, and the infinity is what is seen",
    "integer-division-through-float": "as clamp-integers-through-float",
    "pad-integers-through-float": "as clamp-integers-through-float",
    "weight-norm-interface-norm-dtype": "the second result alone has another type",
}


#: What of a recipe a cause is about, where it is not the usual target.
TARGETS: dict[str, str] = {
    "complex-of-parts-that-broadcast": "ios18+unchecked",
    "constant-program-below-ios18": "ios17",
    "logcumsumexp-by-exponentials": "ios18+unchecked",
    "operator-newer-than-target": "ios15",
    "searchsorted-of-different-ranks": "ios18+unchecked",
    "state-before-ios18": "ios17",
    "transposed-convolution-weight-below-ios17": "ios16",
}


def of_script(slug: str, script: Script) -> Module:
    target = TARGETS.get(slug, "ios18")
    return Module(script.module, script.inputs, script.setup, precision=script.precision, target=target)


def modules() -> dict[str, Module]:
    """Those of the scripts, unless another stands in `MODULES`, and the others."""
    scripts = {slug: of_script(slug, c.script) for slug, c in CAUSES.by_slug.items() if isinstance(c.script, Script)}
    return scripts | MODULES


def cause_of(name: str) -> str:
    return name.partition("#")[0]


def source(given: Module) -> str:
    body = textwrap.indent(textwrap.dedent(given.module).strip(), "    ")
    options = f", {given.options.strip()}" if given.options else ""
    return (
        f"import torch\nimport torch.nn.functional as F\n{given.setup.strip()}\n\n\nclass _Module(torch.nn.Module):\n"
        f"{body}\n\n\ndef shown():\n    return _Module(), {given.inputs.strip()}{options}\n"
    )


@pytest.fixture(scope="module")
def checker() -> Checker:
    torch.set_num_threads(1)
    speedups.enable()
    return Checker()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The measured packages log every node they look at."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def checked(given: Module, name: str, folder: Path, checker: Checker) -> Record:
    """The record of a user's file that holds the module."""
    path = folder / f"{name.replace('-', '_').replace('#', '_')}.py"
    path.write_text(source(given))
    (case,) = user_file.load(path)
    recipe = Recipe.parse(f"{given.precision}-{given.target}")
    record = checker.check(Check.of(case, recipe, "reference"))
    if record.outcome in BY_VALUE and not record.blamed and len(record.delegated) > 1:
        found = localise(case, recipe)
        named = [Note(NoteCode.OPERATOR, op) for op in found.blamed]
        named += [Note(NoteCode.FOLDED, op) for op in found.folded]
        named += [Note(NoteCode.CONSTANT_OVERFLOWS, "")] if found.overflows else []
        record = record.with_(notes=[*record.notes, *named])
    return record


def name_of(record: Record) -> str:
    found = CAUSES.cause_of(record)
    return found.cause if found is not None else ""


def before_other_layers(given: Module) -> Module:
    """The same module as a part of another, which computes from its first result."""
    inner = textwrap.indent(textwrap.dedent(given.module).strip(), "    ")
    whole = """
        def __init__(self):
            super().__init__()
            self.inner = _Inner()

        def forward(self, *inputs):
            y = self.inner(*inputs)
            y = (y[0] if isinstance(y, (list, tuple)) else y).float()
            return F.relu(y * 0.5) - y
        """
    return replace(given, module=whole, setup=f"{given.setup}\n\n\nclass _Inner(torch.nn.Module):\n{inner}\n")


def told_by_value(name: str) -> bool:
    """Whether a program of the cause lowers and is then found wrong."""
    return any(rule.outcomes & BY_VALUE for rule in CAUSES.by_slug[cause_of(name)].matches)


@pytest.mark.parametrize("name", [name for name in sorted(modules()) if cause_of(name) not in NOT_NAMED])
def test_it_is_told_by_its_name(name: str, checker: Checker, tmp_path: Path) -> None:
    record = checked(modules()[name], name, tmp_path, checker)
    assert name_of(record) == cause_of(name), record


@pytest.mark.slow  # each is lowered twice and localised
@pytest.mark.parametrize(
    "name",
    [n for n in sorted(modules()) if told_by_value(n) and cause_of(n) not in {*NOT_NAMED, *NOT_BEHIND}],
)
def test_it_is_told_as_a_part_of_a_larger_module(name: str, checker: Checker, tmp_path: Path) -> None:
    record = checked(before_other_layers(modules()[name]), f"{name}-inside", tmp_path, checker)
    assert name_of(record) == cause_of(name), record


@pytest.mark.parametrize("name", sorted(NOT_NAMED.keys() & modules().keys()))
def test_what_is_named_after_all_leaves_the_list(name: str, checker: Checker, tmp_path: Path) -> None:
    assert name_of(checked(modules()[name], name, tmp_path, checker)) != name


def test_every_script_has_a_module_or_a_reason() -> None:
    scripted = {slug for slug, cause in CAUSES.by_slug.items() if cause.script}
    told = {cause_of(name) for name in modules()}
    assert scripted - told - NOT_NAMED.keys() == set()
    assert (NOT_NAMED.keys() | NOT_BEHIND.keys() | told) - CAUSES.by_slug.keys() == set()


INTEGERS = Module("def forward(self, x):\n    return x + torch.arange(5).sin()", "(torch.randn(5),)")
LATER = Module(
    """
    def forward(self, x):
        angles = torch.arange(5, dtype=torch.float32).unsqueeze(1)
        return x * torch.exp(angles).squeeze(1)
    """,
    "(torch.randn(5),)",
)
GIVEN = Module("def forward(self, x):\n    return torch.sin(x)", "(torch.tensor([1, 2]),)")
BOTH = Module(
    """
    def forward(self, x, i):
        return x + torch.arange(5, dtype=torch.float32) + i.cos()
    """,
    "(torch.randn(5), torch.arange(5))",
)


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        (LATER, "arange-of-floats-becomes-integers"),
        (INTEGERS, "integers-given-to-float-operators"),
        (GIVEN, "integers-given-to-float-operators"),
        (BOTH, "integers-given-to-float-operators"),
    ],
)
def test_a_range_of_floats_is_told_from_integers(given: Module, cause: str, checker: Checker, tmp_path: Path) -> None:
    assert name_of(checked(given, tmp_path.name, tmp_path, checker)) == cause
