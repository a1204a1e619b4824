import dataclasses
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.evidence.causes import Cause, Rule, read_causes
from harness.evidence.conditions import installed
from harness.evidence.files import Evidence, merge_evidence, read_evidence
from harness.evidence.known_issues import KnownIssue, KnownIssues, read_known_issues, write_known_issues
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.triage import grouping_signature, named, retriage, update
from harness.evidence.vocabulary import WORKING, Outcome, Phase

CASE = "ops/aten.neg.default/float32/opinfo-1df5b9"


def issue(outcome="wrong_value", *checks, cause="neg-rounds", **fields):
    return KnownIssue(cause, Outcome(outcome), "neg rounds", checks=checks or (f"{CASE}@*@*",), **fields)


# Grouping.


def test_an_empty_message_and_reason_group(record):
    for outcome in Outcome:
        for error in (None, ErrorInfo("E", "", "")):
            grouping_signature(record(outcome, error=error))


def test_partly_delegated_cases_group_by_what_fell_back(record):
    one = record("partial", fallback={"aten.b": 1, "aten.a": 2})
    other = record("partial", fallback={"aten.a": 1, "aten.b": 5}, case="ops/x/y/z")
    assert grouping_signature(one) == grouping_signature(other) == "not claimed by the partitioner: aten.a, aten.b"


def test_one_refusal_of_many_operators_is_one_group(record):
    def refused(op):
        message = f"Operator torch._ops.{op} is not in Core ATen opset"
        return record("unsupported", error=ErrorInfo("ValueError", message, message))

    found = {grouping_signature(refused(op)) for op in ("aten.a.default", "aten.b.Tensor")}
    assert found == {"ValueError: Operator <operator> is not in Core ATen opset"}


def test_wrong_answers_group_by_what_they_are_about_and_without_an_error_the_reason_does(record):
    assert grouping_signature(record("wrong_shape", reason="got 1")) == "aten.neg.default"
    assert grouping_signature(record("crash", reason="signal 11")) == "signal 11"
    assert grouping_signature(record("timeout")) == "timeout"
    assert grouping_signature(record("invalid_case", reason="got 12 of 13\nmore")) == "got N of N"


# Updating.

SOME_CASES = [f"ops/aten.neg.default/float32/opinfo-{n}" for n in range(3)]
OUTCOMES = [o for o in Outcome if o is not Outcome.NOT_RUN]


@st.composite
def runs(draw):
    """Records of some cases, each case x recipe x unit at most once, with few outcomes, phases and signatures."""
    records = []
    for case, recipe, unit in itertools.product(SOME_CASES, ("fp16-ios18", "fp32-ios18"), ("reference", "cpu_only")):
        if draw(st.booleans()):
            outcome = draw(st.sampled_from([Outcome.PASS, Outcome.PARTIAL, Outcome.WRONG_VALUE, Outcome.CONVERT_ERROR]))
            phase = draw(st.sampled_from([Phase.CONVERT, Phase.VALUE]))
            error = draw(st.sampled_from([None, ErrorInfo("E", "m", "one"), ErrorInfo("E", "m", "two")]))
            stage = ""
            if unit != "reference" and outcome not in WORKING:
                stage = draw(st.sampled_from(["", "runtime", "lowering", "precision"]))
            records.append(Record(case, recipe, unit, outcome, phase, op="aten.neg.default", error=error, stage=stage))
    return records


@st.composite
def entries(draw):
    patterns = st.builds(
        "{}@{}@{}".format,
        st.sampled_from(SOME_CASES),
        st.sampled_from(["*", "fp16-ios18", "fp32-*"]),
        st.sampled_from(["*", "reference", "cpu_*"]),
    )
    return [
        KnownIssue(
            f"cause-{number}",
            draw(st.sampled_from([Outcome.PARTIAL, Outcome.WRONG_VALUE, Outcome.CONVERT_ERROR])),
            f"title {number}",
            stage=draw(st.sampled_from(["untriaged", "converter", "precision", "runtime"])),
            phase=draw(st.sampled_from([None, Phase.CONVERT, Phase.VALUE])),
            when=draw(st.sampled_from([{}, {"os": installed()["os"]}, {"os": "some other"}])),
            checks=tuple(draw(st.lists(patterns, min_size=1, max_size=3))),
        )
        for number in range(draw(st.integers(0, 4)))
    ]


