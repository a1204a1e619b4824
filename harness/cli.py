"""The command line: `coreml-harness`, or `python -m harness`.

Importing this loads no torch; the commands that measure import what they need when they are called.
Exit codes: 0 nothing wrong, 1 findings or regressions, 2 the command itself could not be carried out.
"""

from __future__ import annotations

import datetime
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness import __version__
from harness.evidence.files import Evidence, merge_evidence, read_evidence
from harness.evidence.journal import latest_run, read_run_or_file
from harness.evidence.recipe import PRECISIONS
from harness.evidence.remedy import TRIES
from harness.evidence.vocabulary import HarnessError, Level, Outcome

OK, FINDINGS, FAILED, INTERRUPTED = 0, 1, 2, 130
PROGRAM = "coreml-harness"
#: Set to see the traceback of what is otherwise one line.
DEBUG = "COREML_HARNESS_DEBUG"
RUNS = Path("runs")
LEVELS = [str(level) for level in Level]
OUTCOMES = [str(outcome) for outcome in Outcome]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. What goes wrong is one clear line on stderr."""
    # Commands read or make tens of thousands of small values and end: the collector would walk them in vain.
    gc.set_threshold(200_000, 50, 50)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a sign must not end the command
    try:
        code = cli.main(list(sys.argv[1:] if arguments is None else arguments), PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else OK
    except BrokenPipeError:
        _discard_output()
        return OK
    except click.exceptions.Abort:
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return FAILED
    except click.ClickException as error:
        return _fail(error.format_message())
    except HarnessError as error:
        return _fail(str(error))
    except ImportError as error:
        return _fail(f"cannot import what this command needs: {error}", error)
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), error)
    except Exception as error:
        return _fail(f"internal error: {type(error).__name__}: {error} (set {DEBUG}=1 for the traceback)", error)


def _fail(message: str, error: BaseException | None = None) -> int:
    if error is not None and os.environ.get(DEBUG):
        traceback.print_exception(error)
    click.echo(f"{PROGRAM}: {message}", err=True)
    try:
        sys.stdout.flush()
    except OSError:  # what could not be written would be tried again, and reported again, at exit
        _discard_output()
    return FAILED


def _say(text: str) -> None:
    """Print; a reader that went away (`| head`) changes neither the exit code nor what else the command does."""
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def _discard_output() -> None:
    """Let what is still to be printed go nowhere, quietly."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name=PROGRAM)
def cli() -> None:
    """Conformance and op-support harness for the ExecuTorch Core ML backend.

    Exit codes: 0 nothing wrong, 1 findings or regressions, 2 the command could not be carried out.
    """


_reports = click.option(
    "--reports",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where the pages are.",
)
_all = click.option("--all", "show_all", is_flag=True, help="Every check, not the first few of each operator.")


_known_issues = click.option(
    "--known-issues",
    type=click.Path(path_type=Path),
    default=Path("suites/known_issues"),
    show_default=True,
    help="Where known issues and causes are.",
)


@cli.command(short_help="Generate the pages from the evidence.")
@click.option("--check", "check_only", is_flag=True, help="Write nothing; exit 1 when a page is out of date.")
@click.option("--format", "page_format", type=click.Choice(["executorch"]), help="Only the page in ExecuTorch's form.")
@_known_issues
@_reports
def docs(check_only: bool, page_format: str | None, known_issues: Path, reports: Path) -> int:
    """Generate the op-support pages and the findings from the evidence in REPORTS/evidence."""
    from harness.publish.docs import EXECUTORCH_PAGES

    return _pages(check_only, EXECUTORCH_PAGES if page_format else None, known_issues, reports)


@cli.command(short_help="Generate the page of what is wrong, by cause.")
@click.option("--check", "check_only", is_flag=True, help="Write nothing; exit 1 when the page is out of date.")
@click.option("--issue", "cause", metavar="CAUSE", help="Print the text of an upstream issue about this cause.")
@_known_issues
@_reports
def findings(check_only: bool, cause: str | None, known_issues: Path, reports: Path) -> int:
    """Generate REPORTS/findings.md from the evidence in REPORTS/evidence and the causes beside the known issues."""
    from harness.publish.docs import FINDINGS_PAGE, issue_text

    if cause is not None:
        _say(issue_text(cause, reports, known_issues).rstrip("\n"))
        return OK
    return _pages(check_only, (FINDINGS_PAGE,), known_issues, reports)


