from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.evidence.files import read_evidence
from harness.evidence.universe import read_universe
from harness.evidence.vocabulary import OF_OPERATORS
from harness.evidence.vocabulary import ToleranceClass as C
from harness.verdict.table import RULES, lookup, rows, rule_for


def test_every_row_has_a_reason_and_a_bound():
    for name, rule in RULES.items():
        assert rule.op == name
        assert rule.reason, name
        if rule.cls in (C.ULP, C.COMPOSED):
            assert min(rule.factor) > 0 or name in {"aten.frac", "aten.fmod"}, name
        if rule.cls is C.ABS_ERROR:
            assert rule.error is not None, name
        if rule.cls in (C.DOT_PRODUCT, C.REDUCE_PRODUCT):
            assert rule.length is not None, name


def test_a_factor_is_the_one_its_source_gives():
    """`OpenCL: 3 | 1.5 ulp` is a factor of 3 in fp32 and 1.5 in fp16; another factor needs another source."""
    sourced = {}
    for name, rule in RULES.items():
        given = re.search(r"([\d.]+)(?: \| ([\d.]+))? ulp", rule.reason) if rule.cls is C.ULP else None
        if given:
            sourced[name] = (float(given[1]), float(given[2] or given[1])), rule.factor
    assert len(sourced) > 30
    assert {name: both for name, both in sourced.items() if both[0] != both[1]} == {}


def test_a_row_names_something_that_exists():
    """An operator, or a function by which a case may be named; a misspelt row would bound nothing."""
    spaces = (torch, torch.nn.functional, torch.Tensor)
    known = {name.removesuffix(".default") for name in overloads("aten", "prims")}
    known = {name.replace("prims.", "aten.", 1) for name in known | {name.rsplit(".", 1)[0] for name in known}}

    def exists(name: str) -> bool:
        return not known.isdisjoint({name, f"{name}_copy", f"{name}_"}) or any(hasattr(s, name[5:]) for s in spaces)

    assert [name for name in RULES if name.startswith("aten.") and not exists(name)] == []


def test_two_rows_for_one_operator_are_refused():
    with pytest.raises(ValueError, match=r"aten\.add has two rows"):
        rows.exact("add", "again")


def overloads(*namespaces: str) -> list[str]:
    """`aten.add.Tensor` and the like; from the dispatcher: `dir(torch.ops.aten)` lists only what was used before."""
    names = (name.replace("::", ".").split(".") for name in torch._C._dispatch_get_all_op_names())
    return [".".join([*name, "default"][:3]) for name in names if name[0] in namespaces]


def without_row(names: list[str]) -> list[str]:
    assert names
    return sorted(name for name in names if not lookup(name).listed)


def test_core_aten_has_rows():
    aten = [name.split(".") for name in overloads("aten")]
    core = [
        ".".join(name) for name in aten if torch.Tag.core in getattr(getattr(torch.ops.aten, name[1]), name[2]).tags
    ]
    assert len(core) > 150
    assert without_row(core) == []


def test_what_coremltools_claims_has_rows():
    from coremltools.converters.mil.frontend.torch.torch_op_registry import _TORCH_OPS_REGISTRY
    from executorch.backends.apple.coreml.compiler import torch_ops  # noqa: F401  (adds to the registry)

    # A name stands for a packet, or for one overload; the registry knows no case of letters.
    claimed = {name.replace("::", ".").removeprefix("aten.") for name in _TORCH_OPS_REGISTRY.name_to_func_mapping}
    found = []
    for name in overloads("aten"):
        _, packet, overload = name.lower().split(".")
        if {packet, packet.removesuffix("_"), f"{packet}.{overload}"} & claimed:
            found.append(name)
    assert len(found) > 800
    assert without_row(found) == []
    others = [n for n in claimed if n.split(".")[0] in ("quantized_decomposed", "torchao", "quant", "dim_order_ops")]
    assert len(others) > 5
    assert without_row(others) == ["quant.dequantize_affine"], "the name torchao's operator had before"


QUANTIZATION = """
import torch.ao.quantization.fx._decomposed
import executorch.exir.dialects.edge._ops, executorch.exir.passes.dim_order_ops_registry
import torchao.prototype.quantization.codebook_coreml, torchao.quantization.pt2e.reference_representation_rewrite
names = [name.split("::") for name in torch._C._dispatch_get_all_op_names()]
for namespace, name in names:
    # torchao's other operators are kernels of one kind of processor.
    general = any(
        torch._C._dispatch_has_kernel_for_dispatch_key(f"{namespace}::{name}", f"Composite{kind}")
        for kind in ("ExplicitAutograd", "ImplicitAutograd")
    )
    if namespace in ("quantized_decomposed", "dim_order_ops") or (namespace in ("torchao", "quant") and general):
        print("found", ".".join([namespace, *name.split("."), "default"][:3]))
"""


