"""The case of a `.pt2` of `torch.export.save`: its program, called with the example inputs it was exported with."""

from __future__ import annotations

import contextlib
import functools
import zipfile
from pathlib import Path

from harness.cases.case import Built, Case
from harness.evidence.ids import USER, UserCase
from harness.evidence.vocabulary import HarnessError, Kind, Level

SUFFIX = ".pt2"
#: What the case is called: the method that the program is lowered to.
NAME = "forward"


def case(path: Path) -> Case:
    """The one case of a file. Loads no torch. Raises `HarnessError` for what is plainly no such file."""
    if not path.is_file():
        raise HarnessError(f"{path}: no such file")
    if not zipfile.is_zipfile(path):
        raise HarnessError(f"{path}: not a whole file of torch.export.save")
    return Case(
        id=UserCase(path.stem, NAME).id,
        kind=Kind.USER,
        op=f"{USER}.{path.stem}",
        api=path.stem,
        dtype="mixed",
        origin="user file",
        level=Level.SMOKE,
        build=functools.partial(_build, path.absolute()),
        whole_model=True,
        named=False,
    )


def _build(path: Path) -> Built:
    """Raises `HarnessError` for a file that holds no program, or no inputs."""
    import torch

    from harness.cases.user_forms import evaluating

    _register_quantized_operators()
    try:
        program = torch.export.load(path)
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise HarnessError(
            f"{path.name}: cannot be read by torch.export.load: {type(error).__name__}: {text}"
        ) from None
    if program.example_inputs is None:
        raise HarnessError(
            f"{path.name}: holds no example inputs; export them with the program, or check it in a .py file"
        )
    inputs, kwargs = program.example_inputs
    module = evaluating(program.module())
    return Built(module, tuple(inputs), 0, kwargs=dict(kwargs or {}), program=program, judge_beside=True)


def _register_quantized_operators() -> None:
    """A quantized program calls operators that are there once these are imported."""
    with contextlib.suppress(ImportError):
        import torch.ao.quantization.fx._decomposed  # noqa: F401  (quantized_decomposed)
    with contextlib.suppress(ImportError):
        import torchao  # noqa: F401
