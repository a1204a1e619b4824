"""Runs a benchmark's part: python benchmarks/child.py MODULE ARGUMENTS

As a file, not with `-m`: a frame of runpy at the bottom of every stack belongs to no file of a module, and for such
frames `inspect.getmodule` looks through all modules anew, dozens of times in an export.
"""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    # The folder of this file stands there, whose modules are none at the top; the project's own takes its place.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    importlib.import_module(sys.argv[1]).main(sys.argv[2:])
