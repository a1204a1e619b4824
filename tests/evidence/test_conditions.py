import pytest

from harness.evidence.conditions import holds, installed, recorded, require_conditions
from harness.evidence.environment import environment_block
from harness.evidence.vocabulary import HarnessError

HERE = {"coremltools": "9.0", "torch": "2.13.0+cpu", "os": "linux", "chip": "Apple M1 Pro"}


@pytest.mark.parametrize(
    ("when", "does"),
    [
        ({}, True),
        ({"coremltools": "<9.1"}, True),
        ({"coremltools": ">=9.1"}, False),
        ({"coremltools": "==9.0", "torch": "==2.13.0"}, True),
        ({"coremltools": "==9.0", "torch": "<2.13"}, False),
        ({"os": "linux"}, True),
        ({"os": "macos"}, False),
        ({"executorch": ">=1"}, False),
        ({"chip": "Apple M1*"}, True),
        ({"chip": "Apple M2*"}, False),
    ],
)
def test_all_conditions_must_hold(when, does):
    assert holds(when, HERE) is does


def test_an_environment_block_gives_what_is_installed():
    """What evidence is held against is what a run here is held against."""
    _, block = environment_block()
    assert recorded(block) == {name: version for name, version in installed().items() if version is not None}


def test_a_block_that_says_nothing_holds_no_condition():
    assert not holds({"coremltools": "<9.1"}, recorded({}))
    assert holds({}, recorded({}))


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("linux", "expected a mapping"),
        ({"os": 3}, "expected a mapping"),
        ({"coremltool": "<9"}, "'coremltool' is neither os, chip nor one of"),
        ({"coremltools": "soon"}, "'soon' is no version specifier"),
    ],
)
def test_a_misspelt_condition_is_refused(when, says):
    with pytest.raises(HarnessError, match=says):
        require_conditions(when)
