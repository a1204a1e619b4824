import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from harness.commands import check_file
from harness.commands.check_file import exit_code, recipes_of, report, workers_of
from harness.evidence.causes import read_causes
from harness.evidence.division import Division, Island
from harness.evidence.files import read_evidence
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import ErrorInfo, Numerics, Record
from harness.evidence.vocabulary import OUTCOME_MEANINGS, UNJUDGED, WORKING, HarnessError, Outcome, Phase
from harness.process.isolation import IsolatedChecker
from harness.process.workers import Workers

TESTS = Path(__file__).resolve().parents[1]

MINE = """
    import logging
    import coremltools  # has much to say of other packages
    import torch

    logging.getLogger("mine").warning("warned by the file itself")

    class Apply(torch.nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    def mlp():
        layers = torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 4)
        return torch.nn.Sequential(*layers), (torch.randn(2, 8),)

    def asinh_of_sin():
        return Apply(lambda x: torch.asinh(torch.sin(x))), (torch.randn(4),)

    def polygamma():
        return Apply(lambda x: torch.polygamma(1, x)), (torch.rand(4) + 1,)

    def wrong_shapes():
        return torch.nn.Linear(8, 4), (torch.randn(2, 7),)

    def no_weights():
        raise FileNotFoundError("weights.pt")

    def _helper():
        raise AssertionError("not a case")

    def with_a_parameter(x):
        raise AssertionError("not a case")
"""


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "harness", "check", *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )


def blocks(text):
    """The lines below each check's head, by function and outcome."""
    found = {}
    for line in text.splitlines():
        if line.startswith("check/"):
            identity, _, outcome = line.partition(": ")
            found[identity.split("/")[2].split("@")[0]] = outcome, (lines := [])
        else:
            lines.append(line.strip())
    return found


