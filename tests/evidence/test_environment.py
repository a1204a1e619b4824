import datetime
import json
import platform
import subprocess
import sys

import pytest

from harness.evidence import environment
from harness.evidence.environment import MEASURED, environment_block, git_revision, version_of


def test_the_block_says_what_was_measured_and_where():
    name, block = environment_block()
    assert block["versions"] == {d: version_of(d) for d in MEASURED if version_of(d)}
    assert block["python"] == platform.python_version()
    assert block["machine"] == platform.machine() in name
    datetime.date.fromisoformat(block["date"])
    assert json.loads(json.dumps(block)) == block
    assert not [key for key in block if "simulated" in key]


def test_the_id_holds_what_decides_an_outcome_and_no_more():
    name, block = environment_block()
    for distribution in ("executorch", "coremltools", "torch"):
        assert f"{distribution}{block['versions'][distribution]}" in name
    assert block["date"] not in name
    assert not set(name) & set(" /@\n")


@pytest.mark.parametrize("distribution", ["executorch", "coremltools", "torch"])
def test_another_version_is_another_environment(monkeypatch, distribution):
    before = environment_block()[0]
    monkeypatch.setattr(environment, "version_of", lambda d: "99.1" if d == distribution else version_of(d))
    assert environment_block()[0] != before


def test_a_simulated_host_has_an_id_and_a_block_of_its_own():
    name, block = environment_block(simulated_macos="15.5")
    assert block["simulated"] is True
    assert block["simulated_macos"] == "15.5"
    assert name == environment_block()[0] + "-macos15.5-simulated"


def test_the_devices_a_run_drives_are_in_the_id_and_the_block():
    phone = {"model": "iPhone16,1", "system": "iOS 18.5", "build": "22F76"}
    name, block = environment_block(connected={"Test iPhone": phone})
    assert block["connected"] == {"Test iPhone": phone}
    assert name == environment_block()[0] + "-iPhone16.1-iOS18.5"
    assert "connected" not in environment_block(connected={})[1]


def test_a_macos_release_is_in_the_id(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("15.5", ("", "", ""), "arm64"))
    name, block = environment_block(devices=["CPU", "GPU"])
    assert name.startswith("macos15.5-")
    assert block["os"] == "macos 15.5"
    assert block["devices"] == ["CPU", "GPU"]


def test_a_distribution_that_is_not_installed_has_no_version():
    assert version_of("no-such-distribution-here") is None


def test_no_git_is_no_revision(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_revision() == ""


def test_the_evidence_package_imports_none_of_what_is_measured():
    heavy = "torch executorch coremltools numpy torchvision transformers"
    script = (
        "import sys, pkgutil, importlib, harness.evidence as e\n"
        "for m in pkgutil.iter_modules(e.__path__): importlib.import_module('harness.evidence.' + m.name)\n"
        "from harness.evidence.environment import environment_block; environment_block()\n"
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
