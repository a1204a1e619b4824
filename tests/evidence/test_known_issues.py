import pytest

from harness.evidence.causes import read_causes
from harness.evidence.conditions import installed, recorded
from harness.evidence.files import read_evidence
from harness.evidence.known_issues import (
    KnownIssue,
    KnownIssues,
    describe,
    read_known_issues,
    write_known_issues,
)
from harness.evidence.record import ErrorInfo
from harness.evidence.vocabulary import HarnessError, Outcome, Phase

ANSWERS = (Outcome.WRONG_VALUE, Outcome.WRONG_SHAPE, Outcome.WRONG_DTYPE, Outcome.OUT_OF_RANGE)
CASE = "ops/aten.neg.default/float32/opinfo-1df5b9"
HERE = {"coremltools": "9.0", "torch": "2.13.0+cpu", "os": "linux"}


def issue(outcome="wrong_value", *checks, cause="neg-rounds", **fields):
    return KnownIssue(cause, Outcome(outcome), "neg rounds", checks=checks or (f"{CASE}@*@*",), **fields)


def judge(record, *issues):
    return KnownIssues(issues, HERE).judge(record)


# Judging.


def test_a_pass_nobody_expected_otherwise_is_ok(record):
    assert judge(record("pass")).verdict == "ok"


def test_what_no_entry_allows_is_new(record):
    judgement = judge(record("wrong_value", reason="off by 3"))
    assert judgement.verdict == "red"
    assert judgement.message == "new: wrong_value in value: off by 3"


def test_a_known_issue_is_expected_and_named(record):
    judgement = judge(record("wrong_value"), issue())
    assert (judgement.verdict, judgement.message) == ("expected", "neg-rounds: neg rounds")


def test_an_unexpected_pass_is_red(record):
    judgement = judge(record("pass"), issue())
    assert judgement.verdict == "red"
    assert judgement.message == "unexpected pass: known issue neg-rounds expects wrong_value"


def test_another_outcome_is_red(record):
    judgement = judge(record("convert_error", signature="boom"), issue())
    assert judgement.verdict == "red"
    assert "changed" in judgement.message
    assert "expects wrong_value, got convert_error in convert: ValueError: boom at line 12" in judgement.message


# The stage: whose fault it is.


def on(record, unit, outcome="wrong_value", **fields):
    return record(outcome, unit=unit, **fields)


@pytest.mark.parametrize("stage", ["partitioner", "decomposition", "converter", "mil_pass", "precision", "untriaged"])
def test_what_the_lowering_explains_is_expected_on_every_unit_and_hides_nothing_of_the_runtime(record, stage):
    known = issue(stage=stage)
    for unit, found in (("reference", ""), ("cpu_only", "lowering"), ("all", "precision"), ("executorch", "lowering")):
        assert judge(on(record, unit, stage=found), known).verdict == "expected"
    judgement = judge(on(record, "cpu_and_ne", stage="runtime"), known)
    assert judgement.verdict == "red"
    assert judgement.message.startswith(
        f"changed: known issue neg-rounds is one of {stage}, got wrong_value in value ("
    )


def test_an_entry_of_the_runtime_explains_the_runtime_alone(record):
    known = issue(stage="runtime")
    assert judge(on(record, "cpu_only", stage="runtime"), known).verdict == "expected"
    for unit, found in (("reference", ""), ("cpu_only", "lowering"), ("cpu_only", "")):
        assert judge(on(record, unit, stage=found), known).verdict == "red"


def test_a_documented_limitation_may_be_of_either(record):
    for found in ("", "runtime", "lowering"):
        assert judge(on(record, "cpu_only", stage=found), issue(stage="limitation")).verdict == "expected"


def test_a_new_failure_names_its_stage(record):
    judgement = judge(on(record, "cpu_only", stage="runtime", reason="off by 3"))
    assert judgement.message == "new: wrong_value in value (stage runtime): off by 3"


def test_a_unit_right_where_the_lowering_is_known_wrong_is_red_and_says_what_to_do(record):
    passing = on(record, "cpu_only", "pass", against_reference={"outcome": "wrong_value", "equal": False})
    judgement = judge(passing, issue(stage="converter"))
    assert judgement.verdict == "red"
    assert judgement.message == (
        "unexpected pass: known issue neg-rounds expects wrong_value on any unit, cpu_only is right; the reference "
        "executor: wrong_value. If it stays so, let the entry name the units that fail: coreml-harness triage "
        "--evidence RUN, or pytest --update-known-issues"
    )


