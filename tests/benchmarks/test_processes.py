import sys

import pytest

from benchmarks.processes import answer, run
from harness.evidence.vocabulary import HarnessError


def test_a_command_is_told_with_what_it_cost():
    cost = run([sys.executable, "-c", "sum(range(3_000_000)); print('done'); raise SystemExit(3)"])
    assert cost.code == 3
    assert cost.output == "done\n"
    assert cost.cpu > 0
    assert cost.wall > 0


def test_processes_of_a_process_count():
    inner = "sum(range(20_000_000))"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{inner}'], check=True)"
    alone = run([sys.executable, "-c", "pass"])
    assert run([sys.executable, "-c", outer]).cpu > alone.cpu + 0.05


def test_a_part_that_fails_is_one_line():
    with pytest.raises(HarnessError, match=r"bench_floor neither: exit code 2: .*invalid choice"):
        answer("benchmarks.bench_floor", ["neither"])


def test_a_part_that_prints_no_json_is_told():
    with pytest.raises(HarnessError, match="no JSON"):
        answer("benchmarks.bench_floor", ["--help"])