def test_operators_of_quantization_and_memory_layout_have_rows():
    # An import registers them: in this process the list would hang on which tests came before.
    listed = subprocess.run([sys.executable, "-c", QUANTIZATION], capture_output=True, text=True, check=True).stdout
    found = [line.split()[1] for line in listed.splitlines() if line.startswith("found ")]
    assert {name.split(".")[0] for name in found} == {"quantized_decomposed", "dim_order_ops", "torchao", "quant"}
    assert without_row(found) == []


def test_the_universe_as_data_has_rows():
    assert without_row(list(read_universe().operators)) == []


def test_what_the_evidence_names_has_rows():
    names = set()
    for path in (Path(__file__).parents[2] / "reports/evidence").glob("*.jsonl"):
        for record in read_evidence(path).records:
            names |= {*record.delegated, *record.fallback}
            names |= {record.op} if record.kind in OF_OPERATORS else set()
    # Cases named after a public function because no operator is of its name.
    operators = [name for name in names if not name.startswith(("torch.", "operator."))]
    assert without_row(operators) == []


@pytest.mark.parametrize(
    ("written", "row"),
    [
        ("aten.add.Tensor", "aten.add"),
        ("aten::add_.Tensor", "aten.add"),
        ("torch.ops.aten.add.Tensor", "aten.add"),
        ("gelu", "aten.gelu"),
        ("aten.view_copy.default", "aten.view"),
        ("aten.div.Tensor_mode", "aten.div.Tensor_mode"),
        ("aten.div_.Tensor_mode", "aten.div.Tensor_mode"),
        ("aten.div.Tensor", "aten.div"),
        ("aten._to_copy.default", "aten._to_copy"),
        ("prims.mul.default", "aten.mul"),
        ("quantized_decomposed.dequantize_per_tensor.tensor", "quantized_decomposed.dequantize_per_tensor"),
        ("quantized_decomposed::add.scalar", "quantized_decomposed.add"),
        ("dim_order_ops._to_dim_order_copy.default", "dim_order_ops._to_dim_order_copy"),
    ],
)
def test_lookup_finds_the_row(written: str, row: str):
    assert lookup(written).op == row


@pytest.mark.parametrize("op", ["aten.frobnicate.default", "mylib.add.default", "aten.addmmm.default"])
def test_what_has_no_row_is_visible_and_never_exact(op: str):
    rule = lookup(op)
    assert rule.label == "COMPOSED (no row)"
    assert rule.op == op
    assert min(rule.factor) > 0


def test_rule_for_takes_the_row_of_the_primary_alone():
    rule = rule_for("aten.gelu.default", ["aten.view.default", "aten.gelu.default", "aten.permute.default"])
    assert (rule.op, rule.cls) == ("aten.gelu", C.ABS_ERROR)


def test_rule_for_takes_the_row_of_the_one_operator_behind_a_wrapper():
    rule = rule_for("aten.reshape.default", ["aten.view.default", "aten.mul.Tensor"])
    assert rule.op == "aten.mul"


def test_rule_for_composes_several_and_says_so():
    rule = rule_for("aten.mul.Tensor", ["aten.mul.Tensor", "aten.mul.Tensor", "aten.div.Tensor", "aten.view.default"])
    assert rule.cls is C.COMPOSED
    assert rule.factor == (4.5, 4.5)
    assert "2 x aten.mul" in rule.reason
    assert "aten.div" in rule.reason
    assert rule.label == "COMPOSED"


def test_rule_for_has_no_row_when_a_part_has_none():
    rule = rule_for("aten.mul.Tensor", ["aten.mul.Tensor", "aten.frobnicate.default"])
    assert rule.label == "COMPOSED (no row)"


def test_a_public_function_needs_no_row():
    assert rule_for("torch.broadcast_shapes", ["aten.view.default"]).label == "EXACT"
    assert rule_for("torch.nn.functional.f", ["aten.view.default", "aten.mul.Tensor"]).op == "aten.mul"
    assert rule_for("torch.nn.functional.f", ["aten.div.Tensor", "aten.mul.Tensor"]).label == "COMPOSED"


def test_non_operators_of_a_graph_do_not_count():
    assert rule_for("aten.topk.default", ["aten.topk.default", "_operator.getitem"]).cls is C.EXACT
