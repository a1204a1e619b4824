import pytest

from harness.publish.environments import describe_environment, is_mac, may_fill, system_name


@pytest.mark.parametrize(
    ("unit", "environment", "may"),
    [
        ("reference", {"os": "linux 6"}, True),
        ("cpu_only", {"os": "linux 6"}, False),
        ("cpu_only", {"os": "macos 15.2"}, True),
        ("cpu_only", {"os": "macos 15.2", "simulated": True}, False),
        ("reference", {"os": "macos 15.2", "simulated": True}, False),
        ("cpu_only", None, False),
    ],
)
def test_may_fill(unit, environment, may):
    assert may_fill(unit, environment) is may


def test_system_name_keeps_the_macos_release_only():
    assert system_name({"os": "macos 15.2"}) == "macos 15.2"
    assert system_name({"os": "linux 6.1.0-custom"}) == "linux"
    assert system_name({}) == ""


def test_what_is_a_mac():
    assert is_mac({"os": "macos 15.2"})
    assert not is_mac({"os": "linux 6"})
    assert not is_mac(None)


def test_one_line_tells_versions_system_and_date(evidence, record):
    (block,) = evidence(record()).environments.values()
    assert describe_environment(block) == "executorch 1.5.1, coremltools 9.0, torch 2.13.0, linux, some CPU, 2026-01-02"


def test_a_simulated_environment_says_so(evidence, record, environments):
    (block,) = evidence(record(environment=environments["simulated"])).environments.values()
    assert describe_environment(block).startswith("SIMULATED HOST, ")
