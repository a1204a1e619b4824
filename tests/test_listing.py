import subprocess
import sys

import pytest

from harness.cases.find import SUITES
from harness.evidence.vocabulary import HarnessError
from harness.listing import run


def listed(capsys, **options):
    assert run(**options) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_line_is_id_level_and_api(capsys):
    assert listed(capsys, op="aten.neg") == [["ops/aten.neg.default/float32/opinfo-0", "smoke", "neg"]]


def test_levels_hold_one_another_and_full_is_everything(capsys):
    smoke, standard, full = (
        {line[0] for line in listed(capsys, level=level)} for level in ("smoke", "standard", "full")
    )
    assert smoke < standard < full
    assert full == {case.id for suite in SUITES.values() for case in suite()}


@pytest.mark.parametrize("op", ["aten.gelu.default", "aten.gelu", "nn.functional.gelu", "aten.gel?", "model.*"])
def test_a_glob_names_overloads_packets_and_functions(capsys, op):
    found = listed(capsys, op=op, level="full")
    assert found
    assert all(("gelu" in line[0]) or ("models/" in line[0]) for line in found)


@pytest.mark.parametrize("op", ["aten.nosuch*", "", "GELU", "ops/aten.gelu.default/float32/opinfo-0"])
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
