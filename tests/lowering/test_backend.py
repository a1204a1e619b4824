"""A backend of another version, faked: its import registers something, then fails."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.lowering import backend


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    backend.import_failure.cache_clear()
    yield
    backend.import_failure.cache_clear()


def test_the_installed_backend_is_there() -> None:
    assert backend.import_failure() is None


def test_the_first_failure_is_what_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second attempt at the same import meets what the first left behind, and tells something else."""
    (tmp_path / "backend_of_another_version.py").write_text(
        "import math\n"
        "if hasattr(math, 'registered_by_a_test'):\n"
        "    raise ValueError('already registered')\n"
        "math.registered_by_a_test = True\n"
        "import converter_of_another_version\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("math.registered_by_a_test", True, raising=False)
    monkeypatch.delattr("math.registered_by_a_test")
    monkeypatch.setattr(backend, "_MODULES", ("backend_of_another_version",))
    first = backend.import_failure()
    assert isinstance(first, ModuleNotFoundError)
    assert "converter_of_another_version" in str(first)
    assert backend.import_failure() is first
    backend.import_failure.cache_clear()
    assert isinstance(backend.import_failure(), ValueError)


def test_what_coremltools_imports_for_others_is_left_until_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "for_others.py").write_text("")
    (tmp_path / "converters_of_a_test.py").write_text(
        "try:\n    import for_others\nexcept ImportError:\n    HAS_OTHERS = False\nelse:\n    HAS_OTHERS = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(backend, "_MODULES", ("converters_of_a_test",))
    monkeypatch.setattr(backend, "_UNUSED", ("for_others", "pathlib"))
    assert backend.import_failure() is None
    assert not importlib.import_module("converters_of_a_test").HAS_OTHERS
    assert importlib.import_module("for_others").__file__ is not None
    assert sys.modules["pathlib"] is not None