@pytest.mark.slow
def test_a_file_of_modules_that_pass_fall_back_and_are_refused(tmp_path):
    (tmp_path / "mine.py").write_text(textwrap.dedent(MINE))
    options = ["--precision", "fp16", "--unit", "reference", "--json", "out.jsonl", "--no-cache", "-n", "2"]
    done = command("mine.py", *options, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stderr == "warned by the file itself\n"
    said = blocks(done.stdout)
    assert list(said) == ["mlp", "asinh_of_sin", "polygamma", "wrong_shapes", "no_weights"]

    outcome, lines = said["mlp"]
    assert outcome == "pass (phase value)"
    (delegated,) = [line for line in lines if line.startswith("delegated:")]
    assert "aten.linear.default x2" in delegated
    assert "aten.gelu.default" in delegated
    assert not [line for line in lines if line.startswith("fallback:")]

    outcome, lines = said["asinh_of_sin"]
    assert outcome == "partial (phase value)"
    assert "delegated: aten.sin.default" in lines
    assert "fallback: aten.asinh.default" in lines

    outcome, lines = said["polygamma"]
    assert outcome == "unsupported (phase edge)"
    assert any(line.startswith("error:") and "polygamma" in line for line in lines)

    outcome, lines = said["wrong_shapes"]
    assert outcome == "invalid_case (phase eager)"
    assert any("mat1 and mat2 shapes cannot be multiplied" in line for line in lines)
    outcome, lines = said["no_weights"]
    assert outcome == "invalid_case (phase eager)"
    assert "reason: no_weights() raised FileNotFoundError: weights.pt" in lines

    evidence = read_evidence(tmp_path / "out.jsonl")
    assert [(r.case, str(r.outcome), str(r.phase)) for r in sorted(evidence.records, key=lambda r: r.case)] == [
        ("check/mine/asinh_of_sin", "partial", "value"),
        ("check/mine/mlp", "pass", "value"),
        ("check/mine/no_weights", "invalid_case", "eager"),
        ("check/mine/polygamma", "unsupported", "edge"),
        ("check/mine/wrong_shapes", "invalid_case", "eager"),
    ]
    assert {r.environment for r in evidence.records} == set(evidence.environments)
    by_name = {r.case.rsplit("/")[-1]: r for r in evidence.records}
    assert by_name["mlp"].delegated == {"aten.gelu.default": 1, "aten.linear.default": 2}
    assert by_name["mlp"].numerics.sqnr_db > 40
    assert by_name["mlp"].timing["run"] > 0


BAD_FILES = {
    "syntax.py": ("def f(:", "syntax.py: does not import: SyntaxError"),
    "raises.py": ("raise RuntimeError('first\\nsecond')", "raises.py: does not import: RuntimeError: first second"),
    "exits.py": ("import sys; sys.exit(5)", "exits.py: does not import: SystemExit: 5"),
    "missing.py": ("import no_such_module_here", "No module named 'no_such_module_here'"),
    "empty.py": ("", "empty.py: no case: a case is a public function without parameters"),
    "private.py": ("def _f(): pass\ndef g(x): pass\nfrom os import getcwd", "private.py: no case"),
    "binary.py": ("\0", "binary.py: does not import"),
}


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """`check_file.run` in an empty directory, the child answering that what it could make passes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setattr(check_file, "FILE_HANDLER", "fake_handler:make_user_file")

    def run(argument, **options):
        return check_file.run(str(argument), **({"precision": "fp16"} | options)), capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_by_name(check, name):
    text, says = BAD_FILES[name]
    Path(name).write_text(text)
    with pytest.raises(HarnessError) as caught:
        check(name)
    assert says in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("nowhere.py", "nowhere.py: no such file"),
        (".", "no such file"),
        ("", "no such file"),
        ("notes.txt", "notes.txt: not a Python file"),
        ("good.py::other", "good.py: no case named 'other'"),
        ("good.py::_hidden", "it has: one, two"),
    ],
)
def test_a_bad_argument_is_refused_by_name(check, argument, says):
    Path("notes.txt").write_text("")
    Path("good.py").write_text("def one(): pass\ndef two(): pass\ndef _hidden(): pass")
    with pytest.raises(HarnessError, match=says):
        check(argument)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"unit": ("moon",)}, "unknown unit 'moon'"),
        ({"target": "iOS3"}, "unknown target 'iOS3': expected one of iOS15"),
        ({"precision": "fp8"}, "fp8"),
        ({"workers": "0"}, "-n 0: expected a number of workers, 1 or more, or auto"),
        ({"workers": "-1"}, "-n -1: expected"),
        ({"workers": "many"}, "-n many: expected"),
        ({"workers": "²"}, "-n ²: expected"),
        ({"json_out": Path("no/such/dir.jsonl")}, "dir.jsonl: not a file that can be written"),
        ({"json_out": Path(".")}, "not a file that can be written"),
    ],
)
def test_bad_options_are_refused_before_the_file_is_imported(check, options, says):
    Path("good.py").write_text("open('imported', 'w')\ndef one(): pass")
    with pytest.raises(HarnessError, match=says):
        check("good.py", **options)
    assert not Path("imported").exists()


def test_at_the_door_bad_input_is_one_line_and_exit_code_2(tmp_path):
    for argument, says in (("nowhere.py", "nowhere.py: no such file"), ("bad.py", "bad.py: does not import")):
        (tmp_path / "bad.py").write_text("1/0")
        done = command(argument, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        (line,) = done.stderr.splitlines()
        assert says in line


GOOD_THEN_WRONG = """
    import torch

    def good():
        return torch.nn.ReLU(), (torch.ones(2),)

    def single():
        return torch.nn.ReLU(), torch.ones(2)

    def wrong():
        return {returned}
"""


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("3", "left out: mine.py::wrong: returned int, expected (module, example_inputs)"),
        ("torch.nn.ReLU()", "left out: mine.py::wrong: returned ReLU"),
        ("torch.relu, (torch.ones(2),)", "left out: mine.py::wrong: returned a tuple of"),
    ],
)
def test_a_function_that_is_no_case_is_left_out_with_one_line(check, returned, says):
    Path("mine.py").write_text(textwrap.dedent(GOOD_THEN_WRONG.format(returned=returned)))
    code, out = check("mine.py", json_out=Path("out.jsonl"), precision="both")
    assert code == 0
    assert [line[: len(says)] for line in out.splitlines() if "wrong" in line] == [says]
    assert out.count(": pass") == 4
    assert {r.case for r in read_evidence(Path("out.jsonl")).records} == {"check/mine/good", "check/mine/single"}


def test_one_that_was_named_or_is_alone_ends_the_command(check):
    Path("mine.py").write_text(textwrap.dedent(GOOD_THEN_WRONG.format(returned="3")))
    Path("alone.py").write_text("def helper(): return 'x'\ndef other(): return None")
    with pytest.raises(HarnessError, match=r"^mine\.py::wrong: returned int, expected"):
        check("mine.py::wrong")
    with pytest.raises(HarnessError, match=r"^alone\.py: no case: alone\.py::\w+: returned \w+, expected"):
        check("alone.py")


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("torch.nn.ReLU(), 1.5", "example_inputs: a tensor, a tuple of arguments or a dict"),
        ("torch.nn.ReLU(), 'x'", "example_inputs: a tensor"),
        ("torch.nn.ReLU(), (torch.ones(2),), {'call': []}", "options: unknown key 'call': known are kwargs"),
        ("1 / 0", "wrong() raised ZeroDivisionError"),
        ("exit(3)", "wrong() raised SystemExit"),
    ],
)
def test_a_bad_case_costs_one_record(check, returned, says):
    Path("mine.py").write_text(textwrap.dedent(GOOD_THEN_WRONG.format(returned=returned)))
    code, out = check("mine.py", json_out=Path("out.jsonl"))
    assert code == 1
    assert out.count(": pass") == 2
    by_case = {r.case.rpartition("/")[2]: r for r in read_evidence(Path("out.jsonl")).records}
    assert by_case.keys() == {"good", "single", "wrong"}
    assert by_case["wrong"].outcome is Outcome.INVALID_CASE
    assert by_case["wrong"].reason.startswith(says)


def test_one_function_may_be_named_and_a_file_may_import_its_neighbour(check):
    Path("neighbour.py").write_text("import torch\nmodule = torch.nn.ReLU()")
    text = "import torch\nimport neighbour\ndef a(): return neighbour.module, torch.ones(2)\ndef b(): raise SystemExit"
    Path("mine.py").write_text(text)
    code, out = check("mine.py::a", precision="both")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines() if line.startswith("check/")] == [
        "check/mine/a@fp32-ios18@reference",
        "check/mine/a@fp16-ios18@reference",
    ]


# Exit codes and words.


def record(outcome, **fields):
    return Record("check/mine/f", "fp16-ios18", "reference", Outcome(outcome), Phase.VALUE, **fields)


@pytest.mark.parametrize("outcome", sorted(Outcome))
def test_the_exit_code_says_whether_every_program_works(outcome):
    assert exit_code([record(outcome)]) == (0 if outcome in WORKING else 1)
    beside_a_pass = exit_code([record("pass"), record(outcome)])
    assert beside_a_pass == (0 if outcome in WORKING or outcome is Outcome.NOT_RUN else 1)


def test_nothing_judged_anywhere_is_no_success():
    assert UNJUDGED
    assert exit_code([record("not_run"), record("not_run")]) == 1
    assert exit_code([]) == 1


def test_a_fault_of_the_harness_is_no_success_beside_a_pass():
    fault = record("not_run", error=ErrorInfo("HarnessFault", "trace", "KeyError"))
    assert exit_code([record("pass"), fault]) == 1


def test_a_fault_of_the_harness_is_reported_by_its_reason():
    fault = record(
        "not_run", reason="the harness itself failed: KeyError: 3", error=ErrorInfo("HarnessFault", "t", "K")
    )
    assert report(fault)[-1] == "  reason: the harness itself failed: KeyError: 3"


def test_recipes_of_the_options():
    assert [r.name for r in recipes_of((), "both", "iOS18")] == ["fp32-ios18", "fp16-ios18"]
    assert [r.name for r in recipes_of((), "fp16", "ios17")] == ["fp16-ios17"]
    assert [r.name for r in recipes_of(("default", "fp32-ios16", "default"), "both", "iOS18")] == [
        "default",
        "fp32-ios16",
    ]


@pytest.mark.parametrize("outcome", sorted(Outcome))
def test_a_report_names_outcome_phase_and_meaning(outcome):
    lines = report(record(outcome))
    assert lines[0] == f"check/mine/f@fp16-ios18@reference: {outcome} (phase value)"
    assert lines[1].strip() == OUTCOME_MEANINGS[outcome]


def test_a_report_names_operators_numbers_errors_and_notes():
    lines = report(
        record(
            "partial",
            delegated={"aten.sin.default": 2},
            fallback={"aten.asinh.default": 1},
            missing_kernels=["aten.asinh.default"],
            numerics=Numerics("SQNR", limit=0.5, worst=0.25, sqnr_db=61.25, max_abs=0.125),
            error=ErrorInfo("ValueError", "first\nsecond", "s"),
            notes=[
                Note(NoteCode.TRUTH, "a note"),
                Note(NoteCode.OPERATOR, "aten.sin.default"),
                Note(NoteCode.SOURCE, "mine.py:3, in forward: x.sin()"),
            ],
        )
    )
    assert [line.strip() for line in lines[2:]] == [
        "delegated: aten.sin.default x2",
        "fallback: aten.asinh.default",
        "ExecuTorch has no kernel for: aten.asinh.default; it would not load",
        "numerics: SQNR: error 0.25, limit 0.5; 0.125 absolute, SQNR 61.2 dB",
        "error: ValueError: first",
        "second",
        "operator: aten.sin.default",
        "in your source: mine.py:3, in forward: x.sin()",
        "note: a note",
    ]


def test_a_report_tells_whose_fault_it_is():
    wrong = record("wrong_value", stage="runtime", against_reference={"outcome": "pass", "equal": False})
    assert report(wrong)[-1] == "  stage: runtime (the reference executor: pass)"


def test_a_record_is_told_with_its_cause():
    (gelu,) = (cause for cause in read_causes() if cause.cause == "gelu-approximate-dropped")
    lines = report(record("wrong_value", cause=gelu.cause), {gelu.cause: gelu})
    assert f"  cause: gelu-approximate-dropped: {gelu.title}" in lines
    assert f"  what to do: {gelu.remedy}" in lines
    assert f"  upstream: {gelu.upstream}" in lines
    assert not any("cause" in line for line in report(record("wrong_value")))


def test_a_units_absence_is_told_with_its_reason():
    assert (
        report(record("not_run", reason="Core ML predicts only on macOS"))[-1]
        == "  reason: Core ML predicts only on macOS"
    )


THREE = """
import torch
from pathlib import Path

def _made(name):
    with open("made.txt", "a") as file:
        file.write(name + " ")
    return torch.nn.ReLU(), (torch.ones(2),)

def first(): return _made("first")
def second(): return _made("second")
def third(): return _made("third")
"""


def test_a_killed_check_keeps_its_records_and_goes_on(check, monkeypatch):
    """The second check ends the command as a kill would: without a word to what comes after."""
    Path("mine.py").write_text(THREE)
    whole = IsolatedChecker.check

    def killed(self, check, *arguments, **options):
        if check.case.api == "second":
            raise KeyboardInterrupt
        return whole(self, check, *arguments, **options)

    out = Path("out.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(IsolatedChecker, "check", killed)
        with pytest.raises(KeyboardInterrupt):
            check("mine.py", json_out=out)
    assert [r.case for r in read_evidence(out).records] == ["check/mine/first"]
    Path("made.txt").unlink()
    code, text = check("mine.py", json_out=out, resume=True)
    assert code == 0
    assert [r.case for r in read_evidence(out).records] == ["check/mine/first", "check/mine/second", "check/mine/third"]
    assert Path("made.txt").read_text().split() == ["second", "third"]
    assert "check/mine/first" in text
    # Without it, all is measured again.
    Path("made.txt").unlink()
    check("mine.py", json_out=out)
    assert Path("made.txt").read_text().split() == ["first", "second", "third"]


def test_what_later_checks_are_known_by_stays_when_a_resumed_run_ends_early(check, monkeypatch):
    Path("mine.py").write_text(THREE)
    out = Path("out.jsonl")
    check("mine.py::third", json_out=out)

    def killed(self, *_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(IsolatedChecker, "check", killed)
    with pytest.raises(KeyboardInterrupt):
        check("mine.py", json_out=out, resume=True)
    assert [r.case for r in read_evidence(out).records] == ["check/mine/third"]


def test_resuming_needs_a_file_of_evidence(check):
    Path("mine.py").write_text(THREE)
    with pytest.raises(HarnessError, match="--resume goes with --json"):
        check("mine.py", resume=True)
    Path("out.jsonl").write_text("{}")
    with pytest.raises(HarnessError, match=r"out\.jsonl"):
        check("mine.py", json_out=Path("out.jsonl"), resume=True)


# Workers.


def test_the_number_of_workers():
    assert workers_of("3") == 3
    assert workers_of("auto") >= 1


#: Each function says which process made it, and may wait for another's word.
TOLD = """
import os, time, torch
from pathlib import Path

def _made(name, waits_for=""):
    while waits_for and not Path(waits_for).exists():
        time.sleep(0.01)
    Path(name).write_text(str(os.getpid()))
    return torch.nn.ReLU(), (torch.ones(2),)

"""


def test_reports_and_exit_code_are_those_of_one_worker_whoever_is_first(check):
    Path("mine.py").write_text(
        TOLD
        + """
def first(): return _made("first", waits_for="third")
def second(): return _made("second")
def third(): return _made("third")
"""
    )
    code, out = check("mine.py", workers="2", precision="both", json_out=Path("out.jsonl"))
    assert code == 0
    found = [line.split(": ")[0] for line in out.splitlines() if line.startswith("check/")]
    expected = [
        f"check/mine/{name}@{recipe}@reference"
        for name in ("first", "second", "third")
        for recipe in ("fp32-ios18", "fp16-ios18")
    ]
    assert found == expected
    # A block each, none within another.
    assert [line.startswith("check/") for line in out.splitlines()] == [True, False] * len(expected)
    assert {r.check_id for r in read_evidence(Path("out.jsonl")).records} == set(expected)
    assert Path("first").read_text() != Path("third").read_text()


def test_a_unit_that_is_asked_for_twice_is_checked_once(check):
    Path("mine.py").write_text(TOLD + "def a(): return _made('a')\n")
    code, out = check("mine.py", unit=("reference", "reference"))
    assert code == 0
    assert out.count("check/mine/a@") == 1


def test_there_are_never_more_workers_than_cases(check, monkeypatch):
    """As many children as the text promises cases get ready at once; what cannot have work is let go, or is none."""
    counts = []
    whole = Workers.resize
    monkeypatch.setattr(Workers, "resize", lambda self, count: (counts.append(count), whole(self, count))[1])
    text = TOLD + "def a(): return _made('a')\ndef b(): return _made('b')\n"
    Path("mine.py").write_text(text)
    check("mine.py", workers="9")
    assert counts == [2, 2]
    counts.clear()
    check("mine.py::a", workers="9", json_out=Path("out.jsonl"))
    assert counts == [1, 1]
    counts.clear()
    check("mine.py", workers="9", json_out=Path("out.jsonl"), resume=True)
    assert counts == [2, 1]
    counts.clear()
    Path("made.py").write_text(TOLD + "for name in ('c', 'd'): exec(f'def {name}(): return _made({name!r})')")
    check("made.py", workers="9")
    assert counts == [1, 2]


def test_what_is_no_case_of_one_worker_is_left_out_and_ends_nothing(check):
    Path("mine.py").write_text(
        TOLD
        + """
def good(): return _made("good")
def wrong(): return 3
def late(): return _made("late", waits_for="good")
"""
    )
    code, out = check("mine.py", workers="2", json_out=Path("out.jsonl"))
    assert code == 0
    assert [r.case for r in read_evidence(Path("out.jsonl")).records] == ["check/mine/good", "check/mine/late"]
    assert "check/mine/good@fp16-ios18@reference: pass" in out
    assert "left out: mine.py::wrong: returned int" in out


INTERRUPTED = """
import signal, sys
from harness import cli
from harness.commands import check_file

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell began the tests with `&`
check_file.FILE_HANDLER = "fake_handler:make_user_file"
sys.exit(cli.main(["check", "mine.py", "-n", "2", "--json", "out.jsonl", "--precision", "fp16"]))
"""


def test_ctrl_c_ends_all_children_and_keeps_what_is_found(tmp_path):
    (tmp_path / "mine.py").write_text(
        TOLD
        + """
def good(): return _made("good")
def _endless(name):
    _made(name)
    time.sleep(600)
def one(): _endless("one")
def two(): _endless("two")
"""
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(TESTS.parent), str(TESTS)))}
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        until = time.monotonic() + 120
        while not all((tmp_path / name).exists() for name in ("one", "two")) and time.monotonic() < until:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        try:
            out, err = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == 130
    assert err.strip() == ""
    assert "check/mine/good@fp16-ios18@reference: pass" in out
    assert [r.case for r in read_evidence(tmp_path / "out.jsonl").records] == ["check/mine/good"]
    for name in ("one", "two"):
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / name).read_text()), 0)


def test_report_tells_how_a_program_falls_apart():
    divided = record("partial").with_(division=Division(2, (Island({"aten.asinh.default": 1}),), 400, 300))
    assert "  divided: 2 delegates, 1 island left to ExecuTorch; 75 % of 400 FLOP delegated" in report(divided)
    assert not any("divided" in line for line in report(record("pass").with_(division=Division(1))))
