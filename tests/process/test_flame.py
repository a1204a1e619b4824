from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.process import flame
from harness.process.flame import Flame


def test_without_the_profiler_nothing_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flame, "PROFILER", "no_such_profiler")
    one = Flame()
    one.begin(tmp_path)
    assert one.write() == ""
    assert list(tmp_path.iterdir()) == []


def test_what_never_began_writes_nothing() -> None:
    assert Flame().write() == ""


@pytest.mark.skipif(not flame.installed(), reason=f"{flame.PROFILER} is not installed: pip install '.[profile]'")
def test_a_page_shows_where_the_process_was(tmp_path: Path) -> None:
    """In a process of its own: a profiler takes the place of any other in its thread."""
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from harness.process.flame import Flame\n"
        "def spend_a_while():\n"
        "    until = time.perf_counter() + 0.3\n"
        "    while time.perf_counter() < until: pass\n"
        "one = Flame()\n"
        "one.begin(Path(sys.argv[1]))\n"
        "one.begin(Path('nowhere'))\n"
        "spend_a_while()\n"
        "print(one.write())\n"
    )
    root = Path(flame.__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True, env=environment
    )
    (page,) = tmp_path.iterdir()
    assert done.stdout.strip() == page.name
    assert "spend_a_while" in page.read_text(encoding="utf-8")
