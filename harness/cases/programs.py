"""Programs that older releases of ExecuTorch made: their `.pte` files are run as they are, and held against eager.

The files lie in `suites/programs`, a folder a release, beside the script that makes them.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from harness.cases.case import Arguments, Built, Case, CaseFault
from harness.evidence.vocabulary import Kind, Level

SUITE = "programs"
FOLDER = Path(__file__).parents[2] / "suites" / SUITE
RELEASES = ("1.2.0", "1.3.1", "1.4.1")
#: Programs by name, and the recipe that each was made by.
PROGRAMS = {
    "linear-relu": "default",
    "conv": "fp32-ios16",
    "key-cache": "fp16-ios18",
    "dynamic-batch": "fp32-ios17",
    "between-delegates": "fp16-ios15",
    "linear-int8": "fp16-ios18-torchao_int8_channel",
}


@cache
def cases() -> tuple[Case, ...]:
    """Makes no tensors."""
    return tuple(
        Case(
            id=f"{SUITE}/{name}/float32/executorch-{release}",
            kind=Kind.PROGRAM,
            op=f"{SUITE}.{name}",
            api=f"{SUITE}.{name}",
            dtype="float32",
            origin=SUITE,
            level=Level.SMOKE if release == RELEASES[0] else Level.STANDARD,
            recipes=(recipe,),
            build=partial(build, release, name),
        )
        for name, recipe in PROGRAMS.items()
        for release in RELEASES
    )


def build(release: str, name: str) -> Built:
    """Raises `CaseFault` where the file is not there, as in an installation without the suites."""
    from harness.cases.program_modules import PROGRAMS as MODULES

    path = FOLDER / release / f"{name}.pte"
    try:
        stored = path.read_bytes()
    except OSError as error:
        raise CaseFault(f"{SUITE}/{release}/{path.name}: {error.strerror or error}") from error
    made = MODULES[name][0]()
    calls = tuple(Arguments(inputs) for inputs in made.calls)
    return Built(made.module, made.inputs, 0, dynamic_shapes=made.dynamic_shapes, calls=calls, stored=stored)
