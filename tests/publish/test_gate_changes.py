"""Seeded changes between two runs are reported exactly: each class alone, then mixed, in two environments."""

import dataclasses
import itertools
import random
from collections import Counter

import pytest

from harness.evidence.division import Division
from harness.evidence.files import Evidence
from harness.evidence.record import ErrorInfo, Numerics
from harness.evidence.vocabulary import Outcome, Phase
from harness.publish.changes import CLASSES
from harness.publish.gate import gate
from harness.publish.policy import default_policy

SAMPLES, SEED = 24, 20270110
WORKS = [f"aten.works{n}.default" for n in range(4)]
FAILS = "aten.fails.default"
COLUMNS = [("fp16-ios18", "reference"), ("fp32-ios18", "reference"), ("fp16-ios18", "cpu_and_ne")]
NEXT = {"executorch": "1.6.0", "coremltools": "9.1", "torch": "2.14.0"}
ON_ANE, ON_CPU = {"preferred": "ane", "supported": ["ane", "cpu"]}, {"preferred": "cpu", "supported": ["cpu"]}


def numerics(**fields):
    values = {
        "limit": 1e-3,
        "worst": 2e-4,
        "headroom": 5.0,
        "max_ulp": 1.0,
        "max_abs": 2e-4,
        "sqnr_db": 70.0,
        "top1": 1.0,
    }
    return Numerics("ULP", **(values | fields))


@pytest.fixture
def base(record, environments):
    """What two runs of the same code record on a Linux machine and a Mac: operators that work, one that fails, one
    left to ExecuTorch in part, and what neither judges. Two columns on Linux, three on the Mac."""
    made = []
    for environment, columns in ((environments["linux"], COLUMNS[:2]), (environments["mac"], COLUMNS)):
        for (recipe, unit), sample in itertools.product(columns, range(SAMPLES)):
            about = {"recipe": recipe, "unit": unit, "environment": environment, "timing": {"lower": 6.0, "run": 0.1}}
            known = {
                "size": 10_000,
                "division": Division(1),
                "numerics": numerics(),
                "against_float": {"sqnr_db": 30.0},
            }
            for op in WORKS:
                placed = {"aten_placement": {op: ON_ANE}} if unit == "cpu_and_ne" else {}
                made.append(record(op, "pass", sample, **about, **known, **placed))
            wrong = numerics(headroom=0.5, worst=2e-3, max_abs=2e-3)
            made.append(record(FAILS, "wrong_value", sample, **about, numerics=wrong, reason="got 3, expected 4"))
            partial = {"delegated": {"aten.p.default": 1, "aten.q.default": 1}, "fallback": {"aten.r.default": 1}}
            made.append(record("aten.p.default", "partial", sample, **about, **partial))
            made.append(record("aten.never.default", "not_run", sample, **about, reason="no kernel"))
    return made


def outcome(name, **fields):
    return lambda one: one.with_(outcome=Outcome(name), **fields)


def with_numerics(**fields):
    return lambda one: one.with_(numerics=dataclasses.replace(one.numerics, **fields))


def left_out(one):
    return one.with_(outcome=Outcome.PARTIAL, fallback={one.op: 1})


def gone(_one):
    return None


