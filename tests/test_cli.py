import json
import os
import re
import subprocess
import sys
import types

import pytest

from harness.cli import main
from harness.evidence.check import Check, Subject
from harness.evidence.files import Evidence, read_evidence, write_evidence
from harness.evidence.journal import Journal, write_environment
from harness.evidence.record import ErrorInfo, Numerics, Record
from harness.evidence.vocabulary import HarnessError, Outcome, Phase
from harness.publish.changes import CLASSES

HERE, THERE = "linux-x86_64-torch2", "macos15-arm64-torch2"
BLOCKS = {
    HERE: {"os": "linux 6.1", "date": "2026-01-02", "versions": {"torch": "2.13.0"}},
    THERE: {"os": "macos 15.2", "date": "2026-01-03", "versions": {"torch": "2.13.0"}},
}


def record(op="aten.gelu.default", outcome="pass", environment=HERE, **fields):
    phase = Phase.CONVERT if outcome == "convert_error" else Phase.VALUE
    graph = {} if outcome == "convert_error" else {"delegated": {op: 1}}
    values = {
        "case": f"ops/{op}/float32/opinfo-0",
        "recipe": "fp16-ios18",
        "unit": "reference",
        "op": op,
        "dtype": "float32",
    }
    values |= graph | {"outcome": Outcome(outcome), "phase": phase, "environment": environment}
    return Record(**(values | fields))


def evidence_file(path, *records):
    write_evidence(path, Evidence({r.environment: BLOCKS[r.environment] for r in records}, list(records)))
    return path


def run_dir(path, *records, environment=HERE):
    if environment:
        write_environment(path, environment, BLOCKS[environment])
    journal = Journal(path, "main")
    for one in records:
        journal.append(one)
    journal.close()
    return path


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run one command in an empty directory: `(exit code, stdout, stderr)`."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return invoke


def failed(result, *parts):
    """True when the command could not be carried out and said so in one line naming the thing."""
    code, out, err = result
    return code == 2 and out == "" and err.startswith("coreml-harness: ") and all(str(part) in err for part in parts)


# The command line itself.


def test_importing_the_cli_loads_nothing_heavy():
    heavy = "torch executorch coremltools numpy pytest transformers torchvision"
    script = f"import sys, harness.cli; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_commands_load_nothing_heavy(tmp_path):
    path = evidence_file(tmp_path / "a.jsonl", record())
    evidence_file(tmp_path / "reports/evidence/a.jsonl", record())
    for arguments in (["diff", path, path], ["gate", path, path], ["docs"], ["explain", "ops/"], ["merge", path]):
        script = (
            "import sys\nfrom harness.cli import main\ncode = main(sys.argv[1:])\n"
            "assert code == 0, code\nassert not {'torch', 'executorch', 'coremltools'} & set(sys.modules)"
        )
        command = [sys.executable, "-c", script, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr


def test_module_and_version():
    command = [sys.executable, "-m", "harness", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("coreml-harness, version ")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["diff"], ["diff", "a"], ["gate", "a", "b", "c"], ["docs", "--nonsense"]]
)
def test_bad_arguments(run, arguments):
    assert failed(run(*arguments))


def test_bad_choices(run):
    assert failed(run("check", "f.py", "--precision", "fp8"), "fp8")
    assert failed(run("check", "f.py", "--unit", "tpu"), "tpu")
    assert failed(run("docs", "--format", "html"), "html")
    assert failed(run("list", "--level", "deep"), "deep")


def test_no_command_shows_help_and_is_an_error(run):
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err.startswith("Usage: ")


