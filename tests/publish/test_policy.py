import dataclasses
import datetime
import re
from pathlib import Path

import pytest

from harness.evidence.vocabulary import HarnessError
from harness.publish.changes import CLASSES, Change
from harness.publish.measures import MEASURES, Limits
from harness.publish.policy import Action, Waiver, default_policy, read_policy

PAGE = Path(__file__).parents[2] / "docs" / "gate.md"
TODAY = datetime.date(2027, 1, 10)
WAIVER = '[[waiver]]\nchecks = ["ops/*"]\nuntil = 2027-01-31\nreason = "known"\n'


@pytest.fixture
def read(tmp_path):
    def write(text):
        path = tmp_path / "policy.toml"
        path.write_text(text)
        return read_policy(path, TODAY)

    return write


def test_the_default_names_every_class_and_limits_every_measure():
    policy = default_policy()
    assert sorted(policy.actions) == sorted(CLASSES)
    assert policy.limits.keys() == {measure.name for measure in MEASURES}
    assert all(limits.factor or limits.by is not None for limits in policy.limits.values())
    assert policy.waivers == ()
    assert read_policy(None, TODAY) is policy


def test_the_default_fails_closed():
    harmless = {"changed", "better", "judged_now", "new", "gone", "environment_new"}
    assert {kind for kind, action in default_policy().actions.items() if action is Action.IGNORE} == harmless
    warned = {"slower_lowering", "first_failure"}
    assert {kind for kind, action in default_policy().actions.items() if action is Action.WARN} == warned


def test_a_policy_names_what_is_different(read):
    policy = read(
        'minimum_compared = 0.9\n[classes]\nworse = "warn"\nheadroom_lost = { policy = "ignore", factor = 3 }\n'
        "larger_package = { by = 1000 }\n"
    )
    default = default_policy()
    assert policy.minimum_compared == 0.9
    changed = {kind: action for kind, action in policy.actions.items() if action is not default.actions[kind]}
    assert changed == {"worse": Action.WARN, "headroom_lost": Action.IGNORE}
    assert policy.limits["headroom_lost"] == Limits(factor=3, enough=10)
    assert policy.limits["larger_package"] == Limits(by=1000)
    assert policy.limits["sqnr_lost"] == default.limits["sqnr_lost"]
    assert read("") == default


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("minimum = 0.9", "unknown policy key 'minimum': expected one of minimum_compared, classes, waiver"),
        ("minimum_compared = 90", "minimum_compared = 90: expected a share, 0 to 1"),
        ("minimum_compared = true", "expected a share"),
        ("minimum_compared = nan", "expected a share"),
        ("classes = 3", "classes = 3: expected a table"),
        ('[classes]\nslower = "warn"', "unknown class of change 'slower': expected one of environment_gone"),
        ('[classes]\nworse = "waived"', "worse = 'waived': expected one of fail, warn, ignore"),
        ("[classes]\nworse = true", "worse = True: expected a table"),
        ("[classes]\nworse = { factor = 2 }", "unknown key of worse 'factor': expected one of policy"),
        ("[classes]\nsqnr_lost = { decibel = 2 }", "unknown key of sqnr_lost 'decibel'"),
        ("[classes]\nsqnr_lost = { by = -1 }", "by = -1: expected a number, at least 0"),
        ("[classes]\nheadroom_lost = { factor = 0.5 }", "factor = 0.5: expected a number, at least 1"),
        ('[classes]\nheadroom_lost = { factor = "2" }', "factor = '2': expected a number"),
        ("[classes]\nheadroom_lost = { factor = 2, by = 3 }", "factor and by: expected one of them"),
        ("classes", "not TOML: "),
        ("waiver = 3", "waiver: expected tables"),
        (WAIVER.replace("until = 2027-01-31", ""), "waiver 1: until = None: expected a date"),
        (WAIVER.replace("2027-01-31", '"2027-01-31"'), "waiver 1: until = '2027-01-31': expected a date"),
        (WAIVER.replace("known", " "), "waiver 1: expected a reason"),
        (WAIVER.replace('["ops/*"]', '"ops/*"'), "waiver 1: checks = 'ops/*': expected a list of texts"),
        (WAIVER.replace('checks = ["ops/*"]', ""), "waiver 1: expected checks or causes"),
        (WAIVER + "ticket = 3", "waiver 1: unknown key 'ticket'"),
        (WAIVER + 'classes = ["slow"]', "waiver 1: unknown class of change 'slow'"),
        (WAIVER + WAIVER.replace("2027-01-31", "2027-01-09"), "waiver 2 (ops/*): expired on 2027-01-09"),
    ],
)
def test_a_policy_that_is_wrong_is_one_line(read, tmp_path, text, says):
    with pytest.raises(HarnessError) as caught:
        read(text)
    assert says in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "policy.toml"))
    assert "\n" not in str(caught.value)


def test_a_policy_that_cannot_be_read(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, says in (("nowhere", "no such file"), ("binary", "not text"), (".", "Is a directory")):
        with pytest.raises(HarnessError, match=says):
            read_policy(tmp_path / name, TODAY)


def test_a_waiver_holds_on_its_last_day(read):
    (waiver,) = read(WAIVER.replace("2027-01-31", "2027-01-10")).waivers
    assert waiver == Waiver(TODAY, "known", ("ops/*",))


def waiver(**fields):
    return Waiver(TODAY, "known", **fields)


def test_what_a_waiver_covers(record):
    one = record("aten.a.default", "wrong_value", cause="boom")
    change = Change("worse", "here", one.check_id, record("aten.a.default"), one)
    whole = Change("column_gone", "here", "*@fp16-ios18@all", checks=9)
    assert waiver(checks=("ops/aten.a*",)).covers(change)
    assert waiver(
        checks=(
            "moon",
            "aten.a.default",
        )
    ).covers(change)
    assert waiver(causes=("bo*",)).covers(change)
    assert waiver(checks=("ops/*",), causes=("boom",), classes=("worse", "crash")).covers(change)
    assert not waiver(checks=("ops/aten.b*",)).covers(change)
    assert not waiver(checks=("ops/*",), causes=("bang",)).covers(change)
    assert not waiver(checks=("ops/*",), classes=("crash",)).covers(change)
    assert waiver(checks=("*@*@all",)).covers(whole)
    assert not waiver(causes=("*?",)).covers(whole)


def test_whether_a_waiver_names_something(record, evidence):
    sides = [evidence(record("aten.a.default", cause="boom"))]
    assert waiver(checks=("ops/aten.a*",)).names_something(sides, [])
    assert waiver(causes=("boom",)).names_something(sides, [])
    assert not waiver(checks=("ops/aten.z*",)).names_something(sides, [])
    assert not waiver(checks=("ops/aten.a*",), causes=("bang",)).names_something(sides, [])


def default_of(kind):
    """As the documentation writes it: `fail, factor 2, enough 10`."""
    policy = default_policy()
    limits = dataclasses.asdict(policy.limits.get(kind, Limits()))
    values = (f"{name} {value:g}" for name, value in limits.items() if value is not None)
    return ", ".join([policy.actions[kind], *values])


def test_the_documentation_has_every_class_and_its_default():
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", PAGE.read_text(), re.MULTILINE)
    assert rows == [(kind, meaning, default_of(kind)) for kind, meaning in CLASSES.items()]


def test_the_documented_policy_is_one(read):
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    policy = read(example)
    assert policy.minimum_compared == 0.95
    assert len(policy.waivers) == 2
