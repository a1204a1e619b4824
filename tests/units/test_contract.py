"""The simulated native module against the real one: every name the fake offers is in the macOS wheel's binary."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

FAKE = Path(__file__).parents[1] / "simulated" / "libcoremlpython.py"
#: Names of the fake that are its own: how it computes, and the marker by which it is known.
MARKER = "simulated_macos"
UNREACHABLE = re.compile(
    r"Failed to establish a new connection|Name or service not known|timed out|ConnectionError|\b50\d\b"
)


def offered_names() -> set[str]:
    """Classes and their public methods in the fake: what coremltools' Python code can ask of it."""
    names = set()
    for node in ast.parse(FAKE.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            names |= {t.id for item in node.body if isinstance(item, ast.Assign) for t in item.targets}  # type: ignore[attr-defined]
    return {name for name in names if not name.startswith("_") or name.startswith(("_ML", "_State"))}


def absent_from(names: set[str], binary: bytes) -> set[str]:
    """Names that do not stand in the binary as a whole C string."""
    return {name for name in names if f"\0{name}\0".encode() not in binary}


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        f"coremltools=={version('coremltools')}",
        "--no-deps",
        "--quiet",
    ]
    command += ["--platform", "macosx_11_0_arm64", "--only-binary=:all:", "--python-version", "3.11", "-d", str(folder)]
    command += ["--retries", "1", "--timeout", "20", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode and (reason := UNREACHABLE.search(done.stderr)):
        pytest.skip(f"the package index cannot be reached: {reason[0]}")
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read("coremltools/libcoremlpython.so")


def test_the_fake_offers_what_coremltools_imports() -> None:
    names = offered_names()
    for needed in ("_MLModelProxy", "_MLModelAssetProxy", "_MLComputePlanProxy", "compileModel", "get_compute_plan"):
        assert needed in names


def test_a_name_of_our_own_invention_is_found_out() -> None:
    binary = b"\0predict\0_MLModelProxyAndMore\0"
    assert absent_from({"predict", "_MLModelProxy", "levitate"}, binary) == {"_MLModelProxy", "levitate"}


@pytest.mark.network
def test_every_name_of_the_fake_is_in_the_real_binary(binary: bytes) -> None:
    own = {"path", "values"}
    assert absent_from(offered_names() - own, binary) == set()


@pytest.mark.network
def test_the_marker_is_not(binary: bytes) -> None:
    assert MARKER in FAKE.read_text()
    assert MARKER.encode() not in binary


@pytest.mark.network
@pytest.mark.parametrize(
    "message",
    ["value type not convertible", "no shape, can't be an array", "Unsupported array type: "],
)
def test_refusals_are_the_real_ones(message: str, binary: bytes) -> None:
    assert message.encode() in binary