@st.composite
def descriptions(draw):
    """Descriptions of some of the causes entries name, and of others; none, or one of two, explains a record."""
    slugs = draw(st.lists(st.sampled_from(["cause-0", "cause-1", "one", "two"]), unique=True))
    rules = st.builds(
        Rule,
        st.sampled_from([{Outcome.PARTIAL}, {Outcome.WRONG_VALUE, Outcome.CONVERT_ERROR}]).map(frozenset),
        phase=st.sampled_from([None, Phase.VALUE]),
        error=st.sampled_from([None, re.compile("^E: m$"), re.compile("another")]),
    )
    when = st.sampled_from([{}, {}, {"os": "some other"}])
    stages = st.sampled_from(["converter", "precision", "runtime", "limitation"])
    return [Cause(slug, "t", draw(stages), "s", "e", "f.py", (draw(rules),), when=draw(when)) for slug in slugs]


@settings(max_examples=150)
@given(entries(), runs(), descriptions())
def test_after_an_update_every_record_is_allowed_and_stands_under_its_cause(before, records, causes):
    known = KnownIssues(update(before, records, causes), None, causes)
    for record in records:
        judgement = known.judge(record)
        wider = record.outcome is Outcome.PARTIAL and judgement.verdict == "ok"
        assert judgement.verdict == ("ok" if record.outcome is Outcome.PASS or wider else "expected"), judgement.message
        cause = known.causes.cause_of(record)
        if wider:
            assert (judgement.issue.stage, record.unit) == ("precision", "cpu_only")
        elif record.outcome is not Outcome.PASS:
            assert (judgement.issue.stage == "runtime") == (record.stage == "runtime") or cause.stage == "limitation"
            described = judgement.issue.described
            assert (described and described.cause) == (cause and cause.cause)


@settings(max_examples=50)
@given(entries(), runs(), descriptions())
def test_a_second_update_changes_nothing(before, records, causes):
    def plain(issues):
        return sorted((i.cause, str(i.phase), i.checks, tuple(i.when.items())) for i in issues)

    once = update(before, records, causes)
    assert plain(update(once, records, causes)) == plain(once)


@settings(max_examples=50)
@given(entries(), runs(), descriptions())
def test_what_was_updated_is_read_again_from_files(tmp_path_factory, before, records, causes):
    updated = update(before, records, causes)
    directory = tmp_path_factory.mktemp("known")
    write_known_issues(directory, updated)
    again = read_known_issues(directory, causes)
    assert sorted(map(repr, again)) == sorted(map(repr, updated))


@settings(max_examples=50)
@given(entries(), runs())
def test_entries_for_other_environments_stay_as_they_are(before, records):
    others = [i for i in before if i.when == {"os": "some other"}]
    assert [i for i in update(before, records) if i.when == {"os": "some other"}] == others


def test_a_triaged_entry_keeps_what_was_written_about_it(record):
    triaged = issue("wrong_value", f"{CASE}@*@*", stage="converter", url="https://example.org/1", phase=Phase.VALUE)
    assert update([triaged], [record("wrong_value"), record("wrong_value", recipe="fp32-ios18")]) == [triaged]


def test_a_fixed_check_leaves_its_entry_and_an_empty_entry_goes(record):
    other = f"{CASE[:-1]}1@*@*"
    records = [record("pass"), record("pass", recipe="fp32-ios18")]
    assert [i.checks for i in update([issue("crash", f"{CASE}@*@*", other)], records)] == [(other,)]
    assert update([issue()], records) == []


def test_a_run_of_one_recipe_leaves_the_entries_of_the_other(record):
    before = [
        issue("crash", f"{CASE}@fp32-ios18@reference", cause="a"),
        issue("timeout", f"{CASE}@fp16-ios18@all", cause="b"),
    ]
    after = {i.cause: i.checks for i in update(before, [record("crash", signature="boom")])}
    assert after.pop("a") == before[0].checks
    assert after.pop("b") == before[1].checks
    assert list(after.values()) == [(f"{CASE}@fp16-ios18@reference",)]


def test_a_glob_that_no_longer_fits_leaves_the_rest_of_its_checks_to_its_entry(record):
    triaged = issue("wrong_value", f"{CASE}@*@reference", stage="precision")
    (after,) = update([triaged], [record("pass", recipe="fp32-ios18"), record("wrong_value")])
    assert after == dataclasses.replace(triaged, checks=(f"{CASE}@fp16-ios18@*",))


