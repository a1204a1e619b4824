"""`harness check PROGRAM.pte`: what an emitted program holds, and with two units, whether they agree on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from harness.cases.noise import packages_silent
from harness.evidence.recipe import TARGETS
from harness.evidence.unit import UnitSpec
from harness.evidence.vocabulary import HarnessError
from harness.units.host import dotted

if TYPE_CHECKING:
    from harness import mil
    from harness.lowering.from_pte import StoredMethod

SUFFIX = ".pte"
#: The first system that loads a package, by its specification version, as coremltools numbers them.
SYSTEMS = {t.specification: f"iOS {dotted(t.ios)}, macOS {dotted(t.macos)}" for t in TARGETS.values()}
#: The deployment target of the same.
_NAMES = {target.specification: target.name for target in TARGETS.values()}


@dataclass(frozen=True)
class Package:
    """What a Core ML delegate holds: sizes in bytes; `refused` are rules of Core ML's loader that it breaks."""

    bytes: int
    weights: int
    specification: int
    function: str
    inputs: int
    operators: dict[str, int]
    states: int
    compile_specs: dict[str, str]
    refused: tuple[str, ...]


def run(path: Path, units: Sequence[UnitSpec] = (), show: Callable[[str], None] = print) -> int:
    """Print what the file holds; with two units or more, run it on each, and compare with the first.

    Returns 1 when it would not load (a missing kernel, a rule of the loader), when a unit fails, or two differ by more
    than rounding. Raises `HarnessError` for what is no whole `.pte`, and for one without a Core ML delegate.
    """
    if not path.is_file():
        raise HarnessError(f"{path}: no such file")
    with packages_silent():
        from harness.lowering.emitted import BACKEND
        from harness.lowering.from_pte import StoredProgram
    try:
        with packages_silent():
            stored = StoredProgram(path.read_bytes())
    except ValueError as error:
        raise HarnessError(f"{path}: {error}") from None
    backends = {one.backend for method in stored.methods.values() for one in method.delegates}
    if BACKEND not in backends:
        found = f"its delegates are of {', '.join(sorted(backends))}" if backends else "it has no delegates"
        raise HarnessError(f"{path}: nothing of Core ML: {found}")
    show(f"{path}: {_size(len(stored.pte))}, {_count(len(stored.methods), 'method')}")
    wrong = False
    for method in stored.methods.values():
        try:
            packages = {
                number: _package(one.delegate) for number, one in enumerate(method.delegates) if one.backend == BACKEND
            }
        except (ValueError, KeyError, RuntimeError) as error:
            raise HarnessError(f"{path}: method {method.name}: {' '.join(str(error).split())[:300]}") from None
        for line in told(method, packages):
            show(line)
        wrong |= bool(method.missing_kernels) or any(package.refused for package in packages.values())
        if len(units) > 1:
            lines, right = _on_units(path, method, packages, units)
            for line in lines:
                show(line)
            wrong |= not right
    return 1 if wrong else 0


def _on_units(
    path: Path, method: StoredMethod, packages: dict[int, Package], units: Sequence[UnitSpec]
) -> tuple[list[str], bool]:
    from harness.commands.compare_units import compared

    if len(packages) < len(method.delegates):
        return ["  not run: a delegate is of another backend"], True
    target = _NAMES.get(max((p.specification for p in packages.values()), default=0), "iOS18")
    return compared(path, method, {number: package.inputs for number, package in packages.items()}, target, units)


def told(method: StoredMethod, packages: dict[int, Package]) -> list[str]:
    """What a method holds, in lines."""
    delegates = _count(len(method.delegates), "delegate")
    lines = [f"method {method.name}: {_count(len(method.inputs), 'input')}, {_count(method.outputs, 'output')}"]
    lines.append(f"  {delegates}, {_count(len(method.islands), 'island')} of ExecuTorch's own kernels")
    for number, stored in enumerate(method.delegates):
        if (package := packages.get(number)) is None:
            lines.append(f"  delegate {number}: of {stored.backend}, {_size(len(stored.delegate.processed))}")
            continue
        function = f", function {package.function}" if package.function else ""
        states = f", {_count(package.states, 'state')}" if package.states else ""
        sizes = f"{_size(package.bytes)} of which {_size(package.weights)} weights"
        lines.append(f"  delegate {number}: Core ML{function}, {sizes}{states}")
        lines.append(f"    operators: {_listed(package.operators)}")
        lines += [f"    {key}: {value}" for key, value in sorted(package.compile_specs.items())]
        lines += [f"    Core ML does not load it: {rule}" for rule in package.refused]
    lines += [f"  island {number}: {_listed(Counter(ops))}" for number, ops in enumerate(method.islands)]
    if method.missing_kernels:
        lines.append(f"  ExecuTorch has no kernel for: {', '.join(method.missing_kernels)}; it would not load")
    if packages:
        version = max(package.specification for package in packages.values())
        system = SYSTEMS.get(version, "a system that is not known here")
        lines.append(f"  loads on {system} and later (specification version {version})")
    return lines


def load_problems(program: mil.Program) -> tuple[str, ...]:
    """What Core ML's loader is publicly known to refuse of a package, a line each."""
    from harness import mil

    return tuple(map(str, mil.broken_rules(program)))


def _package(delegate: Any) -> Package:
    """Raises `ValueError` for what cannot be unpacked, or read as an ML Program."""
    from harness import mil

    with TemporaryDirectory(prefix="coreml-harness-") as folder:
        unpacked = delegate.unpack(Path(folder))
        try:
            program = mil.read_program(unpacked.package)
        except mil.MilError as error:
            raise ValueError(str(error)) from error
        model = mil.Model(program)
        function = model.function(unpacked.function or None)
        files = [file for file in unpacked.package.rglob("*") if file.is_file()]
        return Package(
            bytes=sum(file.stat().st_size for file in files),
            weights=sum(file.stat().st_size for file in files if "weights" in file.parts),
            specification=program.specification_version,
            function=unpacked.function,
            inputs=len(unpacked.input_names),
            operators=function.op_counts(),
            states=sum(isinstance(value.type, mil.StateType) for value in function.inputs),
            compile_specs={key: _text(value) for key, value in delegate.compile_specs},
            refused=load_problems(program),
        )


def _text(value: bytes) -> str:
    return value.decode() if value.isascii() and value.decode().isprintable() else f"{len(value)} bytes"


def _listed(counts: Iterable[str] | dict[str, int]) -> str:
    return ", ".join(f"{name} x{n}" if n > 1 else name for name, n in sorted(Counter(counts).items())) or "none"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
