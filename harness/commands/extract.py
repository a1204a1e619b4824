"""`harness extract FILE[::NAME]`: what a user's own modules call, written as a file of cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.cases import exported_file, user_file
from harness.cases.case import Case, CaseFault, NoCase
from harness.evidence.files import write_text_atomically
from harness.evidence.vocabulary import HarnessError

if TYPE_CHECKING:
    from harness.cases.tally import Tally


def run(file: str, *, output: Path | None = None, force: bool = False) -> int:
    """Export the modules of the file, write their calls and blocks to `output`, by default `<file>_cases.py` here, and
    print how many there are.

    Functions that turn out to be no cases are left out, with a line each. Returns 0, and 1 where a module of several
    does not export. Raises `HarnessError` for a file that is none of cases, where no module exports or makes a call,
    and for an output that is there already, unless by `force`.
    """
    name, _, function = file.partition("::")
    path = Path(name)
    if path.suffix not in (".py", exported_file.SUFFIX):
        raise HarnessError(f"{path}: calls are extracted from a .py or {exported_file.SUFFIX} file")
    out = output or Path(f"{path.stem}_cases.py")
    if out.suffix != ".py" or not out.stem.isidentifier():
        raise HarnessError(f"{out}: not a name for a Python file")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise HarnessError(f"{out}: not a file that can be written")
    if out.exists() and (not force or out.samefile(path)):
        raise HarnessError(f"{out} is there already: name another with -o" + ("" if force else ", or give --force"))
    from harness.cases import noise

    with noise.packages_silent():
        tally, faults = _extracted(user_file.load(path, function or None))
    for fault in faults:
        print(f"left out: {fault}")
    if not tally.calls:
        raise HarnessError(faults[0] if len(faults) == 1 else f"{path}: no calls to extract")
    from harness.cases.extracted_source import source_of

    write_text_atomically(out, source_of(tally, f"{path.name}{f'::{function}' if function else ''}"))
    print("\n".join(summary(tally)))
    print(f"wrote {out}: run `coreml-harness check {out}`")
    return int(bool(faults))


def _extracted(cases: list[Case]) -> tuple[Tally, list[str]]:
    """The calls of all, and why some have none here."""
    from harness.cases.tally import Tally, traces

    tally, faults = Tally(), []
    for case in cases:
        try:
            for traced in traces(case.build()):
                tally.add(case.api, traced)
        except NoCase as error:
            if len(cases) == 1:
                raise
            print(f"left out: {error}")
        except (CaseFault, HarnessError) as error:
            faults.append(f"{case.api}: {error}")
    return tally, faults


def summary(tally: Tally) -> list[str]:
    """A table of the operators and the blocks, with the numbers of calls, distinct and all."""
    from tabulate import tabulate

    operators = [(op, len(calls), sum(call.count for call in calls)) for op, calls in tally.operators().items()]
    blocks = [
        (f"block {block.kind.rpartition('.')[2]} of {len(block.what.calls)} calls", 1, block.count)
        for block in tally.blocks.values()
    ]
    total = (f"{len(operators)} operators, {len(blocks)} blocks", len(tally.calls) + len(blocks), tally.total)
    lines = tabulate([*operators, *blocks, total], ["", "distinct", "all"], disable_numparse=True).splitlines()
    left_out = [f"{count} calls left out: {reason}" for reason, count in sorted(tally.left_out.items())]
    return [*lines, *left_out]