def test_help_is_no_error(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in (
        "check",
        "diff",
        "docs",
        "doctor",
        "explain",
        "findings",
        "gate",
        "list",
        "merge",
        "repro",
        "triage",
    ):
        assert f"  {command} " in out
        assert run(command, "--help")[0] == 0


# Bad input, the same for every command that reads records.


def bad_inputs(tmp_path):
    good = evidence_file(tmp_path / "good.jsonl", record(), record("aten.b.default"))
    lines = good.read_text().splitlines(keepends=True)
    texts = {
        "cut-between-lines": "".join(lines[:-1]),
        "cut-in-a-line": good.read_text()[:-40],
        "foreign": "operator,status\ngelu,yes\n",
        "other-json": '{"a": 1}\n',
        "not-a-record": lines[0] + '{"a": 1}\n' + lines[2],
        "empty": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "directory").mkdir()
    return [*texts, "binary", "directory", "missing"]


def test_bad_input_is_named(run, tmp_path):
    good = tmp_path / "good.jsonl"
    for name in bad_inputs(tmp_path):
        bad = tmp_path / name
        for arguments in (
            ["diff", bad, good],
            ["diff", good, bad],
            ["gate", bad, good],
            ["gate", good, bad],
            ["merge", good, bad],
            ["explain", "ops/", "--evidence", bad],
        ):
            assert failed(run(*arguments), bad), (arguments, run(*arguments))
    assert not (tmp_path / "reports").exists()


# docs


def test_docs_and_check(run, tmp_path):
    evidence_file(tmp_path / "reports/evidence/a.jsonl", record())
    code, out, _ = run("docs", "--check")
    assert code == 1
    assert "op-support.md: missing" in out
    code, out, _ = run("docs")
    assert code == 0
    assert "wrote reports/op-support.md" in out
    assert run("docs", "--check") == (0, "", "")
    page = tmp_path / "reports/op-support.md"
    page.write_text(page.read_text().replace("# Core ML operator support, measured", "# All good"))
    code, out, _ = run("docs", "--check")
    assert code == 1
    assert "reports/op-support.md: line 3: expected '# Core ML operator support, measured', found '# All good'" in out


def test_docs_in_one_format(run, tmp_path):
    evidence_file(tmp_path / "elsewhere/evidence/a.jsonl", record())
    assert run("docs", "--format", "executorch", "--reports", "elsewhere")[0] == 0
    written = sorted(path.name for path in (tmp_path / "elsewhere").iterdir())
    assert written == ["coreml-op-support.csv", "coreml-op-support.md", "evidence"]
    assert run("docs", "--format", "executorch", "--reports", "elsewhere", "--check")[0] == 0


def test_docs_without_evidence(run):
    assert failed(run("docs"), "reports/evidence")


# findings and triage

CAUSE = """
- cause: boom
  title: It booms
  stage: converter
  sees: The model does not lower.
  explanation: A spark.
  source: ops.py spark
  script: own
  matches: [{outcome: convert_error, error: "^ValueError: boom"}]
"""


def raised(op, message):
    return record(op, "convert_error", error=ErrorInfo("ValueError", message, message))


@pytest.fixture
def described(tmp_path):
    """A project with one cause, which explains one of two failing checks."""
    path = tmp_path / "suites/known_issues/causes/topic.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(CAUSE)
    records = [raised("aten.a.default", "boom"), raised("aten.b.default", "bang"), record()]
    evidence_file(tmp_path / "reports/evidence/a.jsonl", *records)
    return path


def test_findings_and_check(run, tmp_path, described):
    assert run("findings", "--check")[0] == 1
    code, out, err = run("findings")
    assert (code, out.splitlines()[0], err) == (0, "wrote reports/findings.md", "")
    assert [path.name for path in (tmp_path / "reports").glob("*.*")] == ["findings.md"]
    script = tmp_path / "reports/findings/gelu-approximate-dropped.py"
    assert f"wrote {script.relative_to(tmp_path)}" in out
    script.write_text("changed")
    assert "reports/findings/gelu-approximate-dropped.py: line 1" in run("findings", "--check")[1]
    run("findings")
    assert "### It booms" in (tmp_path / "reports/findings.md").read_text()
    assert run("findings", "--check") == (0, "", "")
    described.write_text(CAUSE.replace("A spark.", "A flame."))
    code, out, _ = run("findings", "--check")
    assert code == 1
    assert "reports/findings.md: line" in out
    assert "expected 'A flame.', found 'A spark.'" in out
    assert "findings.md" in run("docs", "--check")[1]


def test_triage_puts_checks_to_causes_and_tells_the_rest(run, tmp_path, described):
    known = tmp_path / "suites/known_issues"
    dry = run("triage", "--dry-run")
    assert dry[0] == 0
    assert not (known / "convert_error.yaml").exists()
    assert run("triage")[1] == dry[1]
    assert "known issues: 2 patterns in 2 causes, 2 changed\n     1  (new) -> boom" in dry[1]
    assert "untriaged convert_error: 1 checks in 1 groups" in dry[1]
    assert "ops/aten.b.default/float32/opinfo-0@fp16-ios18@reference" in dry[1]
    text = (known / "convert_error.yaml").read_text()
    assert "- cause: boom\n  outcome: convert_error\n  phase: convert\n  checks:\n  - ops/aten.a.default" in text
    assert "known issues: 2 patterns in 2 causes, unchanged" in run("triage")[1]
    described.write_text(CAUSE.replace("^ValueError: boom", "^ValueError: b.*ng").replace("cause: boom", "cause: bang"))
    out = run("triage")[1]
    assert "1  boom -> convert-error-valueerror-boom-" in out
    assert "-> bang" in out


def test_triage_of_other_evidence_and_of_one_outcome(run, tmp_path, described):
    run_dir(tmp_path / "one", raised("aten.c.default", "boom"), record("aten.d.default", "wrong_value"))
    out = run("triage", "--dry-run", "--evidence", "one", "--outcome", "convert_error")[1]
    assert re.search(r"converter \d+ 1 .*triaged \d+ 1 untriaged 1", " ".join(out.split()))
    assert "untriaged wrong_value" not in out
    assert "untriaged wrong_value" in run("triage", "--dry-run", "--evidence", "one")[1]


def test_triage_lists_the_checks_of_a_cause(run, described):
    code, out, _ = run("triage", "--cause", "boom")
    assert code == 0
    assert out == (
        "ops/aten.a.default/float32/opinfo-0@fp16-ios18@reference\n    convert_error in convert: ValueError: boom\n"
    )
    assert failed(run("triage", "--cause", "bang"), "bang: no such cause")


def test_a_malformed_cause_is_one_line_whatever_is_asked(run, described):
    described.write_text(CAUSE.replace("converter", "moon"))
    for command in (
        ["triage"],
        ["findings"],
        ["docs"],
        ["merge", "reports/evidence/a.jsonl"],
        ["explain", "ops/aten.a"],
    ):
        assert failed(run(*command), "topic.yaml: entry 1 (boom): stage 'moon'")


def test_merge_names_causes_and_explain_explains_them(run, tmp_path, described):
    assert run("merge", "reports/evidence/a.jsonl", "-o", "out.jsonl")[0] == 0
    assert [one.cause for one in read_evidence(tmp_path / "out.jsonl").records] == ["boom", None, None]
    assert "boom: It booms (converter)" in run("explain", "ops/aten.a")[1]
    assert "cause" not in run("explain", "ops/aten.b")[1]
    assert "\neager  " in run("explain", "ops/aten.b")[1]  # beside all units


def test_unwritable_output(run, tmp_path):
    evidence_file(tmp_path / "reports/evidence/a.jsonl", record())
    (tmp_path / "reports/op-support.md").mkdir()
    assert failed(run("docs"), "op-support.md", "cannot write")
    (tmp_path / "file").write_text("")
    assert failed(run("merge", "reports/evidence/a.jsonl", "-o", "file/out.jsonl"), "file/out.jsonl", "cannot write")


# merge


def test_merge_of_shards(run, tmp_path):
    run_dir(tmp_path / "one", record("aten.b.default"))
    run_dir(tmp_path / "two", record("aten.a.default", "wrong_value", timing={"lower": 1.0}))
    code, out, _ = run("merge", "one", "two")
    assert code == 0
    assert out == f"wrote reports/evidence/{HERE}.jsonl: 2 checks: 1 pass, 1 wrong_value\n"
    merged = read_evidence(tmp_path / "reports/evidence" / f"{HERE}.jsonl")
    assert [one.op for one in merged.records] == ["aten.a.default", "aten.b.default"]
    assert merged.records[0].timing == {}
    assert merged.environments == {HERE: BLOCKS[HERE]}


def test_merge_of_a_part_leaves_the_fuller_evidence(run, tmp_path):
    whole, part = (tmp_path / "reports/evidence" / f"{HERE}{end}.jsonl" for end in ("", ".part"))
    run_dir(tmp_path / "all", record("aten.a.default"), record("aten.b.default"))
    run_dir(tmp_path / "some", record("aten.b.default", "wrong_value"))
    assert run("merge", "all")[0] == 0
    before = whole.read_bytes()
    code, out, _ = run("merge", "some")
    assert code == 0
    assert "holds 1 judged checks that these runs do not, and stays: --replace" in out
    assert whole.read_bytes() == before
    assert [one.outcome for one in read_evidence(part).records] == [Outcome.WRONG_VALUE]
    assert run("docs")[0] == 0
    assert "wrong_value" in (tmp_path / "reports/op-support.csv").read_text()
    # The whole again: the part is out of date.
    assert run("merge", "all")[0] == 0
    assert not part.exists()


def test_merge_keeps_timing_when_asked(run, tmp_path):
    run_dir(tmp_path / "one", record(timing={"lower": 1.0}))
    assert run("merge", "one", "-o", "out.jsonl", "--timing")[0] == 0
    assert read_evidence(tmp_path / "out.jsonl").records[0].timing == {"lower": 1.0}


def test_merge_tells_checks_that_disagree_and_the_last_wins(run, tmp_path):
    run_dir(tmp_path / "one", record())
    run_dir(tmp_path / "two", record(outcome="wrong_value"))
    code, out, _ = run("merge", "one", "two", "-o", "out.jsonl")
    assert code == 0
    assert "1 checks were recorded with different outcomes" in out
    assert read_evidence(tmp_path / "out.jsonl").records[0].outcome is Outcome.WRONG_VALUE


def test_merge_takes_a_check_in_flight_for_a_crash(run, tmp_path):
    path = run_dir(tmp_path / "one", record("aten.b.default"))
    journal = Journal(path, "other")
    begun = record()
    subject = Subject(id=begun.case, kind=begun.kind, op=begun.op, api="", dtype="float32", origin="")
    journal.begin(Check.of(subject, begun.recipe, begun.unit), 1, Phase.CONVERT)
    journal.close()
    code, out, _ = run("merge", "one")
    assert code == 0
    assert "1 pass, 1 crash" in out


def test_merge_of_two_environments_is_a_file_each(run, tmp_path):
    evidence_file(tmp_path / "one.jsonl", record(), record(environment=THERE))
    code, out, _ = run("merge", "one.jsonl")
    assert code == 0
    assert out.count("wrote") == 2
    for name in (HERE, THERE):
        written = read_evidence(tmp_path / "reports/evidence" / f"{name}.jsonl")
        assert written.environments == {name: BLOCKS[name]}
        assert [one.environment for one in written.records] == [name]
    assert run("merge", "one.jsonl", "-o", "out.jsonl")[0] == 0
    assert len(read_evidence(tmp_path / "out.jsonl").records) == 2


def test_merge_refuses_records_nobody_says_where_they_are_from(run, tmp_path):
    run_dir(tmp_path / "one", record(), environment=None)
    assert failed(run("merge", "one"), "one", HERE, "described nowhere")
    assert not (tmp_path / "reports").exists()


# diff and gate


@pytest.fixture
def sides(tmp_path):
    """A baseline, and the same with one outcome changed for the worse."""
    baseline = evidence_file(tmp_path / "baseline.jsonl", record(), record("aten.b.default"))
    error = ErrorInfo("ValueError", "no rank 6", "no rank 6")
    broken = record("aten.b.default", "convert_error", error=error)
    return baseline, evidence_file(tmp_path / "candidate.jsonl", record(), broken)


COMPARED = (
    "baseline:  torch 2.13.0, linux, 2026-01-02\n"
    "candidate: torch 2.13.0, linux, 2026-01-02\n"
    "compared:  2 of 2 checks that the baseline judged (100.0 %); the candidate judges 2\n"
)


def test_gate_says_what_it_compared_when_equal(run, sides):
    assert run("gate", sides[0], sides[0]) == (0, f"{COMPARED}passes: nothing got worse\n", "")


def test_gate_names_the_operator_that_got_worse(run, sides):
    code, out, err = run("gate", *sides)
    assert (code, err) == (1, "")
    assert out.startswith(COMPARED)
    assert "aten.b.default" in out
    assert "pass -> convert_error" in out
    assert "no rank 6" in out
    assert "gelu" not in out
    assert out.endswith("fails: 1 check, 1 operator got worse\n")


def test_gate_lets_better_pass(run, sides):
    assert run("gate", sides[1], sides[0]) == (0, f"{COMPARED}passes: nothing got worse\n", "")


def test_gate_of_a_run_directory(run, sides, tmp_path):
    run_dir(tmp_path / "run", record(), record("aten.b.default", "wrong_value"))
    code, out, _ = run("gate", sides[0], "run")
    assert code == 1
    assert "pass -> wrong_value" in out


def test_gate_of_folders_of_evidence(run, sides, tmp_path):
    evidence_file(tmp_path / "one/here.jsonl", record(), record("aten.b.default"))
    evidence_file(tmp_path / "one/there.jsonl", record(environment=THERE))
    evidence_file(tmp_path / "two/here.jsonl", record(), record("aten.b.default"))
    assert run("gate", "one", "one")[0] == 0
    code, out, _ = run("gate", "one", "two")
    assert code == 1
    assert f"regression: environment_gone: 1 check; {CLASSES['environment_gone']}" in out


def test_gate_of_a_part(run, sides, tmp_path):
    part = evidence_file(tmp_path / "part.jsonl", record())
    assert run("gate", sides[0], part)[0] == 1
    (tmp_path / "policy.toml").write_text('[classes]\nnot_judged = "ignore"')
    assert run("gate", sides[0], part, "--policy", "policy.toml")[0] == 0
    (tmp_path / "policy.toml").write_text('minimum_compared = 0.9\n[classes]\nnot_judged = "ignore"')
    assert failed(run("gate", sides[0], part, "--policy", "policy.toml"), part, "1 of the 2", "minimum_compared = 0.9")


def test_gate_by_a_policy(run, sides, tmp_path):
    waiver = '[[waiver]]\nchecks = ["ops/aten.b*"]\nuntil = {}\nreason = "upstream"\n'
    policy = tmp_path / "policy.toml"
    policy.write_text(waiver.format("2999-01-01"))
    code, out, _ = run("gate", *sides, "--policy", policy)
    assert code == 0
    assert "waived until 2999-01-01: 1 check, 1 operator; upstream" in out
    for text, says in (
        (waiver.format("2026-01-01"), "waiver 1 (ops/aten.b*): expired on 2026-01-01"),
        ("moon = 3", "unknown policy key 'moon'"),
        ('[classes]\nmoon = "fail"', "unknown class of change 'moon'"),
        ("[", "not TOML"),
    ):
        policy.write_text(text)
        assert failed(run("gate", *sides, "--policy", policy), policy, says)
    assert failed(run("gate", *sides, "--policy", "nowhere.toml"), "nowhere.toml", "no such file")


def test_gate_formats(run, sides):
    code, out, _ = run("gate", *sides, "--format", "json")
    assert code == 1
    assert json.loads(out)["passes"] is False
    assert run("gate", *sides, "--format", "markdown")[1].startswith("## Gate: fails")
    assert run("gate", *sides, "--format", "junit")[1].startswith("<testsuites")
    assert failed(run("gate", *sides, "--format", "html"), "html")


def test_what_cannot_be_compared_is_refused(run, tmp_path, sides):
    other = evidence_file(tmp_path / "other.jsonl", record("aten.z.default"))
    mac = evidence_file(tmp_path / "mac.jsonl", record(environment=THERE))
    twice = evidence_file(tmp_path / "twice.jsonl", record(), record(outcome="crash"))
    for command in ("gate", "diff"):
        assert failed(run(command, sides[0], other), other, "judges no check of", sides[0])
        assert failed(run(command, sides[0], mac), mac, "of another system than", sides[0], "macos 15.2")
        assert failed(run(command, sides[0], twice), twice, "two records of")
        assert failed(run(command, twice, sides[0]), twice, "two records of")


def test_diff(run, sides):
    code, out, _ = run("diff", *sides)
    assert code == 0
    assert "worse: 1 check, 1 operator; " in out
    code, out, _ = run("diff", sides[1], sides[0])
    assert code == 0
    assert "better: 1 check, 1 operator; " in out


# explain


def test_explain_looks_in_reports_and_in_the_newest_run(run, tmp_path):
    evidence_file(tmp_path / "reports/evidence/a.jsonl", record(), record("aten.b.default"))
    assert "pass: everything delegated" in run("explain", "ops/aten.gelu")[1]
    run_dir(tmp_path / "runs/older", record(outcome="wrong_value"))
    run_dir(tmp_path / "runs/newer", record(outcome="timeout"))
    os.utime(tmp_path / "runs/older/journal-main.jsonl", (1, 1))
    code, out, _ = run("explain", "ops/aten.gelu")
    assert code == 0
    assert "timeout: no answer" in out
    assert "pass: everything" in run("explain", "ops/aten.b.default/float32/opinfo-0")[1]


def test_explain_what_is_not_there(run, tmp_path):
    assert failed(run("explain", "ops/"), "reports/evidence", "--evidence")
    evidence_file(tmp_path / "a.jsonl", record(), record("aten.b.default"))
    assert failed(run("explain", "zeta", "--evidence", "a.jsonl"), "zeta: no such check")
    assert failed(
        run("explain", "ops/", "--evidence", "a.jsonl"), "2 checks fit", "ops/aten.b.default/float32/opinfo-0@"
    )


# The measuring commands are thin: what they pass on, and what becomes of failures.


@pytest.fixture
def measuring(monkeypatch):
    """Stand-ins for the modules the measuring commands call; they record how."""
    calls = []
    for name in ("check_file", "listing", "repro", "doctor"):
        module = types.ModuleType(f"harness.commands.{name}")
        module.run = lambda *args, _name=name, **kwargs: calls.append((_name, args, kwargs)) or 1
        monkeypatch.setitem(sys.modules, f"harness.commands.{name}", module)
    return calls


def test_arguments_reach_the_measuring_modules(run, measuring, tmp_path):
    assert run("check", "f.py::g", "--precision", "both", "--unit", "all", "--unit", "cpu_only", "--no-cache")[0] == 1
    assert run("list", "--op", "aten.add*", "--level", "smoke")[0] == 1
    assert run("repro", "a@b@c")[0] == 1
    assert run("doctor")[0] == 1
    options = {
        "recipe": (),
        "precision": "both",
        "unit": ("all", "cpu_only"),
        "target": "iOS18",
        "json_out": None,
        "workers": "1",
        "no_cache": True,
        "resume": False,
        "way_around": False,
        "tries": 30,
    }
    assert measuring == [
        ("check_file", ("f.py::g",), options),
        ("listing", (), {"op": "aten.add*", "level": "smoke", "units": ()}),
        ("repro", ("a@b@c",), {}),
        ("doctor", (), {"ask_core_ml": False}),
    ]


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (HarnessError("f.py: no such file"), "f.py: no such file"),
        (
            ModuleNotFoundError("No module named 'torch'"),
            "cannot import what this command needs: No module named 'torch'",
        ),
        (PermissionError(13, "Permission denied", "out.jsonl"), "out.jsonl: Permission denied"),
        (KeyError("x"), "internal error: KeyError: 'x'"),
    ],
)
def test_failures_are_one_line(run, measuring, error, part):
    def fail(**_options):
        raise error

    sys.modules["harness.commands.doctor"].run = fail
    result = run("doctor")
    assert failed(result, part)
    assert result[2].count("\n") == 1


