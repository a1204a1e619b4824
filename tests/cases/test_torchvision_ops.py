"""torchvision, imported by others than us, beside a torch for which its library is not made."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

IMPORTED = """
import sys
from harness.cases.torchvision_ops import declare_on_import
declare_on_import()
assert "torch" not in sys.modules  # costs nothing before it is needed
before = len(sys.meta_path)
import torchvision
from torchvision.models import resnet18
assert len(sys.meta_path) == before - 1
declare_on_import()
print("imported")
"""


@pytest.mark.skipif(find_spec("torchvision") is None, reason="torchvision is not installed")
def test_whoever_imports_it_finds_its_operators_declared():
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "imported", done.stderr[-500:]


def test_without_it_nothing_happens():
    script = (
        "import sys\nfrom harness.cases import torchvision_ops as t\n"
        "t.importlib.util.find_spec = lambda name: None\nt.declare_on_import()\n"
        "print(t._Declaring in map(type, sys.meta_path), sys.meta_path[0].find_spec('json', None))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "None"], done.stderr[-500:]