def test_checks_not_run_change_nothing(record):
    assert update([issue()], [record("not_run", reason="no Mac")]) == [issue()]


def test_new_ones_are_grouped_by_signature_and_untriaged(record):
    def failing(n, signature, recipe="fp16-ios18"):
        return record("convert_error", case=f"ops/a/f/opinfo-{n}", signature=signature, recipe=recipe)

    records = [failing(10, "boom"), failing(9, "boom"), failing(9, "boom", "fp32-ios18"), failing(1, "bang")]
    groups = {i.title: i for i in update([], records)}
    assert set(groups) == {"ValueError: boom", "ValueError: bang"}
    # Before anything runs all units are alike; what both recipes have in common is one pattern.
    assert groups["ValueError: boom"].checks == ("ops/a/f/opinfo-9@*@*", "ops/a/f/opinfo-10@fp16-ios18@*")
    assert groups["ValueError: boom"].stage == "untriaged"
    assert groups["ValueError: boom"].phase is Phase.CONVERT
    assert groups["ValueError: boom"].cause.startswith("convert-error-valueerror-boom-")


@pytest.mark.parametrize(
    ("outcome", "unit", "stage", "expected"),
    [
        ("wrong_value", "reference", "", "*"),  # the reference runs what was lowered: the program is wrong
        ("out_of_range", "cpu_only", "precision", "*"),
        ("wrong_shape", "cpu_only", "lowering", "*"),
        ("wrong_value", "cpu_only", "runtime", "cpu_only"),
        ("wrong_value", "cpu_only", "", "cpu_only"),  # nobody could tell
        ("invalid_program", "reference", "", "reference"),  # seen by the reference alone
        ("load_error", "cpu_only", "lowering", "cpu_only"),
        ("non_deterministic", "all", "runtime", "all"),
        ("partial", "cpu_only", "", "*"),
    ],
)
def test_a_wrong_program_is_known_on_every_unit_and_a_wrong_unit_on_its_own(record, outcome, unit, stage, expected):
    failing = record(outcome, unit=unit, stage=stage)
    for records in ([failing], [failing, dataclasses.replace(failing, recipe="fp32-ios18")]):
        (after,) = update([], records)
        assert after.checks == (f"{CASE}@{'*' if len(records) > 1 else 'fp16-ios18'}@{expected}",)


def test_a_runtime_defect_is_drafted_beside_the_lowerings_and_each_keeps_its_units(record):
    """The same outcome of the same case: the unit's own must not stand under what explains the reference."""
    lowering = issue("wrong_value", f"{CASE}@*@*", stage="converter")
    records = [
        record("wrong_value"),
        record("wrong_value", unit="cpu_only", stage="lowering"),
        record("wrong_value", unit="cpu_and_ne", stage="runtime"),
    ]
    after = {i.stage: i for i in update([lowering], records)}
    assert after["converter"].checks == (f"{CASE}@fp16-ios18@cpu_only", f"{CASE}@fp16-ios18@reference")
    assert after["runtime"].checks == (f"{CASE}@fp16-ios18@cpu_and_ne",)
    assert after["runtime"].title == "aten.neg.default at runtime"
    assert len(after) == 2


def test_a_unit_that_is_right_after_all_narrows_the_entry(record):
    lowering = issue("wrong_value", f"{CASE}@*@*", stage="converter")
    (after,) = update([lowering], [record("wrong_value"), record("pass", unit="cpu_only")])
    assert after == dataclasses.replace(lowering, checks=(f"{CASE}@fp16-ios18@reference",))


def test_one_that_computes_wider_than_the_recipe_does_not(record):
    precision = issue("wrong_value", f"{CASE}@*@*", stage="precision")
    assert update([precision], [record("wrong_value"), record("pass", unit="cpu_only")]) == [precision]


def test_a_limitation_is_not_called_untriaged(record):
    (after,) = update([], [record("fallback", fallback={"aten.neg.default": 1})])
    assert after.stage == "limitation"


# Described causes.


def failing(record, number, signature, **fields):
    return record("convert_error", case=f"ops/a/f/opinfo-{number}", signature=signature, **fields)


