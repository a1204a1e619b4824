import subprocess
import sys

import pytest
import torch

from harness.cases.index import universe as universe_index
from harness.cases.index.universe import NAMESPACES, make_universe
from harness.evidence.universe import PATH
from harness.evidence.vocabulary import HarnessError


@pytest.fixture(scope="module")
def universe():
    return make_universe()


@pytest.fixture(scope="module")
def claims():
    from harness.cases.index.universe import _Claims

    return _Claims()


def test_the_committed_file_is_what_the_installed_packages_say(universe):
    # In a process of its own: what other tests import registers operators too.
    script = "from harness.cases.index.universe import make_universe; print('made' + make_universe().to_text(), end='')"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert made.partition("made")[2] == PATH.read_text(encoding="utf-8")


def test_every_core_overload_is_a_row(universe):
    """Counted another way: by walking torch.ops.aten."""
    core = set()
    for packet in dir(torch.ops.aten):
        operator = getattr(torch.ops.aten, packet)
        for overload in operator.overloads() if isinstance(operator, torch._ops.OpOverloadPacket) else ():
            if torch.Tag.core in getattr(operator, overload).tags:
                core.add(f"aten.{packet}.{overload}")
    assert len(core) > 150
    assert {name for name, row in universe.operators.items() if "core" in row.sources} == core


def test_the_partitioner_claims_the_rows_of_the_registry_and_no_others(universe):
    """coremltools' own query, given graph nodes, agrees with the sources."""
    from coremltools.converters.mil.frontend.torch.torch_op_registry import is_torch_fx_node_supported
    from executorch.exir.dialects._ops import ops as edge

    graph = torch.fx.Graph()
    for row in universe.operators.values():
        namespace, packet, overload = row.name.split(".")
        if packet.endswith("_"):
            continue  # the query asserts that there are none
        claimed = {"coremltools", "executorch"} & set(row.sources)
        for ops in (torch.ops, edge.edge):
            try:
                target = getattr(getattr(getattr(ops, namespace), packet), overload)
            except (AttributeError, RuntimeError):
                continue  # the edge dialect has no such operator
            # torch.ops' names have no namespace, which only aten's may lack.
            if ops is edge.edge or namespace == "aten":
                assert is_torch_fx_node_supported(graph.call_function(target)) == bool(claimed), row.name


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("aten.add.Tensor", "coremltools"),
        ("aten.add.Scalar", "coremltools"),
        ("aten.add.out", None),
        ("aten.where.ScalarSelf", "coremltools"),
        ("aten.scatter.src", "coremltools"),
        ("aten.scatter_reduce.two", None),
        ("aten.split_copy.Tensor", "executorch"),
        ("torchao.dequantize_affine.default", "executorch"),
        ("quantized_decomposed.quantize_per_tensor.tensor", "coremltools"),
        ("quantized_decomposed.quantize_per_tensor.tensor2", None),
        ("torchvision.nms.default", None),
    ],
)
def test_who_claims_a_name(claims, name, source):
    assert claims.source(name) == source


def test_views_and_composites_are_tagged(universe):
    assert "view" in universe.operators["aten.permute.default"].tags
    assert "view" not in universe.operators["aten.permute_copy.default"].tags
    assert "composite" in universe.operators["aten.linear.default"].tags
    assert "mutable" in universe.operators["aten.resize_.default"].tags


def test_rows_are_functional_unless_core(universe):
    for row in universe.operators.values():
        if "core" not in row.sources:
            assert "mutable" not in row.tags, row.name
            assert not row.name.endswith((".out", "_out")), row.name


def test_left_out_is_counted_and_no_claimed_name_is_forgotten(universe, claims):
    """A name of the registry has a row, or no operator of the installed packages has it in functional form."""
    assert all(count > 50 for count in universe.left_out.values())
    reached = {claims.canonical(name) for name in universe.operators}
    silent = set(claims.converters) - reached - set(universe.names_without_operator)
    assert {name.split(".")[0].split("::")[0] for name in silent}.isdisjoint(NAMESPACES)
    assert silent == set()


def test_packages_that_do_not_go_together_are_one_line(monkeypatch):
    monkeypatch.setattr(universe_index, "REGISTERING", ("coremltools_of_another_version",))
    with pytest.raises(HarnessError, match=r"^coremltools_of_another_version cannot be imported with torch "):
        universe_index.index_text(str)
