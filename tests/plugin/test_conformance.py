"""The plugin on a small suite of its own, whose checks are answered by a fake handler: no torch, many runs."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.evidence.check import Check, Subject
from harness.evidence.environment import environment_block
from harness.evidence.journal import Journal, read_run, write_environment
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError, Kind, Level, Outcome, Phase
from harness.plugin.conformance import properties_of
from harness.plugin.selection import parse_deadline, parse_shard

pytest_plugins = ["pytester"]

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent

CONFTEST = """
    import functools
    import fake_cases
    import harness.cases.find
    from harness.process.isolation import IsolatedChecker
    import harness.plugin.run as plugin

    # The door as it is, with another handler behind the child process and other suites.
    plugin.IsolatedChecker = functools.partial(IsolatedChecker, handler="fake_handler:make_checker")
    harness.cases.find.SUITES.clear()
    harness.cases.find.SUITES["ops"] = lambda _level: fake_cases.cases()
"""
CASES = """
    from harness.cases.case import Case
    from harness.evidence.vocabulary import Kind, Level

    def cases():
        return [
            Case(id=f"ops/aten.{{op}}.default/{{what}}/fake-{{n}}", kind=Kind.OPERATOR, op=f"aten.{{op}}.default",
                 api=f"nn.{{op}}", dtype=what, origin="fake", build=None,
                 level=Level.SMOKE if n == 0 else Level.STANDARD if n < 4 else Level.FULL)
            for op, what, count in {plan!r} for n in range(count)
        ]
"""
SUITE = """
    import fake_cases

    def cases():
        return fake_cases.cases()

    def test_operator(check):
        check()
