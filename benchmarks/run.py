"""Measure everything and write reports/performance.md.

    python -m benchmarks.run [--quick] [--only SECTION ...] [--render]

Each measurement is a process of its own, and its result a file in runs/bench/<size>: an interrupted run goes on where
it was, a finished one starts anew. What was measured of other code is measured again, and stays on the page until then,
with its revision. With `--quick` the page goes beside the results instead of into reports/.
"""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import bench_floor, bench_growth, bench_peer, bench_startup
from benchmarks.environment import environment_line
from benchmarks.processes import ROOT, answer
from benchmarks.report import PAGE, Measured, render
from benchmarks.section import Section
from benchmarks.sizes import FULL, QUICK, SIZES, Size
from benchmarks.store import Measurement, Result, Store
from harness.evidence.files import write_text_atomically
from harness.evidence.vocabulary import HarnessError
from harness.lowering.fingerprint import PACKAGES, code_fingerprint

SECTIONS: tuple[Section, ...] = (bench_peer.SECTION, bench_floor.SECTION, bench_growth.SECTION, bench_startup.SECTION)
RESULTS = ROOT / "runs/bench"
REPORTS = ROOT / "reports"

Say = Callable[[str], None]


def measure(
    section: Section,
    size: Size,
    store: Store,
    make: Callable[[str, Sequence[str]], Any] = answer,
    say: Say = lambda _line: None,
) -> None:
    """Make what is due of a section, each result kept as soon as it exists."""
    due = store.due(section.plan(size))
    for number, one in enumerate(due, start=1):
        started = time.monotonic()
        value = make(one.module, one.arguments)
        store.put(one, Result(value, environment_line(), datetime.date.today().isoformat()))
        say(f"{section.name} {number}/{len(due)} {one.name}: {time.monotonic() - started:.0f} s")


def start_anew_if_finished(sections: Sequence[Section], size: Size, store: Store) -> None:
    """Forget the results of sections of which none is missing; where one is, a run was interrupted and goes on."""
    planned = [one for section in sections for one in section.plan(size)]
    if not store.due(planned):
        store.drop(planned)


def measured(section: Section, size: Size, store: Store) -> Measured:
    """What the results that are there come to."""
    planned: Sequence[Measurement] = section.plan(size)
    found = {one.name: result for one in planned if (result := store.get(one)) is not None}
    if not found:
        return Measured(section, None)
    origins = sorted({f"{result.environment}; {result.date}" for result in found.values()})
    missing = tuple(one.name for one in planned if one.name not in found)
    findings = section.summarise({name: result.value for name, result in found.items()})
    return Measured(section, findings, tuple(origins), missing)


def page(size: Size, store: Store) -> str:
    return render([measured(section, size, store) for section in SECTIONS], size.name)


def page_path(size: Size) -> Path:
    """Only a full measurement is for others to read."""
    return (REPORTS if size == FULL else RESULTS / size.name) / PAGE


def code() -> str:
    """A fingerprint of what is measured; what measures may be edited without losing results."""
    return code_fingerprint((*PACKAGES, "harness"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few minutes, less exact")
    parser.add_argument("--size", choices=SIZES, help="tiny: only to see that everything works")
    parser.add_argument("--only", action="append", choices=[section.name for section in SECTIONS], metavar="SECTION")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page from what is there")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left behind
    size = SIZES[options.size] if options.size else QUICK if options.quick else FULL
    store = Store(RESULTS / size.name, code())
    chosen = [section for section in SECTIONS if not options.only or section.name in options.only]
    path = page_path(size)
    try:
        if not options.render:
            start_anew_if_finished(chosen, size, store)
            for section in chosen:
                measure(section, size, store, say=lambda line: print(line, flush=True))
        write_text_atomically(path, page(size, store))
    except HarnessError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("benchmarks: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
