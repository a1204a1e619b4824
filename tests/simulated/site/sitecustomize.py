"""Found by every Python process whose `PYTHONPATH` names this folder: puts it on the simulated Core ML host.

`run.py` sets the environment. The folder above goes to the end of the path, where it hides nothing; an existing
`sitecustomize`, hidden by this one, is run as it would have been.
"""

import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _chain() -> None:
    path = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


try:
    _chain()
finally:
    if "coremltools" not in sys.modules:
        sys.path.append(os.path.dirname(_HERE))
        import host

        host.install_from_environment()
