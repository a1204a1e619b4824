"""The scripts of `reports/findings`: each belongs to a cause, imports only what stands in an upstream issue, and shows
its defect here. Those that import executorch are run in one child process, the others where nothing of it is
registered."""

import ast
import sys
from pathlib import Path

import pytest
from plain_python import run

from harness.evidence.causes import read_causes
from harness.evidence.conditions import holds, installed

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "reports" / "findings"
CAUSES = {cause.cause: cause for cause in read_causes()}
WITH_SCRIPT = sorted(slug for slug, cause in CAUSES.items() if cause.script)
SHOWN_HERE = [slug for slug in WITH_SCRIPT if CAUSES[slug].script != "own-mac" or sys.platform == "darwin"]
ALLOWED = {"torch", "executorch", "executorchcoreml", "coremltools", "numpy", "__future__", *sys.stdlib_module_names}
#: Packages a defect depends on.
MEASURED_HERE = ("torch", "executorch", "coremltools")


def imported(source):
    """Top-level names of the modules a source imports; relative imports count as `.`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else node.module.partition(".")[0]


def not_shown(slug, code, output):
    """What a maintainer does about it: a defect mended in these versions gets a limit, a broken script a cure."""
    here = ", ".join(f"{name} {version}" for name, version in installed().items() if name in MEASURED_HERE and version)
    if code == 1:
        return (
            f"{slug}: its defect is not shown with {here}; if it is mended there, limit its cause with `when`\n{output}"
        )
    return f"{slug}: the script itself fails with {here} (exit code {code})\n{output}"


@pytest.fixture(scope="module")
def answers(request, tmp_path_factory):
    """Of every script whose test is to be run; from an empty directory, so that none depends on this one."""
    items = [item for item in request.session.items if item.path == request.path and "answers" in item.fixturenames]
    paths = [path for item in items if (path := SCRIPTS / f"{item.callspec.params['slug']}.py").exists()]
    lowering = [path for path in paths if "executorch" in imported(path.read_text(encoding="utf-8"))]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    return run([path for path in paths if path not in lowering], elsewhere) | run(lowering, elsewhere)


@pytest.mark.parametrize("slug", WITH_SCRIPT)
def test_a_cause_has_its_script(slug):
    assert (SCRIPTS / f"{slug}.py").is_file()


@pytest.mark.parametrize("slug", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_a_script_belongs_to_a_cause_and_imports_what_an_issue_may(slug):
    cause = CAUSES.get(slug)
    assert cause is not None, f"no cause {slug}: add it to harness/evidence/causes or remove the script"
    assert cause.script, f"cause {slug} does not say script"
    source = (SCRIPTS / f"{slug}.py").read_text(encoding="utf-8")
    assert sorted(set(imported(source)) - ALLOWED) == []


@pytest.mark.slow
@pytest.mark.xdist_group("scripts")  # one worker runs all of them
@pytest.mark.parametrize("slug", SHOWN_HERE)
def test_a_script_shows_its_defect(answers, slug):
    code, output = answers[str(SCRIPTS / f"{slug}.py")]
    if not holds(CAUSES[slug].when, installed()):
        pytest.skip(f"{slug} is a cause of other versions: {dict(CAUSES[slug].when)}")
    assert code == 0, not_shown(slug, code, output)
    assert output.strip(), f"{slug} says nothing"
    for place in (str(ROOT), str(Path.home()), "site-packages"):
        assert place not in output, f"{slug} prints a machine's path"


def test_a_defect_that_is_gone_is_told_from_a_script_that_breaks(monkeypatch):
    monkeypatch.setitem(globals(), "installed", lambda: {"coremltools": "8.3.0", "torch": None, "os": "linux"})
    gone, broken = not_shown("gelu", 1, "equal"), not_shown("gelu", "Traceback", "")
    assert gone.startswith("gelu: its defect is not shown with coremltools 8.3.0; ")
    assert "`when`" in gone
    assert broken.startswith("gelu: the script itself fails with coremltools 8.3.0 (exit code Traceback)")


@pytest.mark.parametrize(
    ("source", "foreign"),
    [
        ("import torch, numpy as np\nfrom executorch.exir import x", []),
        ("import harness.evidence", ["harness"]),
        ("def f():\n    from transformers import BertModel", ["transformers"]),
        ("from . import helpers", ["."]),
    ],
)
def test_foreign_imports_are_seen_wherever_they_stand(source, foreign):
    assert sorted(set(imported(source)) - ALLOWED) == foreign
