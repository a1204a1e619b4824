"""The harvest of operator instances: the same each time, and what `instances.jsonl.gz` holds."""

from __future__ import annotations

import logging

import harvest
import pytest
from mil_instances import Instance, read, write

from harness.evidence.vocabulary import Level


@pytest.fixture(autouse=True)
def _logging():
    yield
    logging.disable(logging.NOTSET)


def test_a_part_is_the_same_each_time_and_in_the_file(tmp_path):
    first, second = harvest.harvest("aten.ceil.default"), harvest.harvest("aten.ceil.default")
    assert "ceil" in {instance.op for instance in first}
    files = tmp_path / "first.gz", tmp_path / "second.gz"
    for found, file in zip((first, second), files, strict=True):
        write(found, file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert harvest.unknown_to(first, read()) == []


def test_the_recipe_of_a_case_does_not_depend_on_the_choice():
    every = {case.id: recipe for case, recipe in harvest.chosen("*")}
    part = {case.id: recipe for case, recipe in harvest.chosen("aten.c*")}
    assert 0 < len(part) < len(every)
    assert part == {case: every[case] for case in part}
    assert len(set(every.values())) == 2


def test_first_samples_come_first_and_none_of_level_full():
    cases = [case for case, _ in harvest.chosen("*")]
    assert all(case.level is not Level.FULL for case in cases)
    functions = {case.api for case in cases}
    assert {case.api for case in cases[: len(functions)]} == functions


def _instances(op: str, count: int) -> list[Instance]:
    return [Instance(op, 8, {"x": {"t": "fp32", "s": [size]}}) for size in range(count)]


def test_what_is_not_in_the_file_is_named():
    kept = _instances("exp", 3)
    assert harvest.unknown_to(kept[:2], kept) == []
    assert harvest.unknown_to(_instances("exp", 5), kept) == _instances("exp", 5)[3:]
    # Of an operator of which there are more than enough, another choice of cases finds others.
    many = _instances("add", harvest.PER_OPERATOR)
    assert harvest.unknown_to(_instances("add", harvest.PER_OPERATOR + 1), many) == []
    assert len(harvest.limited(_instances("add", harvest.PER_OPERATOR + 5))) == harvest.PER_OPERATOR


def test_a_part_does_not_overwrite_the_file(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["harvest.py", "--op", "aten.ceil.default"])
    before = harvest.FILE.read_bytes()
    with pytest.raises(SystemExit) as stopped:
        harvest.main()
    assert stopped.value.code == 2
    assert "a part of the cases does not make the file" in capsys.readouterr().err
    assert harvest.FILE.read_bytes() == before