def _pages(check_only: bool, only: Sequence[str] | None, known_issues: Path, reports: Path) -> int:
    from harness.publish.docs import check_docs, write_docs

    if not check_only:
        _say("\n".join(f"wrote {path}" for path in write_docs(reports, only, known_issues)))
        return OK
    stale = check_docs(reports, only, known_issues)
    for page in stale:
        _say(f"{reports / page.name}: {str(page).removeprefix(f'{page.name}: ')}")
    if stale:
        _say("stale pages: run `coreml-harness docs`")
    return FINDINGS if stale else OK


@cli.command(short_help="Put the records into one HTML page to search.")
@click.argument("evidence", nargs=-1, type=click.Path(path_type=Path), metavar="[EVIDENCE]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: REPORTS/index.html.")
@click.option("--against", type=click.Path(path_type=Path), metavar="OTHER", help="Also show what changed since this.")
@_known_issues
@_reports
def dashboard(
    evidence: tuple[Path, ...], output: Path | None, against: Path | None, known_issues: Path, reports: Path
) -> int:
    """Put the records of EVIDENCE, files or run directories, into one page that works offline and from a file.

    Without EVIDENCE those in REPORTS/evidence. OTHER is an earlier file or run, held against them check by check.
    """
    from harness.commands.dashboard import run

    path, counts = run(evidence, reports, known_issues, output, against)
    _say(f"wrote {path}: {counts}")
    return OK


@cli.command(short_help="Merge run directories and evidence files, and verify them.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: REPORTS/evidence/<environment>.jsonl.")
@click.option("--timing", is_flag=True, help="Keep the timings, which differ from run to run.")
@click.option("--replace", is_flag=True, help="Replace evidence that holds checks which these runs do not.")
@click.option("--mixed-code", is_flag=True, help="Take parts of one environment that were measured with other code.")
@_known_issues
@_reports
def merge(
    runs: tuple[Path, ...],
    output: Path | None,
    timing: bool,
    replace: bool,
    mixed_code: bool,
    known_issues: Path,
    reports: Path,
) -> int:
    """Merge run directories and evidence files (shards) into one sorted evidence file, or one for each environment.

    Of two records for the same check and environment, the one named last wins. Failing records name their causes.
    Evidence that lacks checks of what is there is written beside it, to <environment>.part.jsonl, without --replace.
    """
    from harness.commands.merge import run

    folder = reports / "evidence"
    _say(run(runs, output, folder, known_issues, timing=timing, replace=replace, mixed_code=mixed_code))
    return OK


@cli.command(short_help="Compare two evidence files or run directories.")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@_all
def diff(a: Path, b: Path, show_all: bool) -> int:
    """Tell all that moved from A to B, check by check, without judging it: what `gate` judges by a policy."""
    from harness.publish.diff import diff as compare
    from harness.publish.diff import render
    from harness.publish.policy import default_policy

    result = compare(read_run_or_file(a), read_run_or_file(b), default_policy().limits)
    _say(render(result, limit=None if show_all else 5))
    return OK


@cli.command(short_help="Judge a candidate against a baseline.")
@click.argument("baseline", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path))
@click.option("--policy", type=click.Path(path_type=Path), metavar="FILE", help="What fails, warns or is waived: TOML.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown", "json", "junit"]),
    default="text",
    show_default=True,
    help="junit and json hold everything, the others the first few of each operator.",
)
@_all
def gate(baseline: Path, candidate: Path, policy: Path | None, style: str, show_all: bool) -> int:
    """Exit 0 when CANDIDATE is nowhere worse than BASELINE, else 1. Each is an evidence file, a run directory, or a
    folder of evidence files; every environment is compared with its own.

    What the baseline judged and the candidate does not is worse, too, unless the policy says otherwise.
    """
    from harness.publish.gate import gate as judge
    from harness.publish.gate_formats import render
    from harness.publish.policy import read_policy

    rules = read_policy(policy, datetime.date.today())
    verdict = judge(read_run_or_file(baseline), read_run_or_file(candidate), rules)
    _say(render(verdict, style, limit=None if show_all else 5))
    return OK if verdict.passes else FINDINGS