"""


class Suite:
    """A project with one suite: `plan` lists operator, what happens to it, how many cases."""

    def __init__(self, pytester, monkeypatch, *plan):
        self.path = pytester.path
        self.pytester = pytester
        self.log = self.path / "log"
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (self.path, TESTS, ROOT))))
        monkeypatch.setenv("FAKE_HANDLER_LOG", str(self.log))
        monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
        # Other packages' plugins take most of the time of so small a run.
        monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        self.write(
            "pytest.ini",
            "[pytest]\naddopts = -p xdist -p harness.plugin.conformance --import-mode=importlib -p no:cacheprovider",
        )
        self.write("conftest.py", CONFTEST)
        self.write("fake_cases.py", CASES.format(plan=list(plan)))
        self.write("suites/fake/test_fake.py", SUITE)

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def known(self, *entries):
        lines = [f"- {{cause: {c}, title: t, outcome: {o}, checks: ['{p}']}}" for c, o, p in entries]
        self.write("suites/known_issues/all.yaml", "\n".join(lines))

    def run(self, *options, run_dir="run"):
        chosen = () if run_dir is None else ("--run-dir", run_dir)
        return self.pytester.runpytest_subprocess("suites", *chosen, *options, timeout=120)

    def outcomes(self, run_dir="run"):
        return {name: str(record.outcome) for name, record in read_run(self.path / run_dir).records.items()}

    def calls(self):
        return [line.split()[1] for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def suite(pytester, monkeypatch):
    return lambda *plan: Suite(pytester, monkeypatch, *plan)


def name(op, what, number=0, recipe="fp16-ios18", unit="reference"):
    return f"ops/aten.{op}.default/{what}/fake-{number}@{recipe}@{unit}"


# Options.


@pytest.mark.parametrize(("text", "shard"), [(None, (1, 1)), ("1/1", (1, 1)), ("2/3", (2, 3))])
def test_a_shard_is_counted_from_one(text, shard):
    assert parse_shard(text) == shard


@pytest.mark.parametrize("text", ["3/2", "0/2", "1", "", "/", "a/b", "-1/2", "1/2/3", "1/0", "²/3"])
def test_other_shards_are_refused(text):
    with pytest.raises(HarnessError, match=re.escape(f"--shard {text}: expected I/N")):
        parse_shard(text)


def test_a_deadline_is_a_number_of_seconds_above_zero():
    assert parse_deadline("0.5") == 0.5
    for text in ("0", "-1", "soon", "nan", "inf", ""):
        with pytest.raises(HarnessError, match="--deadline"):
            parse_deadline(text)


BAD_INPUT = [
    (["--op", "aten.nosuch*"], "--op aten.nosuch*: no operator or API name matches it"),
    (["--op", "aten.neg*", "--op", "moon"], "--op moon: no operator"),
    (["--unit", "moon"], "unknown unit 'moon': expected one of reference, cpu_only"),
    (["--recipe", "fp8-ios18"], "unknown recipe 'fp8-ios18'"),
    (["--recipe", "fp16"], "unknown recipe 'fp16'"),
    (["--level", "huge"], "unknown level 'huge': expected one of smoke, standard, full"),
    (["--shard", "3/2"], "--shard 3/2"),
    (["--deadline", "soon"], "--deadline soon"),
    (["--run-dir", "conftest.py"], "conftest.py: cannot write the run directory: not a directory"),
    (["--run-dir", "conftest.py/below"], "conftest.py/below: cannot write the run directory: not a directory"),
    (["--run-dir", "damaged"], "journal-main.jsonl: line 1 is not JSON"),
    (["--run-dir", "foreign"], "holds a run of another environment, plan9"),
]


def assert_refused(result, says):
    """Exit code 2 and one line on stderr that names the thing."""
    assert result.ret == 2
    (line,) = result.errlines
    assert says in line
    assert not [text for text in result.outlines if "Traceback" in text or "INTERNALERROR" in text]


def spoil(suite):
    (suite.path / "damaged").mkdir()
    (suite.path / "damaged" / "journal-main.jsonl").write_text('{"schema\n{}\n')
    write_environment(suite.path / "foreign", "plan9", {})


def test_bad_input_is_one_line_and_exit_code_2(suite):
    one = suite(("neg", "pass", 1))
    spoil(one)
    for options, says in BAD_INPUT:
        assert_refused(one.run(*options, run_dir=None), says)
    assert one.calls() == []
    assert not (one.path / "runs").exists()


@pytest.mark.parametrize("number", [0, 2, 8, 9, 10])
def test_bad_input_is_refused_before_workers_start(suite, number):
    one = suite(("neg", "pass", 1))
    spoil(one)
    options, says = BAD_INPUT[number]
    assert_refused(one.run(*options, "-n", "2", run_dir=None), says)


def test_malformed_known_issues_are_refused_before_anything_runs(suite):
    one = suite(("neg", "pass", 1))
    one.write("suites/known_issues/bad.yaml", "- {cause: a}")
    for options in ((), ("-n", "2")):
        assert_refused(one.run(*options), "bad.yaml: entry 1: lacks checks, outcome")
    assert one.calls() == []


def test_a_request_that_cannot_be_carried_out_ends_the_run_and_keeps_its_records(suite):
    one = suite(("neg", "pass", 1), ("exp", "refuse", 1))
    assert_refused(one.run("--recipe", "fp16-ios18"), "no such thing: tea")
    assert list(one.outcomes()) == [name("neg", "pass")]
    # A worker that left would be started again for ever: there it is the one check that fails.
    result = one.run("--recipe", "fp16-ios18", "-n", "2", run_dir="other")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*no such thing: tea*"])


# Collecting.


def collected(result):
    return [line.partition("[")[2][:-1] for line in result.outlines if "::test_operator[" in line]


def test_ids_are_check_ids(suite):
    result = suite(("neg", "pass", 1)).run("--collect-only", "-q", "--unit", "reference", "--unit", "all", run_dir=None)
    assert sorted(collected(result)) == sorted(
        name("neg", "pass", 0, recipe, unit) for recipe in ("fp32-ios18", "fp16-ios18") for unit in ("reference", "all")
    )


@pytest.mark.parametrize(("level", "count"), [(Level.SMOKE, 1), (Level.STANDARD, 4), (Level.FULL, 6)])
def test_a_level_holds_the_lower_ones(suite, level, count):
    one = suite(("neg", "pass", 6))
    result = one.run("--collect-only", "-q", "--level", level, "--recipe", "fp16-ios18", run_dir=None)
    assert collected(result) == [name("neg", "pass", n) for n in range(count)]
    assert not (one.path / "runs").exists()


def test_a_case_that_attracts_the_ane_is_checked_where_the_ane_may_be_used(suite):
    one = suite(("neg", "pass", 4))
    one.write(
        "fake_cases.py", CASES.format(plan=[("neg", "pass", 4)]).replace("build=None", "build=None, ane=n % 2 == 1")
    )

    def numbers(unit, *options):
        result = one.run("--collect-only", "-q", "--recipe", "fp16-ios18", *options, run_dir=None)
        return [n for n in range(4) if name("neg", "pass", n, unit=unit) in collected(result)]

    both = ("--unit", "cpu_and_gpu", "--unit", "cpu_and_ne")
    assert numbers("cpu_and_ne", *both) == [0, 1, 2, 3]
    assert numbers("cpu_and_gpu", *both) == [0, 2]
    assert numbers("cpu_and_gpu", *both, "--ane") == [0, 1, 2, 3]
    # Shards are of what runs: those left out leave no gaps.
    assert numbers("reference", "--unit", "reference", "--shard", "2/2") == [2]


def test_an_operator_is_chosen_by_overload_packet_or_api(suite):
    one = suite(("neg", "pass", 1), ("abs", "pass", 1), ("exp", "pass", 1))
    options = ["--op", "aten.neg", "--op", "nn.e*", "--recipe", "fp16-ios18"]
    result = one.run("--collect-only", "-q", *options, run_dir=None)
    assert collected(result) == [name("neg", "pass"), name("exp", "pass")]


def test_a_suite_of_which_nothing_is_chosen_is_no_failure(suite):
    one = suite(("neg", "pass", 1))
    assert one.run("--shard", "2/2").ret == 0
    assert one.calls() == []


def test_shards_part_the_cases(suite):
    one = suite(("neg", "pass", 3), ("abs", "partial", 4))
    parts = [collected(one.run("--collect-only", "-q", "--shard", f"{i}/3", run_dir=None)) for i in (1, 2, 3)]
    everything = collected(one.run("--collect-only", "-q", run_dir=None))
    assert sorted(check for part in parts for check in part) == sorted(everything)
    assert max(map(len, parts)) - min(map(len, parts)) <= 2  # two recipes a case


def test_collecting_the_real_suites_imports_no_torch():
    script = """
        import sys, pytest
        code = pytest.main(["suites", "--collect-only", "-q", "--level", "full", "-p", "no:cacheprovider"])
        print("heavy:", [m for m in ("torch", "executorch", "coremltools", "torchvision") if m in sys.modules])
        sys.exit(code)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
    assert done.stdout.count("@reference]") > 30_000