def test_debug_shows_the_traceback(capsys, measuring, monkeypatch):
    monkeypatch.setenv("COREML_HARNESS_DEBUG", "1")
    sys.modules["harness.commands.doctor"].run = lambda **_options: {}["x"]
    assert main(["doctor"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_interrupt(measuring, capsys):
    def interrupt(**_options):
        raise KeyboardInterrupt

    sys.modules["harness.commands.doctor"].run = interrupt
    assert main(["doctor"]) == 130
    assert "Traceback" not in capsys.readouterr().err


# Output that goes nowhere.


@pytest.mark.parametrize("broken", [True, False])
def test_a_reader_that_goes_away_is_quiet_and_keeps_the_exit_code(sides, broken):
    """`gate` into a pipe whose reader has closed still says 1."""
    read, write = os.pipe()
    if broken:
        os.close(read)
    command = [sys.executable, "-m", "harness", "gate", *map(str, sides)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    os.close(write)
    if not broken:
        os.close(read)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_output_that_cannot_be_written(sides):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "harness", "gate", *map(str, sides)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("coreml-harness: ")
    assert done.stderr.count("\n") == 1


def test_a_terminal_without_the_signs(tmp_path):
    """An ASCII locale must not end a command that prints what an error message held."""
    error = ErrorInfo("ValueError", "größe ≠ 3 \ud83d", "größe")
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps({"evidence": {"environments": {HERE: BLOCKS[HERE]}, "records": 1}})
        + "\n"
        + json.dumps(record(outcome="convert_error", error=error).to_json())
        + "\n"
    )
    command = [sys.executable, "-m", "harness", "explain", "ops/", "--evidence", str(path)]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ValueError: gr" in done.stdout


# harness list --headroom


def test_headroom_is_listed_from_records(run, tmp_path):
    near = record(numerics=Numerics("ULP", limit=1.0, worst=0.8, headroom=1.25))
    path = evidence_file(tmp_path / "e.jsonl", near)
    code, out, _ = run("list", "--headroom", "--evidence", path)
    assert code == 0
    assert out.splitlines()[2].split()[:2] == ["tight", "aten.gelu.default"]
    assert run("list", "--headroom", "--evidence", path, "--op", "aten.gelu")[1] == out
    assert failed(run("list", "--headroom", "--evidence", path, "--op", "aten.nosuch"), "aten.nosuch")


def test_evidence_without_headroom_is_refused(run, tmp_path):
    assert failed(run("list", "--evidence", evidence_file(tmp_path / "e.jsonl", record())), "--headroom")
