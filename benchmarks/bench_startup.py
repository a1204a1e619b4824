"""What commands cost before and beside the checks themselves.

    python benchmarks/child.py benchmarks.bench_startup COMMAND [--repeats N] [--records N]

Each command runs as a user starts it, N times, each time in processes of its own, all of which count. `gate` and
`diff` read two files of synthetic evidence: the committed records again and again, under other ids.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, run
from benchmarks.section import Findings, Goal, Section, Table
from benchmarks.sizes import Size
from benchmarks.spread import Spread, figures, quartiles
from benchmarks.store import Measurement
from harness.evidence.record import Record
from harness.evidence.vocabulary import Outcome
from harness.process import serve
from harness.process.isolation import FILE_HANDLER

MODULE = "benchmarks.bench_startup"
#: CPU-seconds a command that imports no torch is to start within, and to read so many records.
WANTED = {"help": 0.3, "list": 0.3, "gate": 1.5, "diff": 1.5}
#: What two workers may take of one's time for ten modules, and seconds for one module, both beyond what one child
#: process of `check` takes to get ready.
WORKERS_WANTED, CHECK_WANTED = 0.65, 2.0
IMPORTS = "import torch, executorch.exir, executorch.backends.apple.coreml.partition, coremltools"
#: Exit codes of a command that was carried out.
CARRIED_OUT = (0, 1)
MODULES = 10

_MLP = """
def mlp{number}():
    layers = torch.nn.Linear(16, {wide}), torch.nn.GELU(), torch.nn.Linear({wide}, 4)
    return torch.nn.Sequential(*layers), (torch.randn(2, 16),)

"""


def evidence(folder: Path, records: int) -> list[str]:
    """A baseline and a candidate of so many records, of which a release made one in fifty worse."""
    from harness.evidence.files import Evidence, merge_evidence, read_evidence, write_evidence

    committed = merge_evidence(read_evidence(path) for path in sorted((ROOT / "reports/evidence").glob("*.jsonl")))
    made: list[Record] = []
    while len(made) < records:
        copy = len(made) // len(committed.records)
        for record in committed.records[: records - len(made)]:
            suite, _, rest = record.case.partition("/")
            made.append(record.with_(case=f"{suite}/{rest}-copy{copy}") if copy else record)
    worse = [r.with_(outcome=Outcome.CRASH) if place % 50 == 0 else r for place, r in enumerate(made)]
    sides = {folder / "baseline.jsonl": made, folder / "candidate.jsonl": worse}
    for path, side in sides.items():
        write_evidence(path, Evidence(committed.environments, side))
    return [str(path) for path in sides]


def user_file(folder: Path, modules: int) -> str:
    """A user's file of so many perceptrons."""
    path = folder / "mine.py"
    functions = (_MLP.format(number=number, wide=32 + number) for number in range(modules))
    path.write_text("import torch\n\n" + "\n".join(functions))
    return str(path)


def check_takes_workers() -> bool:
    """Whether `harness check` has an option `-n`."""
    from harness import cli

    return any("-n" in parameter.opts for parameter in cli.check.params)


def _harness(*arguments: str) -> Callable[[Path, int], list[str]]:
    return lambda _folder, _records: [sys.executable, "-m", "harness", *arguments]


def _comparing(command: str) -> Callable[[Path, int], list[str]]:
    return lambda folder, records: [sys.executable, "-m", "harness", command, *evidence(folder, records)]


def _checking(modules: int, workers: int | None = None) -> Callable[[Path, int], list[str]]:
    def command(folder: Path, _records: int) -> list[str]:
        many = [] if workers is None else ["-n", str(workers)]
        return [sys.executable, "-m", "harness", "check", user_file(folder, modules), "--no-cache", *many]

    return command


def _collecting(_folder: Path, _records: int) -> list[str]:
    return [sys.executable, "-m", "pytest", "suites", "--collect-only", "-q", "--level", "full"]


#: How to prepare each command, in the order of the table.
COMMANDS: dict[str, Callable[[Path, int], list[str]]] = {
    "help": _harness("--help"),
    "gate": _comparing("gate"),
    "diff": _comparing("diff"),
    "docs": _harness("docs", "--check"),
    "list": _harness("list"),
    "collect": _collecting,
    "check": _checking(1),
    "check-n1": _checking(MODULES, 1),
    "check-n2": _checking(MODULES, 2),
}
CHECKING = ("check", "check-n1", "check-n2")
#: Beside this one the imports alone are measured, as anybody writes them and as a child does them, in turns.
BESIDE_IMPORTS = "check"
#: Of a command that makes checks, which takes many seconds.
MOST_REPEATS = 3


def words(command: str, records: int) -> str:
    """How the page names it."""
    return {
        "help": "`coreml-harness --help`",
        "gate": f"`gate`, {records:,} records on each side",
        "diff": f"`diff`, {records:,} records on each side",
        "docs": "`docs --check`, the committed evidence",
        "list": "`list`",
        "collect": "`pytest suites --collect-only -q --level full`",
        "check": "`check` of one MLP, both precisions",
        "check-n1": f"`check -n 1` of {MODULES} MLPs, both precisions",
        "check-n2": f"`check -n 2` of {MODULES} MLPs, both precisions",
    }[command]


