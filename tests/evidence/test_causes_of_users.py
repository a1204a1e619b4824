"""The module that shows a cause, given by a user, is told by the name of that cause.

The modules are those of the causes' generated scripts, and where one is written by hand, or shows more than a user can
meet, one of `MODULES`. What cannot be named stands in `NOT_NAMED`, with the reason.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from harness.cases import user_file
from harness.check import Checker
from harness.diagnosis.localise import localise
from harness.evidence.causes import Cause, Causes, Script, read_causes
from harness.evidence.check import Check
from harness.evidence.notes import Note, NoteCode
from harness.evidence.recipe import Recipe
from harness.evidence.record import Record
from harness.evidence.vocabulary import BY_VALUE
from harness.lowering import speedups

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
    "dim-auto-begins-at-two": Module(
        "def forward(self, x):\n    return x * 2",
        "(torch.randn(4, 3),)",
        options="""{
        "dynamic_shapes": ({0: torch.export.Dim.AUTO(min=1, max=8)},),
        "calls": [(torch.randn(1, 3),)],
    }""",
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
    "input-returned-as-output": Module("def forward(self, x):\n    return x.clone()", "(torch.randn(3),)", target="ios26"),
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
    "int16-output-fp16": Module("def forward(self, x):\n    return x.to(torch.int16)", "(torch.ones(3),)", precision="fp16"),
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

#: Causes whose script no module of a user's shows, or whose defect a record cannot tell from another's.
NOT_NAMED: dict[str, str] = {}


def of_script(script: Script) -> Module:
    return Module(script.module, script.inputs, script.setup, precision=script.precision)


def modules() -> dict[str, Module]:
    """Those of the scripts, unless another stands in `MODULES`, and the others."""
    scripts = {slug: of_script(c.script) for slug, c in CAUSES.by_slug.items() if isinstance(c.script, Script)}
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
        node = localise(case, recipe).node
        record = record.with_(notes=[*record.notes, *([Note(NoteCode.OPERATOR, node.target)] if node else [])])
    return record


@pytest.mark.parametrize("name", sorted(modules()))
def test_it_is_told_by_its_name(name: str, checker: Checker, tmp_path: Path) -> None:
    record = checked(modules()[name], name, tmp_path, checker)
    found = CAUSES.cause_of(record)
    print(record.outcome, record.phase, "blamed", record.blamed, "dt", record.dtype_changed, "del", list(record.delegated), "fb", list(record.fallback), "mil", list(record.mil_ops), (record.error.type+": "+record.error.message[:300]) if record.error else record.reason[:300], [str(n)[:100] for n in record.notes])
    assert (found.cause if found else "") == cause_of(name)
