import subprocess
import sys

import pytest

from harness.evidence.universe import (
    LEFT_OUT,
    SOURCES,
    Operator,
    Universe,
    has_universe,
    installed_versions,
    read_universe,
)
from harness.evidence.vocabulary import HarnessError

GELU = Operator("aten.gelu.default", ("core", "coremltools"), "aten::gelu(Tensor self) -> Tensor", ("pointwise",))
PERMUTE = Operator("aten.permute.default", ("core",), "aten::permute(Tensor(a) self, int[] dims) -> Tensor(a)")


@pytest.fixture
def universe():
    beside = {"aten.celu.default": "aten::celu(Tensor self, Scalar alpha=1.0) -> Tensor"}
    return Universe({"torch": "2.13.0"}, {op.name: op for op in (GELU, PERMUTE)}, {"out": 7}, ("noop",), beside)


def test_text_is_read_back(universe):
    assert Universe.from_text(universe.to_text()) == universe
    assert universe.to_text().count("\n") == 4


def test_schemas_of_rows_and_of_what_users_call_beside_them(universe):
    assert universe.schema(GELU.name) == GELU.schema
    assert universe.schema("aten.celu.default").startswith("aten::celu(")
    assert universe.schema("aten.nothing.default") == ""
    committed = read_universe()
    assert not committed.beside.keys() & committed.operators.keys()
    assert "Scalar lambd=0.5" in committed.schema("aten.hardshrink.default")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text.split("\n", 1)[1],
        lambda text: "\n".join(text.split("\n")[:-2]),
        lambda text: "\n".join([*text.split("\n")[:2], *text.split("\n")[3:]]),
        lambda text: text.replace('"name"', '"nmae"'),
    ],
)
def test_a_damaged_file_is_refused(universe, damage, monkeypatch, tmp_path):
    path = tmp_path / "universe.jsonl"
    path.write_text(damage(universe.to_text()))
    monkeypatch.setattr("harness.evidence.universe.PATH", path)
    with pytest.raises(HarnessError, match="not an operator universe"):
        read_universe()


def test_versions_without_a_universe_are_refused_with_the_way_out():
    with pytest.raises(HarnessError, match=r"torch 0\.1.*run coreml-harness index"):
        read_universe({"torch": "0.1", "coremltools": "9.0", "executorch": "1.5.1"})


def test_the_local_part_of_a_version_makes_no_difference():
    versions = {"torch": "2.13.0+cpu", "coremltools": "9.0", "executorch": "1.5.1"}
    assert has_universe(versions)
    assert not has_universe({**versions, "torch": "2.12.0"})


def test_the_committed_universe_is_sorted_and_speaks_the_vocabulary():
    universe = read_universe()
    assert dict(universe.versions) == installed_versions()
    assert list(universe.operators) == sorted(universe.operators)
    for name, operator in universe.operators.items():
        assert operator.name == name
        assert operator.sources
        assert list(operator.sources) == [source for source in SOURCES if source in operator.sources]
        assert operator.schema.startswith(name.split(".")[0] + "::")
    assert set(universe.left_out) == set(LEFT_OUT)


def test_reading_it_imports_no_torch():
    script = "import sys, harness.evidence.universe as u; u.read_universe(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "False\n"
