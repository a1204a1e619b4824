import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cases import find
from harness.cases.find import SUITES
from harness.commands.listing import run, run_coverage
from harness.evidence.vocabulary import HarnessError
from harness.publish.coverage import NO_REASON
from harness.units.registry import units_here

REASONS = Path("suites/ops/uncovered.yaml")


def listed(capsys, **options):
    assert run(**options) == 0
    return [re.split(" {2,}", line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_is_id_level_and_api(capsys):
    assert listed(capsys, op="aten.neg", level="smoke") == [
        ["ops/aten.neg.default/float32/opinfo-1df5b9", "smoke", "neg"]
    ]


def test_levels_hold_one_another_and_full_is_everything(capsys):
    smoke, standard, full = (
        {line[0] for line in listed(capsys, level=level)} for level in ("smoke", "standard", "full")
    )
    assert smoke < standard < full
    everything = find.all_cases()
    assert full == {case.id for case in everything if any(map(case.runs_on, units_here()))}


def test_cases_that_attract_the_ane_are_listed_where_it_may_be_used(capsys):
    here, there = (
        {line[0] for line in listed(capsys, op="aten.gelu.default", units=units)}
        for units in (["reference"], ["reference", "cpu_and_ne"])
    )
    assert there - here == {"ops/aten.gelu.default/float32/ane"}
    with pytest.raises(HarnessError, match="unknown unit 'moon'"):
        run(units=["moon"])


@pytest.mark.parametrize("op", ["aten.gelu.default", "aten.gelu", "nn.functional.gelu", "aten.gel?", "model.*"])
def test_a_glob_names_overloads_packets_and_functions(capsys, op):
    found = listed(capsys, op=op, level="full")
    assert found
    assert all(("gelu" in line[0]) or ("models/" in line[0]) for line in found)


@pytest.mark.parametrize("op", ["aten.nosuch*", "", "GELU", "ops/aten.gelu.default/float32/opinfo-789070"])
def test_what_names_nothing_is_refused(op):
    with pytest.raises(HarnessError, match="no operator or API name matches it"):
        run(op=op)


def test_an_operator_that_has_no_case_at_the_level_lists_nothing(capsys):
    assert listed(capsys, op="model.bert", level="smoke") == []


def test_listing_is_cheap_and_a_reader_may_go_away():
    script = (
        "import sys\n"
        "from harness.cli import main\n"
        "code = main(['list', '--level', 'full'])\n"
        "print([m for m in ('torch', 'numpy', 'executorch', 'pytest') if m in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"ops/")
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(60) == 0
    assert said == "[]\n"


def coverage_lines(capsys, reasons=REASONS, **options):
    code = run_coverage([], reasons, **options)
    return code, capsys.readouterr().out.splitlines()


def test_a_covered_operator_has_no_line(capsys):
    code, lines = coverage_lines(capsys, op="aten.gelu.default")
    assert code == 0
    assert len(lines) == 1
    assert lines[0].startswith("1 operators: 1 covered (1 by cases made for them, 0 contained in recorded graphs), ")
    assert lines[0].endswith(" 0 with a reason, 0 with neither")


def test_an_operator_without_a_case_has_its_sources_and_its_reason(capsys):
    code, lines = coverage_lines(capsys, op="aten.randperm.default")
    assert code == 0
    assert lines[0].startswith("aten.randperm.default  core  Random, ")


def test_an_operator_with_neither_case_nor_reason_is_a_finding(capsys, tmp_path):
    (tmp_path / "none.yaml").write_text("[]")
    code, lines = coverage_lines(capsys, tmp_path / "none.yaml", op="aten.randperm.default")
    assert code == 1
    assert lines[0] == "aten.randperm.default  core  NO CASE, NO REASON"
    assert lines[-1].endswith("0 with a reason, 1 with neither")


def test_a_case_that_attracts_the_ane_covers_no_operator(capsys, monkeypatch):
    monkeypatch.setitem(
        SUITES, "ops", lambda _level: [c for c in find.operators() if c.ane or c.op != "aten.log1p.default"]
    )
    assert coverage_lines(capsys, op="aten.log1p.default")[1][0].endswith(NO_REASON)


@pytest.mark.parametrize(
    ("operator", "why"),
    [("aten.gelu.default", "has a reason, but is covered"), ("aten.gone.default", "is not in the universe")],
)
def test_a_reason_that_explains_nothing_is_a_finding(capsys, tmp_path, operator, why):
    path = tmp_path / "stale.yaml"
    path.write_text(f"- {{reason: Old, operators: [{operator}]}}")
    code, lines = coverage_lines(capsys, path, op="aten.gelu.default")
    assert code == 1
    assert any(line.startswith(f"{path}: {operator}: ") and why in line for line in lines)


def test_every_operator_of_the_universe_has_a_case_or_a_reason_and_no_reason_is_stale(capsys):
    """By cases alone: what recorded graphs contain besides may come and go."""
    code, lines = coverage_lines(capsys)
    assert [line for line in lines if "NO CASE" in line or "has a reason" in line.partition(":")[2]] == []
    assert code == 0


def test_coverage_of_an_unknown_operator_is_refused():
    with pytest.raises(HarnessError, match="no operator of the universe has this name"):
        run_coverage([], REASONS, op="aten.nosuch*")


def test_coverage_imports_no_torch():
    script = (
        "import sys\n"
        "from harness.cli import main\n"
        "main(['list', '--coverage', '--op', 'aten.gelu.default'])\n"
        "print([m for m in ('torch', 'numpy', 'executorch', 'pytest') if m in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr
