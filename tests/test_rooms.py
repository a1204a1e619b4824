"""The import contracts of pyproject.toml hold every module: one that stands in no room, or imports upwards, is told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Modules whose tests stand in another's file: they have no behaviour but what shows there.
TESTED_ELSEWHERE = {
    "mil/kernels/*.py": "mil/properties/test_kernel_properties.py",
    "verdict/table/*.py": "verdict/test_table.py",
    "cases/index/ane.py": "cases/test_ane.py",
    # The models themselves, each held to the same.
    "cases/models/audio.py": "cases/test_models.py",
    "cases/models/cached.py": "cases/test_models.py",
    "cases/models/dense.py": "cases/test_models.py",
    "cases/models/generative.py": "cases/test_models.py",
    "cases/models/image_transformers.py": "cases/test_models.py",
    "cases/models/initialise.py": "cases/test_models.py",
    "cases/models/language.py": "cases/test_models.py",
    "cases/models/model.py": "cases/test_models.py",
    "cases/models/multimodal.py": "cases/test_models.py",
    "cases/models/recurrent.py": "cases/test_models.py",
    "cases/models/timm_models.py": "cases/test_models.py",
    "cases/models/vision.py": "cases/test_models.py",
    "commands/compare_units.py": "test_forms.py",
    "diagnosis/eager.py": "diagnosis/test_localise.py",
    "diagnosis/nodes.py": "diagnosis/test_localise.py",
    "diagnosis/replay.py": "diagnosis/test_localise.py",
    "evidence/made_with.py": "evidence/test_partitioner_rules.py",
    "lowering/entries.py": "lowering/test_cache.py",
    "mil/errors.py": "mil/test_interpreter.py",
    "mil/protobuf.py": "mil/test_package.py",
    "plugin/refusal.py": "plugin/test_conformance.py",
    "plugin/run.py": "plugin/test_conformance.py",
    "plugin/summary.py": "plugin/test_conformance.py",
    "publish/rendering.py": "publish/test_pages.py",
    "verdict/control_flow.py": "test_forms.py",
    "units/base.py": "units/test_registry.py",
    "units/runner_app.py": "units/test_device.py",
}
DOORS = {"__init__.py", "__main__.py", "check.py", "cli.py", "py.typed"}


def test_nothing_loose_stands_beside_the_rooms():
    assert {path.name for path in (ROOT / "harness").iterdir() if path.is_file()} <= DOORS


def file_of_tests(module: str) -> str:
    """The test file of a module: the one of its name, unless `TESTED_ELSEWHERE` says another."""
    for pattern, test in TESTED_ELSEWHERE.items():
        if fnmatch(module, pattern):
            return test
    room, _, name = module.rpartition("/")
    return f"{room}/test_{name}" if room else f"test_{name}"


def test_every_module_has_its_tests():
    modules = [path.relative_to(ROOT / "harness").as_posix() for path in (ROOT / "harness").rglob("*.py")]
    own = [module for module in modules if not module.endswith(("__init__.py", "__main__.py"))]
    assert len(own) > 100
    lacking = {module: test for module in own if not (ROOT / "tests" / (test := file_of_tests(module))).is_file()}
    assert lacking == {}, "modules without the test file named beside them"


def test_no_module_is_said_to_be_tested_elsewhere_in_vain():
    for pattern in TESTED_ELSEWHERE:
        found = list((ROOT / "harness").glob(pattern))
        assert found, pattern
        for path in found:
            module = path.relative_to(ROOT / "harness")
            assert not (ROOT / "tests" / module.parent / f"test_{module.name}").exists(), module


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
