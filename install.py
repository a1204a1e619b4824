"""Install the project into the environment of the Python that runs this: `.venv/bin/python install.py [EXTRA ...]`.

What is pinned under [project] dependencies is installed exactly so, whatever the pinned packages ask of each other:
each ExecuTorch asks for one version of coremltools, and an ordinary installation refuses any other, which is what
somebody who measures another version wants. pip tells what does
not fit, as its error, and goes on.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def name_of(requirement: str) -> str:
    """The distribution a requirement line names, as packages are compared: `Torch_AO>=1; extra == "x"`, `torch-ao`."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def pinned(project: Mapping[str, Any]) -> list[str]:
    """The exact requirements of `[project]`; those of its extras are left to the resolver."""
    return [line for line in project["dependencies"] if "==" in line]


def others(project: Mapping[str, Any], extras: Sequence[str], requires: Callable[[str], Iterable[str]]) -> list[str]:
    """What remains to be resolved: the other requirements, and those of the pinned packages but of one another."""
    pins = pinned(project)
    held = {name_of(line) for line in pins}
    lines = [line for line in project["dependencies"] if line not in pins]
    lines += [line for extra in extras for line in project["optional-dependencies"][extra]]
    # An optional requirement of a pinned package is not asked for.
    lines += [
        line for pin in pins for line in requires(name_of(pin)) if "extra ==" not in line.replace("extra==", "extra ==")
    ]
    return [line for line in lines if name_of(line) not in held]


def main(extras: Sequence[str]) -> int:
    """Exit code 0, or pip's own."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = pinned(project)
    code = _pip("install", "--quiet", "--no-deps", *pins)
    if code:
        return code
    importlib.invalidate_caches()
    lines = others(project, extras, lambda name: importlib.metadata.requires(name) or [])
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "pins.txt"
        constraints.write_text("\n".join(pins) + "\n", encoding="utf-8")
        code = _pip("install", "--quiet", "--constraint", str(constraints), *lines)
    return code or _pip("install", "--quiet", "--no-deps", "--editable", str(PROJECT))


def _pip(*arguments: str) -> int:
    return subprocess.run((*PIP, *arguments), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
