import pytest

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
