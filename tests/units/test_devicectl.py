from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.units import devicectl
from harness.units.devicectl import ConnectedDevice, DevicesUnknown, Signing

COMMANDS = Path(__file__).parents[1] / "simulated" / "commands"
PHONE = ConnectedDevice(
    name="Anna\N{RIGHT SINGLE QUOTATION MARK}s iPhone",
    kind="iPhone",
    model="iPhone16,1",
    ios=(18, 5),
    build="22F76",
    state="connected",
    paired=True,
    developer_mode=True,
    identifier="ID",
    udid="U1",
)
PAD = replace(PHONE, name="iPad", kind="iPad", model="iPad14,8", udid="U2", developer_mode=False)


def test_a_device_is_found_by_its_exact_name_with_the_apostrophe_that_is_typed() -> None:
    assert devicectl.find("Anna's iPhone", [PHONE, PAD]) is PHONE
    with pytest.raises(DevicesUnknown) as raised:
        devicectl.find("Anna", [PHONE, PAD])
    assert str(raised.value) == (
        f"no connected iPhone or iPad is named 'Anna'; connected: {PHONE.name}; iPad is not in developer mode: "
        "switch it on in Settings > Privacy & Security > Developer Mode"
    )
    with pytest.raises(DevicesUnknown, match="iPad is not in developer mode"):
        devicectl.find("iPad", [PHONE, PAD])
    with pytest.raises(DevicesUnknown, match="2 devices are named 'iPad'"):
        devicectl.find("iPad", [PAD, replace(PAD, udid="U3")])
    with pytest.raises(DevicesUnknown, match="; none is connected"):
        devicectl.find("iPad", [])


def test_a_tunnel_that_is_down_is_no_problem_of_a_paired_device() -> None:
    assert replace(PHONE, state="disconnected").problem() is None
    assert "not paired" in (replace(PHONE, state="disconnected", paired=False).problem() or "")
    assert "not connected (unavailable)" in (replace(PHONE, state="unavailable").problem() or "")
    assert replace(PHONE, developer_mode=None).problem() is None


@pytest.mark.parametrize(
    ("ios", "target", "reason"),
    [
        ((18, 0), "iOS18", None),
        ((17, 6), "iOS18", "an iOS18 program needs iOS 18 or later; iPad has iPadOS 17.6"),
        ((18, 6), "iOS26", "an iOS26 program needs iOS 26 or later; iPad has iPadOS 18.6"),
        ((17, 0), None, None),
    ],
)
def test_targets_of_a_system(ios: tuple[int, ...], target: str | None, reason: str | None) -> None:
    assert devicectl.too_old(replace(PAD, ios=ios), target) == reason


def test_an_unknown_target() -> None:
    with pytest.raises(ValueError, match="unknown deployment target 'iOS19'"):
        devicectl.too_old(PHONE, "iOS19")


@pytest.mark.parametrize(
    ("kind", "model", "has"),
    [
        ("iPhone", "iPhone16,1", True),
        ("iPhone", "iPhone10,3", False),
        ("iPad", "iPad8,1", True),
        ("iPad", "iPad7,5", False),
        ("iPad", "new kind", True),
    ],
)
def test_a_neural_engine_for_core_ml(kind: str, model: str, has: bool) -> None:
    assert replace(PHONE, kind=kind, model=model).has_ane is has


def test_what_devicectl_lists_of_other_kinds_is_left_out() -> None:
    def entry(name: str, kind: str, **more: str) -> dict:
        return {
            "identifier": "ID",
            "deviceProperties": {"name": name, "osVersionNumber": "18.5", **more},
            "hardwareProperties": {"deviceType": kind, "productType": f"{kind}1,1", "udid": f"U-{name}"},
            "connectionProperties": {"tunnelState": "Connected"},
        }

    listed = [entry("B", "iPad"), entry("W", "appleWatch"), entry("A", "iPhone", developerModeStatus="disabled")]
    found = devicectl.parse({"result": {"devices": [*listed, {"identifier": "half known"}]}})
    assert [(d.name, d.state, d.developer_mode, d.ios) for d in found] == [
        ("A", "connected", False, (18, 5)),
        ("B", "connected", None, (18, 5)),
    ]
    assert devicectl.parse({}) == []


