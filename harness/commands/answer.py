"""What a child process answers to `harness.process.isolation`: a check, the devices of Core ML, its flame graph."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.evidence.causes import Causes, read_causes
from harness.evidence.check import Check
from harness.evidence.record import Record
from harness.evidence.vocabulary import HarnessError, Phase
from harness.process.serve import Handler


def make_handler() -> Handler:
    """Called in the child: import what is measured, then answer requests."""
    return _make_handler(suites=True)


def make_file_handler() -> Handler:
    """As `make_handler`, ready sooner: what the cases of the suites are made of is imported when one is asked for."""
    return _make_handler(suites=False)


def _make_handler(*, suites: bool) -> Handler:
    import logging
    import os

    # coremltools draws bars for each of its passes, on a stream that nobody sees until a check fails.
    os.environ["TQDM_DISABLE"] = "1"
    import torch

    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    if suites:
        from torch.testing._internal.common_methods_invocations import op_db  # noqa: F401

    from harness.cases import find, opinfo, user_file
    from harness.cases.case import NoCase
    from harness.check import Checker
    from harness.commands import way_around
    from harness.lowering import speedups
    from harness.lowering.backend import import_failure
    from harness.lowering.cache import LoweringCache
    from harness.process.flame import Flame
    from harness.units.placement import available_devices

    flame = Flame()
    import_failure()  # now, and not within the deadline of the first check
    if suites:
        with contextlib.suppress(HarnessError):
            find.find(f"{opinfo.SUITE}/")  # lists the suite, before all that exists is taken from the garbage collector
    speedups.enable()
    checkers: dict[tuple[str, bool], Checker] = {}
    causes = functools.cache(lambda: Causes(read_causes()))

    def handle(request: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        if request.get("question") == "devices":
            return {"devices": available_devices()}
        if request.get("question") == "flame":
            return {"written": flame.write()}
        if request["flames"]:
            flame.begin(Path(request["flames"]))
        key = (request["environment"], request["use_cache"])
        if key not in checkers:
            checkers[key] = Checker(key[0], LoweringCache() if key[1] else None)
        watch = checkers[key].watch
        with watch.stage("build"):
            if request["file"]:
                case = user_file.load_case(Path(request["file"]), request["case"])
            else:
                case = find.find(request["case"])
        check = Check.of(case, request["recipe"], request["unit"])

        if request.get("question") == "way around":
            failing = Record.from_json(request["record"])
            return {"remedy": way_around.find(checkers[key], check, failing, request["tries"], causes()).to_json()}

        def phase(entered: Phase) -> None:
            send({"phase": str(entered)})

        try:
            record = checkers[key].check(check, phase, plan=request["plan"])
        except NoCase as error:
            return {"no_case": str(error)}
        if request["times"]:
            send({"spent": watch.take()})
        return record.to_json()

    return handle
