import hashlib
import json

import pytest
import torch

from harness.cases.calls import parse
from harness.cases.index import generated, universe
from harness.commands import index
from harness.commands.index import Index, run
from harness.evidence.vocabulary import HarnessError


@pytest.fixture
def table(monkeypatch, tmp_path):
    path = tmp_path / "t.jsonl"
    monkeypatch.setattr(index, "INDEXES", (Index("universe", path),))
    return path


def test_what_changed_is_written_and_a_second_run_writes_nothing(table, capsys):
    assert run(make=lambda _: "a\n") == 0
    assert table.read_text() == "a\n"
    assert run(make=lambda _: "a\n") == 0
    assert capsys.readouterr().out == "universe: t.jsonl: written\nuniverse: t.jsonl: up to date\n"


def test_a_check_writes_nothing_and_names_what_is_out_of_date(table, capsys):
    assert run(check=True, make=lambda _: "a\n") == 1
    assert not table.exists()
    assert "universe: t.jsonl: out of date" in capsys.readouterr().out


def test_an_unknown_name_is_one_line():
    with pytest.raises(HarnessError, match="samples: no such index; they are universe, "):
        run(["samples"])


# What a change of one operator changes.

SEEDS = {
    call.op: call
    for call in map(
        parse,
        (
            "aten.add.Tensor(float32(2, 3), float32(2, 3))",
            "aten.gelu.default(float32(2, 3))",
            "aten.sum.dim_IntList(float32(2, 3), [1])",
        ),
    )
}
CHANGED = "aten.gelu.default"


class Changed:
    """gelu as another version of PyTorch might have it: with one argument more."""

    def __init__(self, overload):
        self._overload = overload
        self._schema = torch._C.parse_schema("aten::gelu(Tensor self, *, str approximate='none', int n=1) -> Tensor")

    def __getattr__(self, name):
        return getattr(self._overload, name)

    def __str__(self):
        return str(self._overload)


class FakeClaims:
    def source(self, name):
        return "coremltools"

    def without(self, names):
        return []


@pytest.fixture
def few_operators(monkeypatch):
    """The registry of the installed packages, but of three operators."""
    monkeypatch.setattr(universe, "REGISTERING", ())
    monkeypatch.setattr(universe, "_Claims", FakeClaims)
    monkeypatch.setattr(universe, "_dispatched", lambda _namespaces: ["aten::add.Tensor", "aten::gelu", "aten::relu"])
    monkeypatch.setattr(universe, "_torchscript_only", lambda _dispatched: ())
    monkeypatch.setattr(generated, "seed_calls", lambda _version: SEEDS)
    # Eager takes every call, and makes something else of each.
    monkeypatch.setattr(
        generated, "results_of", lambda calls: [hashlib.sha256(str(call).encode()).hexdigest() for call in calls]
    )


def in_this_process(index):
    return {"universe": universe, "generated": generated}[index.name].index_text(lambda _progress: None)


@pytest.mark.parametrize(
    ("name", "function", "key"), [("universe", "_overload", "name"), ("generated", "overload", "op")]
)
def test_a_changed_schema_changes_the_lines_of_its_operator_alone(
    name, function, key, few_operators, monkeypatch, tmp_path, capsys
):
    table = tmp_path / f"{name}.jsonl"
    monkeypatch.setattr(index, "INDEXES", (Index(name, table),))
    run(make=in_this_process)
    before = table.read_text().splitlines()
    module = {"universe": universe, "generated": generated}[name]
    installed = getattr(module, function)

    def changed(asked):
        found = installed(asked)
        return Changed(found) if str(found) == CHANGED else found

    monkeypatch.setattr(module, function, changed)
    assert run(check=True, make=in_this_process) == 1
    run(make=in_this_process)
    after = table.read_text().splitlines()
    assert before[0] == after[0]
    different = set(before) ^ set(after)
    assert {json.loads(line)[key] for line in different} == {CHANGED}
    assert [line for line in before if line not in different] == [line for line in after if line not in different]
    assert len(before) - len(different) > 1
    assert f"{name}: {table.name}: out of date" in capsys.readouterr().out