@cli.command(short_help="Tell one record, or an error met elsewhere, in words.")
@click.argument("check_id", required=False)
@click.option("--error", "text", metavar="TEXT", help="Instead of a record: an error met elsewhere; -: standard input.")
@click.option(
    "--evidence", "source", type=click.Path(path_type=Path), help="File or run; default: the newest run, then REPORTS."
)
@click.option("--localise", is_flag=True, help="Lower the check again and name where its value goes wrong.")
@_known_issues
@_reports
def explain(
    check_id: str | None, text: str | None, source: Path | None, localise: bool, known_issues: Path, reports: Path
) -> int:
    """Tell one record in words. CHECK_ID may be a case id or the beginning of a check id, where only one fits.

    With --error, tell what is known of a line or a whole traceback of lowering, loading or running, causes first; exit
    1 when nothing is.

    With --localise, the check is lowered again, and the first operator of the program that leaves its bound is named,
    with the converter it came from and the pass of the conversion after which the result is wrong.
    """
    from harness.commands.explain import error_text, record_text

    if check_id is not None and text is None:
        evidence = read_run_or_file(source) if source else _recorded(reports)
        _say(record_text(evidence, check_id, known_issues, localise=localise))
        return OK
    if text is None or check_id is not None:
        raise HarnessError("explain: expected a CHECK-ID or --error TEXT, one of them")
    if source is not None or localise:
        raise HarnessError("explain: --evidence and --localise go with a CHECK-ID, not with --error")
    told, known = error_text(_standard_input() if text == "-" else text, known_issues)
    _say(told)
    return OK if known else FINDINGS


def _standard_input() -> str:
    return sys.stdin.buffer.read().decode(errors="replace")


def _recorded(reports: Path) -> Evidence:
    """The committed evidence, and over it the newest run that has a journal."""
    paths = sorted((reports / "evidence").glob("*.jsonl"))
    parts = [read_evidence(path) for path in paths]
    latest = latest_run(RUNS)
    if latest:
        parts.append(read_run_or_file(latest))
    if not parts:
        raise HarnessError(f"no evidence in {reports / 'evidence'} and no run in {RUNS}: name one with --evidence")
    return merge_evidence(parts)


@cli.command(short_help="Put failing checks to the causes that explain them.")
@click.option(
    "--evidence", "sources", multiple=True, type=click.Path(path_type=Path), help="Default: REPORTS/evidence."
)
@click.option("--dry-run", is_flag=True, help="Rewrite nothing.")
@click.option("--cause", "slug", metavar="CAUSE", help="Only list the checks that go to this cause.")
@click.option("--outcome", type=click.Choice(OUTCOMES), help="Of the untriaged, only these, and all of them.")
@click.option("--all", "show_all", is_flag=True, help="Every untriaged group.")
@_known_issues
@_reports
def triage(
    sources: tuple[Path, ...],
    dry_run: bool,
    slug: str | None,
    outcome: str | None,
    show_all: bool,
    known_issues: Path,
    reports: Path,
) -> int:
    """Rewrite the known issues so that each failing check of the evidence stands under the cause that explains it.

    Nothing is measured. Prints causes and checks by stage, what moved, and what no cause explains.
    """
    from harness.evidence.causes import read_causes
    from harness.evidence.known_issues import read_known_issues, write_known_issues
    from harness.evidence.triage import named, retriage
    from harness.publish.docs import evidence_paths
    from harness.publish.triage import changes_text, checks_text, triage_text

    causes = read_causes(known_issues)
    evidence = merge_evidence(read_run_or_file(path) for path in sources or evidence_paths(reports))
    records = named(evidence, causes)
    if slug is not None:
        if slug not in {cause.cause for cause in causes}:
            raise HarnessError(f"{slug}: no such cause")
        _say(checks_text(record for record in records if record.cause == slug))
        return OK
    before = read_known_issues(known_issues, causes, triage=True)
    after = retriage(before, evidence, causes)
    if not dry_run:
        write_known_issues(known_issues, after)
    _say(changes_text(before, after))
    _say(triage_text(records, causes, None if show_all or outcome else 10, outcome))
    return OK


@cli.command("list")
@click.option("--op", metavar="GLOB", help="Only operators or functions that the glob names.")
@click.option("--level", type=click.Choice(LEVELS), default=str(Level.STANDARD), show_default=True)
@click.option("--unit", "units", metavar="UNIT", multiple=True, help="Cases for these; default: this machine's units.")
@click.option(
    "--headroom", is_flag=True, help="Instead: how far recorded errors stay from their bounds, tightest first."
)
@click.option(
    "--evidence",
    "source",
    type=click.Path(path_type=Path),
    help="With --headroom or --coverage: file or run; see explain.",
)
@click.option("--coverage", is_flag=True, help="Instead: operators of the universe without a case, and why.")
@click.option(
    "--uncovered",
    type=click.Path(path_type=Path),
    default=Path("suites/ops/uncovered.yaml"),
    show_default=True,
    help="With --coverage: the reasons.",
)
@_reports
def list_cases(
    op: str | None,
    level: str,
    units: tuple[str, ...],
    headroom: bool,
    source: Path | None,
    coverage: bool,
    uncovered: Path,
    reports: Path,
) -> int:
    """List the cases that the suites run."""
    if coverage:
        from harness.commands.listing import run_coverage

        evidence = read_run_or_file(source) if source else _recorded(reports)
        return run_coverage(evidence.records, uncovered, op)
    if headroom:
        from harness.publish.headroom import render

        _say(render(read_run_or_file(source) if source else _recorded(reports), op))
        return OK
    if source is not None:
        raise HarnessError("--evidence goes with --headroom or --coverage: cases are listed from the suites")
    from harness.commands.listing import run

    return run(op=op, level=level, units=units)


