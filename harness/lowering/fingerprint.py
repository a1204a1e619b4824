"""A fingerprint of the installed code of what is measured, and of what is lowered.

Version strings are not enough: backend developers edit the installed packages in place, and a stale cache would hide
the very regression they look for.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cases.case import Built

if TYPE_CHECKING:
    import torch

#: Packages whose code decides what is emitted; the harness' own lowering code decides what is kept of it.
PACKAGES = ("torch", "executorch", "coremltools", "torchao", "harness.lowering")
#: Those that besides decide what a case of the suites is.
CASE_PACKAGES = (*PACKAGES, "harness.cases", "torchvision", "transformers")
#: Code, and the indexes of cases.
_CODE = (".py", ".so", ".dylib", ".pyd", ".jsonl")
_TEXT = (".py", ".jsonl")


@functools.cache
def code_fingerprint(packages: tuple[str, ...] | None = None) -> str:
    """Digest over path, size and modification time of every code file of the packages; some 0.1 s, once a process.

    `packages` are `PACKAGES` unless named. Nothing is imported but the parents of the packages.
    """
    digest = hashlib.sha256()
    for package in PACKAGES if packages is None else packages:
        for root in _locations(package):
            for name, size, modified in sorted(_code_files(root, len(str(root)))):
                digest.update(f"{package}{name} {size} {modified}\n".encode())
    return digest.hexdigest()


def code_digests(packages: tuple[str, ...]) -> dict[str, str]:
    """A short digest of each package there is: the same wherever the same code is installed.

    Over path and content of its Python files and indexes, over path and size of what is compiled; half a second.
    """
    found = {}
    for package in packages:
        digest = hashlib.sha256()
        for root in _locations(package):
            for name, size, _ in sorted(_code_files(root, len(str(root)))):
                digest.update(f"{name} {size}\n".encode())
                if name.endswith(_TEXT):
                    digest.update(Path(f"{root}{name}").read_bytes())
            found[package] = digest.hexdigest()[:16]
    return found


def _locations(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return sorted(Path(p) for p in (spec.submodule_search_locations or ())) if spec else []


def _code_files(root: str | Path, prefix: int, above: tuple[str, ...] = ()) -> Iterator[tuple[str, int, int]]:
    """Links to directories are followed: an editable installation of ExecuTorch consists of them."""
    real = os.path.realpath(root)
    if real in above:
        return
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _code_files(entry.path, prefix, (*above, real))
            elif entry.name.endswith(_CODE) and entry.is_file():
                stat = entry.stat()
                yield entry.path[prefix:], stat.st_size, stat.st_mtime_ns


def program_digest(program: torch.export.ExportedProgram) -> str:
    """Digest of an exported program: graph, signature, the traced values' dtypes and shapes, ranges of dynamic
    dimensions, and every constant."""
    import torch

    digest = hashlib.sha256()
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                digest.update(node.format_node().encode() if node.op != "output" else str(node.args).encode())
                value = node.meta.get("val")
                if isinstance(value, torch.Tensor):
                    digest.update(f"{value.dtype} {tuple(value.shape)} {_strides(value)}".encode())
    digest.update(f"{program.graph_signature} {program.range_constraints}".encode())
    _add_values(digest, {**program.state_dict, **program.constants})
    return digest.hexdigest()


def built_digest(built: Built) -> str:
    """Digest of what a case was made into: the class and the state of its modules, and their inputs.

    What else a module does is in its code: two cases of one digest are told apart by their ids.
    """
    digest = hashlib.sha256()
    for method in built.methods:
        kind = type(method.module)
        digest.update(f"{method.name} {kind.__module__}.{kind.__qualname__}".encode())
        leaves = (leaf for arguments in method.arguments for leaf in arguments.leaves)
        _add_values(digest, {str(number): value for number, value in enumerate(leaves)})
        module = method.module
        _add_values(digest, dict([*module.named_parameters(), *module.named_buffers()]))
    return digest.hexdigest()


def _add_values(digest: hashlib._Hash, values: Mapping[str, object]) -> None:
    import torch
    from torch.utils._python_dispatch import is_traceable_wrapper_subclass

    for name, value in sorted(values.items()):
        digest.update(name.encode())
        if isinstance(value, torch.Tensor) and is_traceable_wrapper_subclass(value):
            # A quantized weight: several tensors, and how they make up one.
            parts, how = value.__tensor_flatten__()
            digest.update(f"{type(value).__qualname__} {value.dtype} {tuple(value.shape)} {how}".encode())
            _add_values(digest, {part: getattr(value, part) for part in parts})
        elif isinstance(value, torch.Tensor):
            digest.update(f"{value.dtype} {tuple(value.shape)} {_strides(value)}".encode())
            if value.layout is not torch.strided:
                digest.update(repr(value).encode())
                continue
            array = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
            digest.update(array.view(-1).view(torch.uint8).numpy().data if array.numel() else b"")
        else:
            digest.update(repr(value).encode())


def _strides(value: torch.Tensor) -> object:
    import torch

    return tuple(value.stride()) if value.layout is torch.strided else value.layout