def test_what_a_described_cause_explains_leaves_its_untriaged_group(record, cause):
    records = [failing(record, 0, "boom"), failing(record, 1, "boom"), failing(record, 2, "bang")]
    before = update([], records)
    assert {i.stage for i in before} == {"untriaged"}
    after = {i.cause: i for i in update(before, records, [cause("boom")])}
    boom = after.pop("boom")
    assert boom.checks == ("ops/a/f/opinfo-0@fp16-ios18@*", "ops/a/f/opinfo-1@fp16-ios18@*")
    assert (boom.title, boom.stage, boom.described.cause, boom.phase) == (
        "title of boom",
        "converter",
        "boom",
        Phase.CONVERT,
    )
    assert [i.title for i in after.values()] == ["ValueError: bang"]


def test_a_check_goes_from_one_described_cause_to_the_other(record, cause):
    records = [failing(record, 0, "boom"), failing(record, 1, "bang")]
    wide = update([], records, [cause("wide", "b.*g|b.*m")])
    assert [(i.cause, len(i.checks)) for i in wide] == [("wide", 2)]
    narrow = {i.cause: i.checks for i in update(wide, records, [cause("narrow", "bang"), cause("wide", "b.*g|b.*m")])}
    assert narrow == {"wide": ("ops/a/f/opinfo-0@fp16-ios18@*",), "narrow": ("ops/a/f/opinfo-1@fp16-ios18@*",)}


def test_what_no_rule_fits_any_more_is_untriaged_again(record, cause):
    records = [failing(record, 0, "boom")]
    (described,) = update([], records, [cause("boom")])
    (after,) = update([described], records, [cause("boom", "bang")])
    assert (after.title, after.stage, after.described) == ("ValueError: boom", "untriaged", None)


def test_a_cause_renamed_takes_its_checks_along_and_loses_none_that_was_not_run(record, cause):
    """As read for triage: the entry says nothing of a cause that is described under another name now."""
    checks = ("ops/a/f/opinfo-0@fp16-ios18@*", "ops/mac/f/opinfo-0@fp16-ios18@all")
    lost = KnownIssue("old", Outcome.CONVERT_ERROR, "", phase=Phase.CONVERT, checks=checks)
    after = {i.cause: i for i in update([lost], [failing(record, 0, "boom")], [cause("new")])}
    assert after["new"].checks == checks[:1]
    assert (after["old"].checks, after["old"].title) == (checks[1:], "no longer described: old")


def test_each_environment_names_its_own_causes(record, cause):
    """A cause of the older converter explains the records measured with it, wherever the triage is done."""
    evidence = Evidence(
        {"old": {"versions": {"coremltools": "8.3"}}, "new": {"versions": {"coremltools": "9.0"}}},
        [failing(record, 0, "boom", environment="old"), failing(record, 0, "boom", environment="new")],
    )
    causes = [cause("boom", when={"coremltools": "<9"})]
    assert [r.cause for r in named(evidence, causes)] == ["boom", None]


def test_without_descriptions_records_keep_what_they_say(record):
    evidence = Evidence({}, [record("crash", cause="old")])
    assert [r.cause for r in named(evidence, [])] == ["old"]


def test_evidence_is_triaged_by_the_versions_it_was_measured_with(record, cause):
    causes = [cause("boom", when={"coremltools": "<9"})]
    for version, stage in (("8.3", "converter"), ("9.0", "untriaged")):
        evidence = Evidence({"here": {"versions": {"coremltools": version}}}, [failing(record, 0, "boom")])
        assert [i.stage for i in retriage([], evidence, causes)] == [stage]


def test_a_simulated_host_triages_nothing(record):
    evidence = Evidence({"here": {"simulated": True}}, [record("crash")])
    assert retriage([], evidence, []) == []


def test_the_committed_known_issues_are_those_of_the_committed_evidence_and_causes(pytestconfig):
    directory = pytestconfig.rootpath / "suites" / "known_issues"
    evidence = merge_evidence(map(read_evidence, (pytestconfig.rootpath / "reports" / "evidence").glob("*.jsonl")))
    causes = read_causes(directory)
    issues = read_known_issues(directory, causes)

    def places(issues):
        return {(issue.cause, str(issue.phase), pattern) for issue in issues for pattern in issue.checks}

    assert places(issues) ^ places(retriage(issues, evidence, causes)) == set(), "run `coreml-harness triage`"