# Running and judging.

PLAN = (
    ("neg", "pass", 2),
    ("abs", "partial", 1),
    ("exp", "wrong_value", 1),
    ("sin", "abort", 1),
    ("cos", "hang", 1),
    ("tan", "raise", 1),
    ("log", "pass", 1),
)
EXPECTED = {
    name("neg", "pass", 0): "pass",
    name("neg", "pass", 1): "pass",
    name("abs", "partial"): "partial",
    name("exp", "wrong_value"): "wrong_value",
    name("sin", "abort"): "crash",
    name("cos", "hang"): "timeout",
    name("tan", "raise"): "not_run",
    name("log", "pass"): "pass",
}
ONE_RECIPE = ("--recipe", "fp16-ios18", "--deadline", "2")


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_crash_and_a_hang_cost_the_one_check_only(suite, workers):
    one = suite(*PLAN)
    result = one.run(*ONE_RECIPE, "--measure", *workers)
    assert one.outcomes() == EXPECTED
    # Measuring, the backend fails nothing; the harness's own fault does.
    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(
        ["*RuntimeError: a bug of ours*", "checks collected: 8, records written: 8", "records: run"]
    )
    crash = read_run(one.path / "run").records[name("sin", "abort")]
    assert (crash.phase, crash.error.type) == (Phase.CONVERT, "SIGABRT")
    assert crash.error.message.splitlines()[0] == "last words of abort"