@pytest.mark.parametrize(
    ("unit", "outcome", "pattern", "verdict"),
    [
        ("cpu_only", "pass", "*", "ok"),
        ("executorch:cpu_only", "pass", "*", "ok"),
        ("cpu_only", "partial", "*", "ok"),
        ("cpu_only", "convert_error", "*", "red"),
        ("reference", "pass", "*", "red"),  # ours is strict
        ("cpu_only", "pass", "cpu_only", "red"),  # measured there before
    ],
)
def test_a_unit_may_compute_wider_than_the_recipe_asks(record, unit, outcome, pattern, verdict):
    known = issue("wrong_value", f"{CASE}@*@{pattern}", stage="precision")
    assert judge(on(record, unit, outcome), known).verdict == verdict


def test_a_run_tells_what_the_units_do_otherwise(record):
    other = f"{CASE[:-1]}1"
    known = KnownIssues(
        [issue(stage="converter"), issue("wrong_value", f"{other}@*@*", stage="precision", cause="halves")], HERE
    )
    records = [
        on(record, "reference"),
        on(record, "cpu_only", "pass"),
        on(record, "all", "pass"),
        on(record, "all", "pass", recipe="fp32-ios18"),
        on(record, "cpu_and_ne", stage="runtime"),
        on(record, "cpu_and_gpu", stage="lowering"),
        on(record, "all", "pass", case=other),
        on(record, "cpu_only", "pass", case="ops/aten.abs.default/float32/opinfo-16610e"),
    ]
    assert known.unit_lines(records) == [
        "all: 2 checks passed where an entry for all units expects otherwise: see 'unexpected pass'",
        "all: 1 check passed where the recipe's precision does not suffice on the reference",
        "cpu_and_ne: 1 check failed at runtime, with a program the reference gets right or finishes",
        "cpu_only: 1 check passed where an entry for all units expects otherwise: see 'unexpected pass'",
    ]


@pytest.mark.parametrize(("phase", "verdict"), [(Phase.EDGE, "expected"), (Phase.EXPORT, "red"), (None, "expected")])
def test_another_phase_is_red_where_the_entry_names_one(record, phase, verdict):
    judgement = judge(record("unsupported", phase=Phase.EDGE), issue("unsupported", phase=phase))
    assert judgement.verdict == verdict
    if verdict == "red":
        assert "expects phase export, got unsupported in edge" in judgement.message


@pytest.mark.parametrize("issues", [(), (issue(),)])
def test_not_run_is_no_judgement(record, issues):
    judgement = judge(record("not_run", reason="Core ML predicts only on macOS"), *issues)
    assert (judgement.verdict, judgement.message) == ("unjudged", "Core ML predicts only on macOS")


@pytest.mark.parametrize("issues", [(), (issue("not_run"),)])
def test_a_fault_of_the_harness_is_red_whatever_is_known(record, issues):
    fault = record("not_run", reason="the harness itself failed", error=ErrorInfo("HarnessFault", "KeyError: 3", "K"))
    assert judge(fault, *issues).verdict == "red"


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.PASS, Outcome.NOT_RUN}))
def test_every_outcome_but_a_pass_needs_an_entry(record, outcome):
    assert judge(record(outcome)).verdict == "red"
    assert judge(record(outcome), issue(outcome)).verdict == "expected"


# Which entry is meant.


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (f"{CASE}@fp16-ios18@reference", True),
        (f"{CASE}@*@reference", True),
        (f"{CASE}@fp16-*@cpu_*", False),
        (f"{CASE}@fp32-ios18@*", False),
        ("ops/aten.neg.default/float32/opinfo-1@*@*", False),
        ("ops/aten.neg.default/float32/*@*@*", False),
    ],
)
def test_the_case_is_literal_and_recipe_and_unit_are_globs(record, pattern, matches):
    known = KnownIssues([issue("crash", pattern)], HERE)
    assert (known.expected(record().check_id) is not None) == matches


@pytest.mark.parametrize("order", [1, -1])
def test_the_most_exact_entry_counts(record, order):
    entries = [
        issue("crash", f"{CASE}@*@*", cause="wide"),
        issue("timeout", f"{CASE}@*@reference", cause="unit"),
        issue("wrong_value", f"{CASE}@fp16-ios18@reference", cause="exact"),
    ]
    assert judge(record("wrong_value"), *entries[::order]).issue.cause == "exact"
    assert judge(record("timeout", recipe="fp32-ios18"), *entries[::order]).issue.cause == "unit"
    assert judge(record("crash", unit="all"), *entries[::order]).issue.cause == "wide"


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({}, True),
        ({"coremltools": "<9.1"}, True),
        ({"coremltools": ">=9.1"}, False),
        ({"coremltools": "==9.0", "torch": "==2.13.0"}, True),
        ({"coremltools": "==9.0", "torch": "<2.13"}, False),
        ({"os": "linux"}, True),
        ({"os": "macos"}, False),
        ({"executorch": ">=1"}, False),
    ],
)
def test_an_entry_holds_where_all_its_conditions_do(record, when, holds):
    assert (judge(record("wrong_value"), issue(when=when)).verdict == "expected") == holds
    assert (judge(record("pass"), issue(when=when)).verdict == "red") == holds


