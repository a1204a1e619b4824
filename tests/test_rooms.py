"""The import contracts of pyproject.toml hold every module: one that stands in no room, or imports upwards, is told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOORS = {"__init__.py", "__main__.py", "check.py", "cli.py", "py.typed"}


def test_nothing_loose_stands_beside_the_rooms():
    assert {path.name for path in (ROOT / "harness").iterdir() if path.is_file()} <= DOORS


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the package's modules and of the contracts."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(ROOT / "harness", folder / "harness", ignore=shutil.ignore_patterns("*.jsonl", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def linted(folder: Path) -> tuple[int, str]:
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", script, "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "text", "told"),
    [
        ("loose.py", "", "harness.loose"),
        ("attic/__init__.py", "", "harness.attic"),
        ("evidence/upwards.py", "import harness.cases.case\n", "harness.evidence.upwards -> harness.cases.case"),
        ("publish/measuring.py", "import harness.lowering.lower\n", "harness.publish.measuring -> harness.lowering"),
        ("verdict/running.py", "import harness.units.base\n", "harness.verdict.running -> harness.units.base"),
        ("mil/knowing.py", "import harness.evidence.record\n", "harness.mil.knowing -> harness.evidence.record"),
    ],
)
def test_a_module_without_a_room_or_with_an_import_upwards_fails(house, module, text, told):
    path = house / "harness" / module
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    try:
        code, said = linted(house)
    finally:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    assert code == 1
    assert told in said


def test_the_house_as_it_is_keeps_them(house):
    assert linted(house)[0] == 0