def test_the_known_issues_judge(suite):
    one = suite(*PLAN)
    one.known(
        ("abs-cause", "partial", "ops/aten.abs.default/partial/fake-0@*@*"),
        ("neg-cause", "wrong_value", name("neg", "pass", 1)),
        ("sin-cause", "timeout", name("sin", "abort")),
        ("cos-cause", "timeout", name("cos", "hang")),
        ("tan-cause", "crash", name("tan", "raise")),
        ("old-cause", "crash", name("gone", "pass")),
    )
    result = one.run(*ONE_RECIPE, "-rA")
    assert result.ret == 1
    result.assert_outcomes(passed=2, xfailed=2, failed=4)
    result.stdout.fnmatch_lines_random(
        [
            "*XFAIL*aten.abs*abs-cause: t*",
            "*XFAIL*aten.cos*cos-cause: t*",
            "new: wrong_value in value*",
            "unexpected pass: known issue neg-cause expects wrong_value",
            "changed: known issue sin-cause expects timeout, got crash in convert: SIGABRT: last words of abort",
            "not_run in convert: the harness itself failed: RuntimeError: a bug of ours",
            "known issue names no check: ops/aten.gone.default/pass/fake-0 (old-cause)",
        ]
    )


DESCRIBED = """
- cause: {slug}
  title: what it is
  stage: converter
  sees: nothing
  explanation: {slug}
  source: here.py
  script: own
  matches: [{{outcome: crash, error: "{error}"}}]
"""


def test_a_failure_that_is_no_longer_that_of_its_cause_is_red(suite):
    """Planted: still a crash, but of another kind than the described cause explains."""
    one = suite(("sin", "abort", 1))
    one.write("suites/known_issues/causes/a.yaml", DESCRIBED.format(slug="abort", error="^SIGABRT"))
    one.write(
        "suites/known_issues/crash.yaml", f"- {{cause: abort, outcome: crash, checks: ['{name('sin', 'abort')}']}}"
    )
    result = one.run(*ONE_RECIPE, "-rA")
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(["*XFAIL*abort: what it is*"])
    assert read_run(one.path / "run").records[name("sin", "abort")].cause == "abort"
    one.write("suites/known_issues/causes/a.yaml", DESCRIBED.format(slug="abort", error="^SIGSEGV"))
    result = one.run(*ONE_RECIPE)
    result.assert_outcomes(failed=1)
    what = "crash in convert: SIGABRT: last words of abort"
    result.stdout.fnmatch_lines([f"changed: known issue abort does not explain {what}; no described cause does"])


def test_updating_puts_checks_to_described_causes(suite):
    one = suite(("sin", "abort", 1), ("neg", "pass", 1))
    one.write("suites/known_issues/causes/a.yaml", DESCRIBED.format(slug="abort", error="^SIGABRT"))
    result = one.run(*ONE_RECIPE, "--update-known-issues")
    result.stdout.fnmatch_lines(["known issues: 1 patterns in 1 causes, 1 changed", "*1  (new) -> abort"])
    assert one.run(*ONE_RECIPE).ret == 0


def test_measuring_names_causes_and_refuses_malformed_ones(suite):
    one = suite(("sin", "abort", 1))
    one.write("suites/known_issues/causes/a.yaml", DESCRIBED.format(slug="abort", error="^SIGABRT"))
    one.run(*ONE_RECIPE, "--measure").assert_outcomes(passed=1)
    assert read_run(one.path / "run").records[name("sin", "abort")].cause == "abort"
    one.write("suites/known_issues/causes/a.yaml", "- {cause: a}")
    assert_refused(one.run("--measure", run_dir="other"), "a.yaml: entry 1 (a): lacks ")


def test_an_entry_that_names_no_check_is_red_alone(suite):
    one = suite(("neg", "pass", 1))
    one.known(("old-cause", "crash", name("gone", "pass")))
    for options in ((), ("-n", "2")):
        result = one.run(*options, run_dir=f"run{len(options)}")
        assert result.ret == 1
        result.stdout.fnmatch_lines(["known issue names no check: ops/aten.gone.default/pass/fake-0 (old-cause)"])


def test_updated_known_issues_agree_with_the_next_run(suite):
    one = suite(*(row for row in PLAN if row[1] != "raise"))
    assert one.run(*ONE_RECIPE).ret == 1
    updated = one.run(*ONE_RECIPE, "--update-known-issues")
    assert updated.ret == 0
    updated.stdout.fnmatch_lines(["known issues: 4 patterns in 4 causes, 4 changed"])
    result = one.run(*ONE_RECIPE, "-n", "2")
    assert result.ret == 0
    result.assert_outcomes(passed=3, xfailed=4)
    assert len(one.calls()) == 7  # three runs in one directory, each check run once