# -- commands -----------------------------------------------------------------------------------------------------


@pytest.fixture
def xcode(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The simulated commands come first on the path."""
    monkeypatch.setenv("PATH", f"{COMMANDS}{os.pathsep}{os.environ['PATH']}")
    return monkeypatch


def test_the_tool_of_xcode_is_put_on_the_path(xcode: pytest.MonkeyPatch) -> None:
    assert shutil.which("devicectl") is None
    assert devicectl.find_tool() == COMMANDS.parent / "xcode" / "devicectl"
    assert shutil.which("devicectl") == str(COMMANDS.parent / "xcode" / "devicectl")


@pytest.mark.parametrize("version", ["none", "nothing", "14.3"])
def test_without_the_tool_it_is_said_how_to_get_it(version: str, xcode: pytest.MonkeyPatch) -> None:
    xcode.setenv("COREML_SIMULATED_XCODE", version)
    with pytest.raises(DevicesUnknown, match="devicectl not found: install Xcode 16 or later from the App Store"):
        devicectl.devices(anew=True)


def test_devicectl_s_own_words(xcode: pytest.MonkeyPatch) -> None:
    with pytest.raises(DevicesUnknown) as raised:
        devicectl.ask("device", "info", "details", "-d", "ID-nobody")
    assert str(raised.value).startswith("devicectl device info: ERROR: The specified device was not found.")


def test_teams_are_read_from_the_certificates(xcode: pytest.MonkeyPatch) -> None:
    xcode.setenv("COREML_SIMULATED_TEAMS", "ZYXWV98765,ABCDE12345")
    assert devicectl.signing_teams() == ["ABCDE12345", "ZYXWV98765"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_the_team_of_a_real_certificate(tmp_path: Path, xcode: pytest.MonkeyPatch) -> None:
    """The fake `security` prints only the part that is read; here is a whole certificate."""
    subject = "/UID=K12/CN=Apple Development: A B (QQQQQ22222)/OU=TEAM123456/O=A B/C=US"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", os.devnull, "-subj", subject]
    made = subprocess.run(make, capture_output=True, text=True, check=True).stdout
    (tmp_path / "pem").write_text(made)
    command = tmp_path / "security"
    command.write_text(f'#!/bin/sh\ncat "{tmp_path}/pem"\n')
    command.chmod(0o755)
    xcode.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert devicectl.signing_teams() == ["TEAM123456"]


# -- signing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "teams", "expected"),
    [
        ({}, ["ABCDE12345"], Signing("ABCDE12345", "com.coremltools.modelrunnerd.abcde12345")),
        ({"TEAM": "T"}, [], Signing("T", "com.coremltools.modelrunnerd.t")),
        ({"TEAM": "T", "BUNDLE": "org.me"}, [], Signing("T", "org.me")),
        ({"PROFILE": "1-2", "BUNDLE": "org.me"}, [], Signing(None, "org.me", "1-2")),
        ({}, [], "no signing team found: sign in to Xcode"),
        ({}, ["A", "B"], r"several signing teams \(A, B\): sign in to Xcode"),
        ({"PROFILE": "1-2"}, [], "COREML_HARNESS_PROVISIONING_PROFILE needs COREML_HARNESS_BUNDLE_IDENTIFIER"),
        ({"TEAM": "T; rm"}, [], "expected letters, digits, dots and hyphens"),
    ],
)
def test_who_signs(environment: dict, teams: list[str], expected: Signing | str, monkeypatch) -> None:
    names = {
        "TEAM": devicectl.TEAM_VARIABLE,
        "BUNDLE": devicectl.BUNDLE_VARIABLE,
        "PROFILE": devicectl.PROFILE_VARIABLE,
    }
    monkeypatch.setattr(devicectl, "signing_teams", lambda: teams)
    chosen = {names[name]: value for name, value in environment.items()}
    if isinstance(expected, Signing):
        assert devicectl.signing(chosen) == expected
    else:
        with pytest.raises(DevicesUnknown, match=expected):
            devicectl.signing(chosen)
