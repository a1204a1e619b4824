"""Run a command on the simulated Core ML host, with every Python process below it.

    python tests/simulated/run.py [OPTIONS] -- COMMAND...

A fake native half of coremltools, predicting with the reference executor, makes coremltools' own Python code compile,
load, plan and predict; whatever is measured is labelled simulated. Commands of macOS (`xcrun`, `sw_vers`, ...) are
played by those in `commands/`, which come first on the path.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import faults
import host

HERE = Path(__file__).resolve().parent
#: The Xcode the fake commands play; `none` for a Mac without it.
XCODE = "COREML_SIMULATED_XCODE"


def environment(
    macos: str = "15.5",
    chosen: dict[str, dict | bool] | None = None,
    xcode: str | None = None,
    devices: str = "cpu,gpu,ane",
) -> dict[str, str]:
    """The variables that put a process, and all below it, on the simulated host.

    Raises `ValueError` or `KeyError` for what cannot be played.
    """
    host.parse_version(macos)
    if unknown := sorted(set(devices.split(",")) - {"cpu", "gpu", "ane"}):
        raise ValueError(f"no such device: {', '.join(unknown)}")
    faults.set_faults(**(chosen or {}))
    path = [str(HERE / "commands"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    python_path = [str(HERE / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {
        host.MACOS: macos,
        host.DEVICES: devices,
        faults.VARIABLE: json.dumps(chosen or {}),
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": os.pathsep.join(python_path),
    }
    return variables | ({XCODE: xcode} if xcode else {})


def run_suites(
    run_dir: Path, options: Sequence[str], chosen: dict[str, dict | bool] | None = None, **played: str
) -> subprocess.CompletedProcess[str]:
    """`pytest suites` on the simulated host, in a process of its own; records go to `run_dir`, and what processes leave
    in the temporary directory to `tmp` beside it. `played` are the other arguments of `environment`."""
    temporary = run_dir.parent / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    variables = {**os.environ, **environment(chosen=chosen, **played), "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--run-dir={run_dir}", *options]
    return subprocess.run(command, cwd=HERE.parents[1], env=variables, capture_output=True, text=True, timeout=900)


def parse_fault(text: str) -> dict[str, dict | bool]:
    """`load_abort`, or JSON such as `{"load_abort": {"units": ["CPU_AND_GPU"], "mil": ["gelu"]}}`."""
    return json.loads(text) if text.startswith("{") else {text: True}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], epilog=f"faults: {', '.join(faults.FAULTS)}"
    )
    parser.add_argument("--macos", default="15.5", metavar="VERSION", help="the macOS played (15.5)")
    parser.add_argument("--devices", default="cpu,gpu,ane", help="devices Core ML offers; a virtual Mac: cpu,gpu")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME|JSON", help="a fault, or several as JSON")
    parser.add_argument("--xcode", metavar="VERSION", help="the Xcode played")
    parser.add_argument("--no-xcode", dest="xcode", action="store_const", const="none", help="play a Mac without Xcode")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args(arguments)
    try:
        chosen = {name: fault for text in options.fault for name, fault in parse_fault(text).items()}
        variables = environment(options.macos, chosen, options.xcode, options.devices)
    except (KeyError, ValueError) as error:
        parser.error(str(error.args[0]))
    os.environ.update(variables)
    try:
        os.execvp(options.command[0], options.command)
    except OSError as error:
        parser.error(f"{options.command[0]}: {error.strerror}")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