#: Class, the kind of check it strikes, what becomes of the record.
PLANTED = [
    ("not_judged", "works", gone),
    ("not_judged", "works", outcome("not_run", reason="no kernel")),
    ("not_judged", "works", outcome("invalid_case")),
    ("not_judged", "fails", gone),
    ("crash", "works", outcome("crash", phase=Phase.RUN)),
    ("crash", "fails", outcome("crash", phase=Phase.RUN)),
    ("crash", "fails", outcome("timeout", phase=Phase.RUN)),
    ("worse", "works", outcome("wrong_value")),
    ("worse", "works", outcome("wrong_shape", phase=Phase.SHAPE)),
    ("worse", "works", outcome("convert_error", phase=Phase.CONVERT, error=ErrorInfo("ValueError", "m", "m"))),
    ("worse", "works", outcome("load_error", phase=Phase.LOAD)),
    ("worse", "works", outcome("non_deterministic")),
    ("worse", "partial", outcome("run_error", phase=Phase.RUN)),
    ("delegation_lost", "works", left_out),
    ("delegation_lost", "works", lambda one: left_out(one).with_(outcome=Outcome.FALLBACK, delegated={})),
    ("delegation_lost", "partial", lambda one: one.with_(fallback={"aten.r.default": 1, "aten.q.default": 1})),
    ("kernel_lost", "partial", lambda one: one.with_(missing_kernels=["aten::r.out"])),
    ("placement_lost", "placed", lambda one: one.with_(aten_placement={one.op: ON_CPU})),
    ("placement_lost", "placed", lambda one: one.with_(aten_placement={one.op: ON_ANE | {"preferred": "gpu"}})),
    ("placement_lost", "placed", lambda one: one.with_(aten_placement={})),
    ("not_measured", "works", lambda one: one.with_(size=None)),
    ("headroom_lost", "works", with_numerics(headroom=2.4)),
    ("headroom_lost", "works", with_numerics(headroom=float("nan"), sqnr_db=70.0)),
    ("sqnr_lost", "works", with_numerics(sqnr_db=63.0)),
    ("quantization_lost", "works", lambda one: one.with_(against_float={"sqnr_db": 28.5})),
    ("larger_error", "fails", with_numerics(max_abs=9e-3)),
    ("agreement_lost", "works", with_numerics(top1=0.9)),
    ("more_parts", "works", lambda one: one.with_(division=Division(2))),
    ("larger_package", "works", lambda one: one.with_(size=10_600)),
    ("slower_lowering", "works", lambda one: one.with_(timing={"lower": 12.5, "run": 0.1})),
    ("changed", "fails", lambda one: one.with_(phase=Phase.RUN)),
    ("changed", "unjudged", lambda one: one.with_(reason="another reason")),
    ("better", "fails", outcome("pass")),
    ("better", "partial", lambda one: one.with_(outcome=Outcome.PASS, fallback={})),
    ("judged_now", "unjudged", outcome("pass")),
    ("first_failure", "unjudged", outcome("wrong_value")),
    ("gone", "unjudged", gone),
]
#: A new check is planted beside one that stays.
NEW = [("new", "works", "pass"), ("new_failure", "works", "wrong_value"), ("first_failure", "fails", "wrong_value")]
STRIKES = {
    "works": lambda one: one.op in WORKS and not one.aten_placement,
    "placed": lambda one: bool(one.aten_placement),
    "fails": lambda one: one.op == FAILS,
    "partial": lambda one: one.op == "aten.p.default",
    "unjudged": lambda one: one.outcome is Outcome.NOT_RUN,
}
#: NaN is a headroom that cannot be read at all.
ALSO = {22: "not_measured"}


def evidence_of(evidence, records, versions=None):
    """Of a later release, ids and versions of the environments are others."""
    built = evidence(*records)
    if versions is None:
        return built
    names = {old: f"{old.partition('-executorch')[0]}-executorch{versions['executorch']}" for old in built.environments}
    blocks = {names[old]: {**block, "versions": versions} for old, block in built.environments.items()}
    return Evidence(blocks, [one.with_(environment=names[one.environment]) for one in built.records])


def machine(environment):
    """What stays of an environment's id from release to release."""
    return environment.partition("-executorch")[0]


def found(before, after):
    verdict = gate(before, after, default_policy())
    changes = [finding.change for finding in verdict.findings]
    return verdict, Counter((one.kind, machine(one.environment), one.name) for one in changes)


def plant(records, choice, number):
    """The records with the planted change on one of them that no other has struck: its class, machine and check."""
    kind, strikes, change = (PLANTED + NEW)[number]
    free = [place for place, one in enumerate(records) if one is not None and STRIKES[strikes](one)]
    free = [place for place in free if records[place].seed is None]
    place = choice.choice(free)
    one = records[place].with_(seed=1)  # struck
    if number < len(PLANTED):
        changed = change(one)
        records[place] = changed
        kind = ALSO.get(number, kind)
    else:
        records[place] = one
        records.append(one.with_(case=f"{one.case}-new{number}", outcome=Outcome(change)))
    return kind, machine(one.environment), (records[-1] if number >= len(PLANTED) else one).check_id