@cli.command(short_help="Tell what the reference executor computes.")
@click.argument("operator", required=False)
@click.option(
    "--emitted", multiple=True, type=click.Path(path_type=Path), metavar="FILE", help="Evidence or run: its operators."
)
@click.option("--tests", type=click.Path(path_type=Path), metavar="DIR", help="Of the kernels; default: tests/mil.")
def kernels(operator: str | None, emitted: tuple[Path, ...], tests: Path | None) -> int:
    """Tell what the kernel of OPERATOR computes, or list the kernels by family.

    With --emitted, each MIL operator that the programs used, and whether it has kernel, tests and a docstring: exit 1
    when one of them lacks any, and the four numbers last.
    """
    from harness.commands.kernels import run

    return run(operator, emitted, tests)


@cli.command(short_help="Make the generated tables of cases and operators anew.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--check", "check_only", is_flag=True, help="Write nothing; exit 1 when a table is out of date.")
def index(names: tuple[str, ...], check_only: bool) -> int:
    """Make the tables of operators, rules and cases anew from the installed packages, and write those that changed.

    NAMES: universe, partitioner, opinfo, harvest, generated, ane, modules, extracted; by default all, in this order,
    some minutes.
    """
    from harness.commands.index import run

    return run(names, check=check_only)


@cli.command(short_help="Run one check again, in full.")
@click.argument("check_id")
def repro(check_id: str) -> int:
    """Run one check again, in full, and print a stand-alone script that shows the same."""
    from harness.commands.repro import run

    return run(check_id)


@cli.command(short_help="Tell versions and which units can run here.")
@click.option("--devices", is_flag=True, help="On a Mac, ask Core ML which devices it offers: some seconds.")
def doctor(devices: bool) -> int:
    """Tell versions, which units can run here, and why the others cannot."""
    from harness.commands.doctor import run

    return run(ask_core_ml=devices)


@cli.command(short_help="Check your own modules, or an emitted program.")
@click.argument("file", metavar="FILE[::NAME]")
@click.option(
    "--recipe",
    multiple=True,
    metavar="RECIPE",
    help="Repeatable. Instead of --precision and --target, such as default.",
)
@click.option("--precision", type=click.Choice([*PRECISIONS, "both"]), default="both", show_default=True)
@click.option(
    "--unit",
    multiple=True,
    metavar="UNIT",
    help="Repeatable. Default: those that run here.",
)
@click.option("--target", default="iOS18", show_default=True, help="Deployment target.")
@click.option(
    "--json", "json_out", type=click.Path(path_type=Path), metavar="OUT.jsonl", help="Where to write records."
)
@click.option("-n", "workers", default="1", show_default=True, metavar="N", help="Workers; auto: one a processor.")
@click.option("--no-cache", is_flag=True, help="Lower again, whatever the cache holds.")
@click.option("--resume", is_flag=True, help="Go on with OUT.jsonl: what is recorded there is not checked again.")
@click.option("--way-around", is_flag=True, help="Where a check fails, find the least to change, and prove it.")
@click.option("--tries", type=click.IntRange(1), default=TRIES, show_default=True, help="Lowerings for a way around.")
def check(file: str, **options: Any) -> int:
    """Check your own modules: each public function of FILE without arguments that returns (module, example_inputs) or
    (module, example_inputs, options); inputs are any pytree, a dict is keyword arguments, and options are kwargs,
    dynamic_shapes, calls, methods and partitioner. FILE may also be a .pt2 of torch.export.save.

    A .pte is inspected instead: its delegates, what is left to ExecuTorch, and with two units, whether they agree.
    """
    from harness.commands.check_file import run

    return run(file, **options)


@cli.command(short_help="Write what your own modules call as a file of cases.")
@click.argument("file", metavar="FILE[::NAME]")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT.py", help="Default: FILE_cases.py.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def extract(file: str, output: Path | None, force: bool) -> int:
    """Export the modules of FILE, as `check` takes it, and write each distinct call of an operator and each block of a
    structure of its own as a function that `check` runs."""
    from harness.commands.extract import run

    return run(file, output=output, force=force)


if __name__ == "__main__":
    sys.exit(main())
