import pytest

from harness.evidence.files import Evidence
from harness.evidence.verify import other_code, require_real_hardware, require_sound
from harness.evidence.vocabulary import HarnessError

LINUX, MAC = {"os": "linux 6.1"}, {"os": "macos 15.2"}


def block(torch="2.13.0", **code):
    return {"versions": {"torch": torch}, "code": {"torch": "aa", "harness": "bb"} | code}


def test_what_is_described_and_unambiguous_is_sound(record):
    require_sound(Evidence({"here": LINUX}, [record(), record(unit="all"), record(recipe="fp32-ios18")]), "a")


def test_an_environment_nobody_describes_is_refused(record):
    with pytest.raises(HarnessError, match=r"a\.jsonl: ops/.*names environment 'there', which is described nowhere"):
        require_sound(Evidence({"here": LINUX}, [record(environment="there")]), "a.jsonl")


def test_two_records_of_a_check_are_refused_where_they_are_of_one_environment(record):
    two = Evidence({"here": LINUX, "there": LINUX}, [record(), record("crash", environment="there")])
    require_sound(two, "a")
    two.records.append(record("crash"))
    with pytest.raises(HarnessError, match=r"a: two records of ops/.* in environment here"):
        require_sound(two, "a")


@pytest.mark.parametrize("unit", ["cpu_only", "all", "device:phone"])
def test_core_ml_answers_on_a_mac_alone(record, unit):
    answer = record(unit=unit)
    require_real_hardware(Evidence({"here": MAC}, [answer]), "a")
    with pytest.raises(HarnessError, match=r"answers for Core ML, which linux 6\.1 has not"):
        require_real_hardware(Evidence({"here": LINUX}, [answer]), "a")


@pytest.mark.parametrize("outcome", ["not_run", "convert_error", "unsupported"])
def test_what_is_settled_before_core_ml_is_asked_may_come_from_anywhere(record, outcome):
    require_real_hardware(Evidence({"here": LINUX}, [record(outcome, unit="cpu_only"), record()]), "a")


def test_a_simulated_host_stays_apart(record):
    played = {"os": "linux 6.1", "simulated": True}
    one = record(unit="cpu_only", environment="linux-macos15-simulated")
    require_real_hardware(Evidence({"linux-macos15-simulated": played}, [one]), "a")
    with pytest.raises(HarnessError, match="here beside the simulated linux-macos15-simulated"):
        require_real_hardware(Evidence({"here": LINUX, "linux-macos15-simulated": played}, [one]), "a")
    with pytest.raises(HarnessError, match="is called simulated, and its description does not say so"):
        require_real_hardware(Evidence({"linux-macos15-simulated": MAC}, [one]), "a")


def test_parts_of_the_same_code_agree():
    parts = [Evidence({"here": block()}), Evidence({"here": block()}), Evidence({"there": block("2.14.0")})]
    assert other_code(parts) == ""
    assert other_code([Evidence({"here": {}}), Evidence({"here": {}})]) == ""


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (block(torch="2.14.0"), "torch 2.13.0 and 2.14.0"),
        (block(harness="cc"), "harness bb and cc"),
        ({"versions": {"torch": "2.13.0"}}, "which one of them does not state"),
    ],
)
def test_parts_of_other_code_are_told(other, says):
    text = other_code([Evidence({"here": block()}), Evidence({"here": other})])
    assert text == f"here: measured with other code, {says}"