def test_the_installed_versions_are_the_default(record):
    entry = issue(when={"coremltools": f"=={installed()['coremltools']}", "os": installed()["os"]})
    assert KnownIssues([entry]).judge(record("wrong_value")).verdict == "expected"


def test_cases_that_exist_no_more_are_named(record):
    known = KnownIssues([issue("crash", "ops/gone/f/opinfo-0@*@*", cause="old"), issue()], HERE)
    assert known.unmatched([CASE]) == ["ops/gone/f/opinfo-0 (old)"]


# Described causes.


def test_an_entry_of_a_described_cause_holds_while_that_cause_explains_the_failure(record, cause):
    """Planted: the check still fails with the same outcome in the same phase, but for another reason."""
    causes = [cause("boom"), cause("bang", "bang")]
    entry = issue("convert_error", cause="boom").described_by(causes[0])
    known = KnownIssues([entry], HERE, causes)
    same = known.judge(record("convert_error", signature="boom"))
    assert (same.verdict, same.message) == ("expected", "boom: title of boom")
    other = known.judge(record("convert_error", signature="bang"))
    assert other.verdict == "red"
    assert other.message == (
        "changed: known issue boom does not explain convert_error in convert: ValueError: bang at line 12; bang does"
    )
    unknown = known.judge(record("convert_error", signature="crunch"))
    assert unknown.verdict == "red"
    assert unknown.message.endswith("ValueError: crunch at line 12; no described cause does")


def test_an_untriaged_entry_holds_whatever_explains_the_failure(record, cause):
    known = KnownIssues([issue("convert_error")], HERE, [cause("boom")])
    assert known.judge(record("convert_error", signature="boom")).verdict == "expected"


def test_an_entry_holds_where_its_described_cause_does(record, cause):
    described = cause("boom", when={"coremltools": ">=9.1"})
    entry = issue("convert_error", cause="boom").described_by(described)
    known = KnownIssues([entry], HERE, [described])
    assert known.judge(record("convert_error", signature="boom")).message.startswith("new: ")
    assert known.judge(record("pass")).verdict == "ok"


# Describing.


def test_a_description_is_one_line(record):
    text = describe(record("convert_error", error=ErrorInfo("ValueError", "first\nsecond\n" + "x" * 999, "s")))
    assert text == "convert_error in convert: ValueError: first"
    assert len(describe(record("convert_error", error=ErrorInfo("E", "x" * 999, "s")))) == 400


def test_a_description_names_what_is_left_to_executorch(record):
    assert "aten.asinh.default" in describe(record("partial", fallback={"aten.asinh.default": 1}))


def test_an_empty_message_and_reason_are_described(record):
    for outcome in Outcome:
        for error in (None, ErrorInfo("E", "", "")):
            describe(record(outcome, error=error))


# Files.

DESCRIBED = """
- cause: boom
  title: it booms
  stage: runtime
  sees: smoke
  explanation: a spark
  source: spark.py
  url: https://example.org/3
  script: own
  matches: [{outcome: crash, error: boom}]
"""


@pytest.fixture
def described(tmp_path):
    path = tmp_path / "causes" / "topic.yaml"
    path.parent.mkdir()
    path.write_text(DESCRIBED)
    return read_causes(tmp_path)


def test_what_is_said_of_a_described_cause_stands_in_its_description_alone(tmp_path, described):
    entry = issue("crash", cause="boom", phase=Phase.RUN).described_by(described[0])
    assert (entry.title, entry.stage, entry.url) == ("it booms", "runtime", "https://example.org/3")
    write_known_issues(tmp_path, [entry])
    text = (tmp_path / "crash.yaml").read_text()
    assert not any(word in text for word in ("title", "stage", "url"))
    assert read_known_issues(tmp_path, described) == [entry]
    assert KnownIssues.read(tmp_path, HERE).issues == [entry]


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (f"- {{cause: boom, title: t, stage: runtime, outcome: crash, checks: ['{CASE}@*@*']}}", "title, stage: said"),
        (
            f"- {{cause: other, outcome: crash, checks: ['{CASE}@*@*']}}",
            "other has no title, and no description",
        ),
    ],
)
def test_an_entry_that_says_too_much_or_too_little_is_refused_but_can_be_triaged(tmp_path, described, entry, says):
    (tmp_path / "crash.yaml").write_text(entry)
    with pytest.raises(HarnessError, match=f"crash.yaml: entry 1: {says}"):
        read_known_issues(tmp_path, described)
    assert len(read_known_issues(tmp_path, described, triage=True)) == 1


