"""Programs that older releases made: files, modules and their table belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cases import programs
from harness.cases.case import CaseFault
from harness.cases.program_modules import PROGRAMS


def test_each_case_has_its_file_and_each_file_its_case() -> None:
    files = {path.relative_to(programs.FOLDER) for path in programs.FOLDER.glob("*/*.pte")}
    assert files == {Path(release, f"{name}.pte") for release in programs.RELEASES for name in programs.PROGRAMS}
    assert all((programs.FOLDER / path).stat().st_size < 20_000 for path in files)


def test_a_program_is_named_by_the_recipe_it_was_made_by() -> None:
    assert {name: recipe for name, (_, recipe) in PROGRAMS.items()} == programs.PROGRAMS


def test_without_the_files_a_case_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "FOLDER", tmp_path)
    with pytest.raises(CaseFault, match=r"1\.2\.0/conv\.pte: No such file"):
        programs.build("1.2.0", "conv")