def measure(command: str, repeats: int, records: int) -> dict[str, Any]:
    """Seconds of processor and of the clock, each time; beside `check` of one module, of the imports and of a child
    that gets ready."""
    if command in ("check-n1", "check-n2") and not check_takes_workers():
        return {"skipped": "`check` of this revision has no option `-n`", "records": records}
    with tempfile.TemporaryDirectory() as folder:
        line = COMMANDS[command](Path(folder), records)
        costs = {"command": line}
        if command == BESIDE_IMPORTS:
            costs["imports"] = [sys.executable, "-c", IMPORTS]
            # Its requests are over before the first: it gets ready and ends.
            costs["ready"] = [sys.executable, serve.__file__, FILE_HANDLER]
        if command not in CHECKING:  # which imports so much that the first run tells apart little
            _timed(costs["command"])
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in costs}
        for _ in range(min(repeats, MOST_REPEATS) if command in CHECKING else repeats):
            for name, each in costs.items():
                taken[name].append(_timed(each))
    return {**taken, "records": records}


def _timed(line: Sequence[str]) -> tuple[float, float]:
    cost = run(line)
    if cost.code not in CARRIED_OUT:
        raise SystemExit(f"{' '.join(line[1:])}: exit code {cost.code}: {cost.last_words}")
    return cost.cpu, cost.wall


def plan(size: Size) -> list[Measurement]:
    options = ("--repeats", str(size.repeats), "--records", str(size.records))
    return [Measurement("startup", command, MODULE, (command, *options)) for command in COMMANDS]


def summarise(results: Mapping[str, Any]) -> Findings:
    """A row for each command that was measured."""
    rows, goals, notes = [], [], []
    imports: list[tuple[float, float]] = []
    ready: list[tuple[float, float]] = []
    walls: dict[str, list[float]] = {}
    for command in COMMANDS:
        result = results.get(command)
        if result is None:
            continue
        name = words(command, result["records"])
        if "skipped" in result:
            notes.append(f"{name}: not measured, {result['skipped']}.")
            continue
        cpu, wall = (quartiles([cost[part] for cost in result["command"]]) for part in (0, 1))
        beyond = ""
        if "ready" in result:  # a result kept from before children were measured has none
            imports += result["imports"]
            ready += result["ready"]
            pairs = list(zip(result["command"], result["ready"], strict=True))
            beyond = _three(quartiles([whole[0] - alone[0] for whole, alone in pairs]))
            more = quartiles([whole[1] - alone[1] for whole, alone in pairs])
            goals.append(Goal(f"{name}, beyond a child's getting ready", "at most", CHECK_WANTED, more, " s"))
        walls[command] = [cost[1] for cost in result["command"]]
        rows.append((name, _three(cpu), beyond, _three(wall)))
        if command in WANTED:
            goals.append(Goal(f"CPU time of {name}", "at most", WANTED[command], cpu, " s"))
    alone = {
        "the imports alone: torch, executorch, coremltools": imports,
        "a child process of `check` getting ready, which imports them": ready,
    }
    for name, costs in alone.items():
        if costs:
            cpu, wall = (quartiles([cost[part] for cost in costs]) for part in (0, 1))
            rows.append((name, _three(cpu), "", _three(wall)))
    if ready and {"check-n1", "check-n2"} <= walls.keys():
        until_ready = quartiles([cost[1] for cost in ready]).middle
        pairs = list(zip(walls["check-n2"], walls["check-n1"], strict=False))
        share = quartiles([(two - until_ready) / (one - until_ready) for two, one in pairs])
        what = "two workers' time of one's, beyond a child's getting ready"
        goals.append(Goal(what, "at most", WORKERS_WANTED, share))
    head = ("median (quartiles)", "CPU-seconds", "beyond one child's getting ready", "seconds")
    return Findings((Table(head, tuple(rows)),) if rows else (), tuple(goals), tuple(notes))


def _three(spread: Spread) -> str:
    return f"{figures(spread.middle)} ({figures(spread.low)} to {figures(spread.high)})"


SECTION = Section(
    name="startup",
    title="Commands beside the checks",
    wanted=(
        f"`--help` and `list`: at most {WANTED['help']:g} s of CPU time",
        f"`gate` and `diff` of so many records: at most {WANTED['gate']:g} s of CPU time",
        f"`check` of one module: at most {CHECK_WANTED:g} s beyond what a child takes to get ready",
        f"`check` of ten modules by two workers: at most {WORKERS_WANTED:g} of what one takes, beyond the same",
    ),
    plan=plan,
    summarise=summarise,
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--records", type=int, default=20_000)
    options = parser.parse_args(arguments)
    print(json.dumps(measure(options.command, options.repeats, options.records)))