def test_units_this_machine_lacks_are_skipped_with_the_reason_and_start_nothing(suite):
    one = suite(("neg", "pass", 2))
    result = one.run("--unit", "all", "--unit", "cpu_and_ne", "-rs")
    if sys.platform == "darwin":
        pytest.skip("this machine has these units")
    assert result.ret == 0
    result.assert_outcomes(skipped=8)
    result.stdout.fnmatch_lines(["SKIPPED*Core ML predicts only on macOS*"])
    assert set(one.outcomes().values()) == {"not_run"}
    assert one.calls() == []
    record = read_run(one.path / "run").records[name("neg", "pass", unit="all")]
    assert (record.op, record.api, record.origin) == ("aten.neg.default", "nn.neg", "fake")


def test_an_operator_of_the_real_suite_on_a_unit_this_machine_lacks(tmp_path):
    if sys.platform == "darwin":
        pytest.skip("this machine has this unit")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "suites/ops",
        "--unit",
        "all",
        "--op",
        "aten.add*",
        "--recipe",
        "fp16-ios18",
    ]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "-rs", "-p", "no:cacheprovider", "--run-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0
    assert "Core ML predicts only on macOS; this is Linux" in done.stdout
    assert re.search(r"not_run +\d+", done.stdout)
    assert time.monotonic() - began < 60


# Resuming.


def test_a_finished_run_runs_nothing_again_and_judges_as_before(suite):
    one = suite(*PLAN)
    first = one.run(*ONE_RECIPE)
    calls = one.calls()
    again = one.run(*ONE_RECIPE)
    # The harness's own fault alone is tried again.
    assert one.calls()[len(calls) :] == [name("tan", "raise")]
    assert again.parseoutcomes() == first.parseoutcomes()
    again.stdout.fnmatch_lines(["checks collected: 8, records written: 8"])
    assert one.outcomes() == EXPECTED


def phases_in_flight(one, run_dir):
    """Of the checks that have come as far as to be converted."""
    if not (one.path / run_dir).is_dir():
        return []
    return [check.phase for check in read_run(one.path / run_dir).in_flight.values() if check.phase is Phase.CONVERT]


