"""The pages against the records by a reading that shares no code with the project (`contract/check_pages.py`), and
that it sees what is planted in them."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tests" / "contract" / "check_pages.py"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_pages", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A copy of what the pages say, beside the same evidence."""
    for name in ("op-support.md", "coreml-op-support.csv"):
        shutil.copy(ROOT / "reports" / name, tmp_path)
    (tmp_path / "evidence").symlink_to(ROOT / "reports" / "evidence")
    return tmp_path


def changed(reports: Path, name: str, pattern: str, text: str) -> None:
    page = reports / name
    before = page.read_text(encoding="utf-8")
    after = re.sub(pattern, text, before, count=1, flags=re.MULTILINE)
    assert after != before, pattern
    page.write_text(after, encoding="utf-8")


def test_it_shares_no_code_with_the_project() -> None:
    imports = re.findall(r"^\s*(?:from|import) (\w+)", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(imports) <= sys.stdlib_module_names | {"__future__"}


@pytest.mark.parametrize("seed", range(3))
def test_twenty_operators_are_as_the_pages_say(pages: ModuleType, seed: int) -> None:
    report = pages.check(seed=seed)
    assert report.problems == []


def test_every_operator_is_as_the_pages_say(pages: ModuleType) -> None:
    report = pages.check(draw=10**6)
    assert report.problems == []
    assert report.answered > 0.7 * report.asked > 500


@pytest.mark.parametrize(
    ("pattern", "text", "said"),
    [
        (r"`approximate` other than 'none'", "`approximate` given", "gelu: tells|gelu: .*silently wrong"),
        (r"^(gelu,.*,)\*\*silently wrong\*\*.*$", r"\1", "gelu: tells"),
        (r"^(abs,.*,)$", r"\1fails to lower: an input of rank 2", "abs: "),
        (r"^(gelu,.*)`approximate` other than 'none'$", r"\1an input of integers", "gelu: .*: gelu\\("),
        (r"^(add,.*,)iOS15,", r"\1iOS16,", "add: lowest target 16, measured 15"),
        (r"^(abs,.*,)$", r"\1**silently wrong** (known): an input of rank 2", "abs: .*known.* works"),
        (r"^abs,", "acosh,", "acosh: listed, and no call of it works"),
        (r"^abs,.*\n", "", "abs: not listed, and a call of it works"),
    ],
)
def test_a_statement_that_does_not_hold_is_found(
    pages: ModuleType, reports: Path, pattern: str, text: str, said: str
) -> None:
    changed(reports, "coreml-op-support.csv", pattern, text)
    problems = pages.check(reports, draw=10**6).problems
    if text == "`approximate` given":
        assert problems == [], "a condition that it cannot read is left"
    else:
        assert any(re.match(said, problem) for problem in problems), problems


def test_calls_of_models_and_operators_without_a_clause_are_counted(pages: ModuleType, reports: Path) -> None:
    changed(reports, "op-support.md", r"\| all (\d+) work \|", r"| all 1\1 work |")
    page = reports / "op-support.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(re.sub(r"(\| fails to lower: [^|]*) \|", r"\1, such as `f()` |", text), encoding="utf-8")
    problems = pages.check(reports, draw=10**6).problems
    assert len([problem for problem in problems if "calls of models" in problem]) == 1
    assert any("mixed operators have no clause" in problem for problem in problems)