def test_what_is_written_is_read_again(tmp_path):
    issues = [
        issue("crash", cause="b", url="https://example.org/2", when={"coremltools": "<9.1"}, stage="runtime"),
        issue(cause="a", phase=Phase.VALUE),
    ]
    write_known_issues(tmp_path, issues)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["crash.yaml", "wrong_value.yaml"]
    assert read_known_issues(tmp_path) == issues


def test_writing_is_stable_and_removes_files_without_entries(tmp_path):
    issues = [issue(cause=c) for c in "ba"]
    write_known_issues(tmp_path, issues)
    before = (tmp_path / "wrong_value.yaml").read_bytes()
    write_known_issues(tmp_path, reversed(issues))
    assert (tmp_path / "wrong_value.yaml").read_bytes() == before
    write_known_issues(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_no_directory_is_no_known_issue(tmp_path):
    assert read_known_issues(tmp_path / "none") == []


GOOD = f"cause: a, title: t, outcome: crash, checks: ['{CASE}@*@*']"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- [", "not readable as YAML"),
        ("- !!python/object:os.system {}", "not readable as YAML"),
        ("\x00", "not readable as YAML"),
        ("cause: a", "expected a list"),
        ("- just words", "entry 1: expected a mapping"),
        ("- {cause: a}", "entry 1: lacks checks, outcome"),
        (f"- {{{GOOD}, colour: red}}", "unknown keys colour"),
        (f"- {{{GOOD}, outcome: splendid}}", "splendid"),
        (f"- {{{GOOD}, outcome: pass}}", "pass is no outcome to be known for"),
        (f"- {{{GOOD}, phase: tea}}", "tea"),
        (f"- {{{GOOD}, stage: left}}", "stage 'left' is none of"),
        (f"- {{{GOOD}, title: 3}}", "title: expected text"),
        (f"- {{{GOOD}, checks: '{CASE}@*@*'}}", "expected a list of patterns"),
        (f"- {{{GOOD}, checks: [neg]}}", "'neg' is not a check id"),
        (f"- {{{GOOD}, checks: [3]}}", "expected a list of patterns"),
        (f"- {{{GOOD}, when: linux}}", "when: expected a mapping"),
        (f"- {{{GOOD}, when: {{coremltool: '<9'}}}}", "'coremltool' is neither os, chip nor one of"),
        (f"- {{{GOOD}, when: {{coremltools: soon}}}}", "'soon' is no version specifier"),
        (f"- {{{GOOD}}}\n- {{{GOOD}, phase: tea}}", "entry 2"),
    ],
)
def test_a_malformed_file_is_refused_by_file_and_entry(tmp_path, text, says):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(HarnessError, match=says) as caught:
        read_known_issues(tmp_path)
    assert "bad.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_the_reference_is_known_to_get_wrong_is_known_on_every_unit_and_hides_no_runtime(pytestconfig):
    """Of the committed evidence, each wrong answer as Core ML would give it too, and as Core ML's own."""
    suites = pytestconfig.rootpath / "suites" / "known_issues"
    judged = limitations = 0
    for path in sorted((pytestconfig.rootpath / "reports" / "evidence").glob("linux-*.jsonl")):
        evidence = read_evidence(path)
        known = KnownIssues.read(suites, recorded(next(iter(evidence.environments.values()))))
        for found in evidence.records:
            if found.unit != "reference" or found.outcome not in ANSWERS:
                continue
            judged += 1
            assert known.judge(found).verdict == "expected"
            assert known.judge(found.with_(unit="cpu_only", stage="lowering")).verdict == "expected"
            issue = known.expected(found.check_id)
            assert issue is not None
            # What is documented may show anywhere: a state of Core ML begins at zero because Core ML makes it so.
            hides = "expected" if issue.stage == "limitation" else "red"
            limitations += issue.stage == "limitation"
            assert known.judge(found.with_(unit="cpu_only", stage="runtime")).verdict == hides
    assert judged > 100
    assert limitations < judged / 10


def test_the_committed_known_issues_are_well_formed(pytestconfig):
    KnownIssues.read(pytestconfig.rootpath / "suites" / "known_issues")


@pytest.mark.parametrize(("chip", "holds"), [("Apple M1*", True), ("Apple M2*", False), ("*", True)])
def test_an_entry_can_be_for_some_processors(chip, holds):
    entry = KnownIssue("a", Outcome.WRONG_VALUE, "wrong", when={"chip": chip}, checks=("ops/x@fp16-ios18@all",))
    known = KnownIssues([entry], {"chip": "Apple M1 Pro", "os": "macos"})
    assert (known.expected("ops/x@fp16-ios18@all") is not None) is holds