def test_a_run_killed_half_way_goes_on_where_it_was(suite, monkeypatch):
    one = suite(("neg", "nap", 5), ("abs", "partial", 3), ("exp", "convert_error", 2))
    one.run("--measure", run_dir="whole")
    before = one.calls()
    monkeypatch.setenv("FAKE_HANDLER_NAP", "30")
    command = [sys.executable, "-m", "pytest", "suites", "--run-dir", "run", "--measure", "-p", "no:randomly"]
    with subprocess.Popen(command, cwd=one.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as killed:
        # The napping operator comes first in each recipe; the others must have run when it is killed.
        until = time.monotonic() + 60
        while not (napping := phases_in_flight(one, "run")) and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(killed.pid, signal.SIGKILL)
    interrupted = read_run(one.path / "run")
    assert len(interrupted.in_flight) == 1
    assert napping == [Phase.CONVERT]
    monkeypatch.setenv("FAKE_HANDLER_NAP", "0")
    result = one.run("--measure")
    assert result.ret == 0
    assert one.outcomes() == one.outcomes("whole")
    again = one.calls()[len(before) :]
    assert len(again) == len(before) + 1  # the check in flight twice, every other once
    assert set(again) == set(before)


def neg(number):
    subject = Subject(
        id=f"ops/aten.neg.default/pass/fake-{number}",
        kind=Kind.OPERATOR,
        op="aten.neg.default",
        api="nn.neg",
        dtype="pass",
        origin="fake",
    )
    return Check.of(subject, "fp16-ios18", "reference")


def test_a_check_in_flight_twice_is_a_crash_and_not_run_again(suite):
    one = suite(("neg", "pass", 2))
    environment, block = environment_block()
    write_environment(one.path / "run", environment, block)
    for attempt in (1, 2):
        journal = Journal(one.path / "run", f"main-{attempt}")
        journal.begin(neg(0), attempt, Phase.LOAD)
        journal.begin(neg(1), 1) if attempt == 1 else None
        journal.close()
    one.run("--recipe", "fp16-ios18", "--measure")
    assert one.outcomes() == {name("neg", "pass", 0): "crash", name("neg", "pass", 1): "pass"}
    assert one.calls() == [name("neg", "pass", 1)]
    record = read_run(one.path / "run").records[name("neg", "pass", 0)]
    assert (record.phase, record.op, record.environment) == (Phase.LOAD, "aten.neg.default", environment)


def test_workers_and_shards_give_the_same_outcomes(suite):
    one = suite(("neg", "pass", 3), ("abs", "partial", 3), ("exp", "convert_error", 2), ("sin", "abort", 1))
    one.run("--measure", run_dir="alone")
    one.run("--measure", "-n", "2", run_dir="workers")
    for index in (1, 2):
        one.run("--measure", "--shard", f"{index}/2", run_dir=f"shard{index}")
    shards = one.outcomes("shard1") | one.outcomes("shard2")
    assert one.outcomes("alone") == one.outcomes("workers") == shards
    assert len(shards) == 18
    assert not set(one.outcomes("shard1")) & set(one.outcomes("shard2"))


def test_the_checks_of_one_case_go_to_one_worker(suite):
    one = suite(("neg", "pass", 3), ("abs", "partial", 3))
    one.run("--measure", "-n", "2")
    pids = {}
    for line in one.log.read_text().splitlines():
        pid, check = line.split()
        pids.setdefault(check.split("@")[0], set()).add(pid)
    assert all(len(used) == 1 for used in pids.values())


def test_a_run_dir_is_made_when_none_is_named(suite):
    one = suite(("neg", "pass", 1))
    assert one.run(run_dir=None).ret == 0
    (made,) = (one.path / "runs").iterdir()
    assert len(read_run(made).records) == 2


def test_tests_that_are_no_checks_make_no_run_dir(suite):
    one = suite(("neg", "pass", 1))
    one.write("suites/fake/test_fake.py", "def test_plain(): pass")
    one.run(run_dir=None).assert_outcomes(passed=1)
    assert not (one.path / "runs").exists()


def test_a_run_is_not_resumed_with_other_code(suite):
    made = suite(("neg", "pass", 1))
    assert made.run().ret == 0
    (made.path / "run" / "code.txt").write_text("of another day\n")
    result = made.run()
    assert result.ret == 2
    result.stderr.fnmatch_lines(["*run: begun with other installed code*"])


# Reports for others.


def test_a_junit_file_has_outcome_phase_and_cause_as_properties(suite):
    one = suite(("neg", "pass", 1), ("exp", "wrong_value", 1))
    one.run("--recipe", "fp16-ios18", "--junitxml", "junit.xml", "--measure")
    cases = {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in ElementTree.parse(one.path / "junit.xml").iter("testcase")
    }
    assert [found["outcome"] for found in cases.values()] == ["pass", "wrong_value"]
    assert all(found["phase"] for found in cases.values())


def test_a_report_names_the_cause_where_there_is_one():
    record = Record("c", "r", "reference", Outcome.CONVERT_ERROR, Phase.CONVERT, cause="boom")
    assert properties_of(record) == [("outcome", "convert_error"), ("phase", "convert"), ("cause", "boom")]
    assert properties_of(record.with_(cause=None))[-1] == ("phase", "convert")


def test_a_summary_is_appended_as_markdown(suite):
    one = suite(("neg", "pass", 2), ("exp", "wrong_value", 1))
    one.write("summary.md", "before\n")
    one.run("--recipe", "fp16-ios18", "--summary", "summary.md")
    text = (one.path / "summary.md").read_text()
    assert text.startswith("before\n## Core ML conformance\n")
    assert "| pass | 2 | 2 |" in text
    assert "### 1 check red" in text
    assert f"`{name('exp', 'wrong_value')}`" in text


def test_a_summary_that_cannot_be_written_is_refused_before_anything_runs(suite):
    one = suite(("neg", "pass", 1))
    assert_refused(one.run("--summary", "nowhere/summary.md"), "--summary nowhere/summary.md: cannot write")
    assert one.calls() == []


def test_a_measured_run_tells_the_code_it_measured(suite):
    one = suite(("neg", "pass", 1))
    one.run("--measure")
    one.run(run_dir="judged")
    (block,) = read_run(one.path / "run").environments.values()
    assert set(block["code"]) >= {"harness", "coremltools"}
    (block,) = read_run(one.path / "judged").environments.values()
    assert "code" not in block