def planted(base, numbers, choice):
    records = list(base)
    expected = Counter(plant(records, choice, number) for number in numbers)
    return [one.with_(seed=None) for one in records if one is not None], expected


def test_there_are_thirty_and_every_class_of_a_check_is_among_them():
    assert len(PLANTED) + len(NEW) >= 30
    whole = {"environment_gone", "environment_new", "column_gone"}
    assert {kind for kind, *_ in PLANTED + NEW} == CLASSES.keys() - whole


@pytest.mark.parametrize("versions", [None, NEXT], ids=["same", "later"])
def test_two_runs_of_the_same_code_differ_in_nothing(base, evidence, versions):
    choice = random.Random(SEED)
    verdict, changes = found(
        evidence_of(evidence, base), evidence_of(evidence, choice.sample(base, len(base)), versions)
    )
    assert changes == Counter()
    assert verdict.passes
    assert [part.share for part in verdict.diff.parts] == [1.0, 1.0]


@pytest.mark.parametrize("number", range(len(PLANTED) + len(NEW)))
def test_each_change_alone(base, evidence, number):
    records, expected = planted(base, [number], random.Random(SEED + number))
    verdict, changes = found(evidence_of(evidence, base), evidence_of(evidence, records, NEXT))
    assert changes == expected
    ((kind, _, _),) = expected
    assert verdict.passes is (default_policy().actions[kind] != "fail")


@pytest.mark.parametrize("turn", range(5))
def test_all_mixed_in_two_environments(base, evidence, turn):
    choice = random.Random(SEED * 7 + turn)
    numbers = [*range(len(PLANTED) + len(NEW)), *choice.choices(range(len(PLANTED)), k=20)]
    choice.shuffle(numbers)
    records, expected = planted(base, numbers, choice)
    verdict, changes = found(evidence_of(evidence, base), evidence_of(evidence, records, NEXT))
    assert changes == expected
    assert len({one.change.environment for one in verdict.findings}) == 2
    assert not verdict.passes


def test_a_check_that_loses_in_several_ways_is_told_of_each(base, evidence):
    one = next(one for one in base if STRIKES["placed"](one))
    lost = one.with_(size=20_000, aten_placement={one.op: ON_CPU}, timing={"lower": 60.0})
    lost = lost.with_(numerics=dataclasses.replace(one.numerics, headroom=1.1, sqnr_db=50.0))
    records = [lost if other is one else other for other in base]
    _, changes = found(evidence_of(evidence, base), evidence_of(evidence, records, NEXT))
    kinds = ("placement_lost", "headroom_lost", "sqnr_lost", "larger_package", "slower_lowering")
    assert changes == Counter((kind, machine(one.environment), one.check_id) for kind in kinds)


def test_a_column_and_an_environment_that_are_gone_with_changes_elsewhere(base, evidence, environments):
    column = [one for one in base if (one.recipe, one.unit) == COLUMNS[2]]
    records, expected = planted([one for one in base if one not in column], [0, 7], random.Random(SEED))
    verdict, changes = found(evidence_of(evidence, base), evidence_of(evidence, records, NEXT))
    unjudged = Counter(("gone", "macos15.2-arm64", one.check_id) for one in column if one.outcome is Outcome.NOT_RUN)
    assert changes == expected + unjudged + Counter([("column_gone", "macos15.2-arm64", "*@fp16-ios18@cpu_and_ne")])
    judged = sum(one.outcome is not Outcome.NOT_RUN for one in column)
    assert [change.checks for change in verdict.regressions if change.kind == "column_gone"] == [judged]

    linux = [one for one in base if one.environment == environments["linux"]]
    records, expected = planted(linux, [4], random.Random(SEED))
    verdict, changes = found(evidence_of(evidence, base), evidence_of(evidence, records, NEXT))
    assert changes == expected + Counter([("environment_gone", "macos15.2-arm64", environments["mac"])])
    _, changes = found(evidence_of(evidence, linux), evidence_of(evidence, base, NEXT))
    (((kind, _, _), number),) = changes.items()
    assert (kind, number) == ("environment_new", 1)
