"""The pins of another set of versions, installed whatever they ask of each other; pip is faked."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "install.py"
PROJECT = {
    "dependencies": ["torch==2.13.0", "executorch==1.5.1", "coremltools==8.3", "numpy>=2.0,<3", "click>=8.1"],
    "optional-dependencies": {"models": ["torchvision==0.28.0"], "dev": ["ruff==0.17.6"]},
}
REQUIRES = {
    "torch": ["sympy>=1.13"],
    "executorch": ["coremltools==9.0; python_version < '3.14'", "torchao>=0.18", "pandas; extra == 'tests'"],
    "coremltools": ["numpy>=1.14.5", "tqdm"],
}


@pytest.fixture
def install():
    spec = importlib.util.spec_from_file_location("install", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pins_are_those_of_the_project(install):
    assert install.pinned(PROJECT) == ["torch==2.13.0", "executorch==1.5.1", "coremltools==8.3"]


def test_a_pin_is_not_what_another_package_asks_for(install):
    lines = install.others(PROJECT, ["models"], REQUIRES.__getitem__)
    assert lines == [
        *("numpy>=2.0,<3", "click>=8.1", "torchvision==0.28.0"),
        *("sympy>=1.13", "torchao>=0.18", "numpy>=1.14.5", "tqdm"),
    ]


@pytest.mark.parametrize(
    ("line", "name"),
    [("Torch_AO>=1", "torch-ao"), ("numpy", "numpy"), ("ruamel.yaml (>=0.1)", "ruamel-yaml"), ("", "")],
)
def test_names_are_compared_as_packages_are(install, line, name):
    assert install.name_of(line) == name


def test_pins_first_then_the_rest_held_to_them_then_the_project(install, monkeypatch):
    calls, constraints = [], []

    def run(command, check):
        calls.append(command[len(install.PIP) :])
        if "--constraint" in command:
            constraints.append(Path(command[command.index("--constraint") + 1]).read_text().split())
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(install.subprocess, "run", run)
    assert install.main(["dev"]) == 0
    first, second, third = calls
    assert "--no-deps" in first
    assert [line.partition("==")[0] for line in first if "==" in line] == ["torch", "executorch", "coremltools"]
    assert constraints == [[line for line in first if "==" in line]]
    assert "coremltools" not in {install.name_of(line) for line in second[second.index("--constraint") + 2 :]}
    assert third[-3:] == ("--no-deps", "--editable", str(SOURCE.parent))


def test_what_pip_cannot_do_ends_it(install, monkeypatch):
    calls = []
    monkeypatch.setattr(
        install.subprocess, "run", lambda c, check: calls.append(c) or subprocess.CompletedProcess(c, 3)
    )
    assert install.main([]) == 3
    assert len(calls) == 1
