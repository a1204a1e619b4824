"""What the cache keeps, as bytes: data that is read back without running any of it.

A cache is shared between the pull requests of a CI. So an entry is a pickle whose reader makes nothing but plain
values and the classes named here, which do nothing when they are made; tensors are read by torch's `weights_only`
reader, which would do for all of it, but takes longer for that than the rest of a check. Whoever reads can tell that
an entry is whole and belongs to its key.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zlib
from typing import Any

import torch

from harness.evidence.record import ErrorInfo
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering import program
from harness.lowering.debug_info import EdgeNode
from harness.lowering.lower import Failure, Lowered
from harness.lowering.place import Place

_MAGIC = b"coreml-harness lowering 8\n"
_DIGEST = hashlib.sha256().digest_size
#: From so many bytes on an entry is weights, and stored as it is: compressed at 30 MB a second, they keep four fifths.
_WEIGHTS = 1 << 20

#: All that an entry may hold besides tensors, dtypes, numbers, text, bytes and collections of them.
_CLASSES: list[type] = [
    complex,
    Lowered,
    Failure,
    Place,
    ErrorInfo,
    Outcome,
    Phase,
    EdgeNode,
    program.LoweredProgram,
    program.Input,
    program.Value,
    program.TensorSpec,
    program.EagerCall,
    program.DelegateCall,
    program.GetItem,
    program.Delegate,
]


_KNOWN = {(kind.__module__, kind.__qualname__): kind for kind in _CLASSES}
_TENSOR, _DEVICE, _CONSTANT = "tensor", "device", "constant"
#: Singletons of torch: `torch.float16`, `torch.strided`, `torch.contiguous_format`.
_CONSTANTS = (torch.dtype, torch.layout, torch.memory_format)


class NotAnEntry(Exception):
    """These bytes are no entry of this key: cut short, altered, of another version, or somebody else's."""


def written(key: str, lowered: Lowered) -> bytes:
    """The entry of a key. Raises what pickle or torch raise for a value that cannot be written."""
    stream = io.BytesIO()
    _Writer(stream, protocol=5).dump(lowered)
    content = stream.getvalue()
    body = zlib.compress(content, 1 if len(content) < _WEIGHTS else 0)
    return _MAGIC + _digest(key, body) + body


def read(key: str, content: bytes) -> Lowered:
    """Raises `NotAnEntry`."""
    head = len(_MAGIC) + _DIGEST
    body = content[head:]
    if not content.startswith(_MAGIC) or content[len(_MAGIC) : head] != _digest(key, body):
        raise NotAnEntry
    try:
        found = _Reader(io.BytesIO(zlib.decompress(body))).load()
    except Exception as error:
        raise NotAnEntry from error
    if not isinstance(found, Lowered):
        raise NotAnEntry
    return found


class _Writer(pickle.Pickler):
    def persistent_id(self, value: Any) -> tuple[str, Any] | None:
        """What is no plain value, as plain values: its kind, and its name or the bytes of a tensor."""
        if isinstance(value, torch.Tensor):
            stream = io.BytesIO()
            torch.save(value, stream)
            return _TENSOR, stream.getvalue()
        if isinstance(value, torch.device):
            return _DEVICE, str(value)
        if isinstance(value, _CONSTANTS):
            return _CONSTANT, str(value).removeprefix("torch.")
        return None


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Raises `UnpicklingError` for whatever is not named here."""
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"an entry holds no {module}.{name}") from None

    def persistent_load(self, value: tuple[str, Any]) -> Any:
        kind, content = value
        if kind == _TENSOR:
            return torch.load(io.BytesIO(content), weights_only=True)
        if kind == _DEVICE:
            return torch.device(content)
        found = getattr(torch, content)
        if kind != _CONSTANT or not isinstance(found, _CONSTANTS):
            raise pickle.UnpicklingError(f"an entry holds no {kind} {content}")
        return found


def _digest(key: str, body: bytes) -> bytes:
    """Ties the content to its key; it finds what went wrong, and keeps nobody out who means to."""
    return hashlib.sha256(key.encode() + b"\n" + body).digest()
