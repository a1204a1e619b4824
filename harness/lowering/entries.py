"""What the cache keeps, as bytes: data that is read back without running any of it.

A cache is shared between the pull requests of a CI. So an entry is read by torch's `weights_only` reader, which makes
nothing but tensors, plain values and the classes named here, and by whoever can check that it is whole and belongs to
its key.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from typing import Any

import torch

from harness.evidence.record import ErrorInfo
from harness.evidence.vocabulary import Outcome, Phase
from harness.lowering import program
from harness.lowering.debug_info import EdgeNode
from harness.lowering.lower import Failure, Lowered

_MAGIC = b"coreml-harness lowering 3\n"
_DIGEST = hashlib.sha256().digest_size

#: All that an entry may hold besides tensors, dtypes, numbers, text, bytes and collections of them.
_CLASSES: list[Any] = [
    bytes,
    Lowered,
    Failure,
    ErrorInfo,
    Outcome,
    Phase,
    EdgeNode,
    program.LoweredProgram,
    program.Input,
    program.Value,
    program.TensorSpec,
    program.Call,
    program.DelegateCall,
    program.GetItem,
    program.Delegate,
]


class NotAnEntry(Exception):
    """These bytes are no entry of this key: cut short, altered, of another version, or somebody else's."""


def written(key: str, lowered: Lowered) -> bytes:
    """The entry of a key. Raises what torch raises for a value that cannot be written."""
    stream = io.BytesIO()
    torch.save(lowered, stream)
    body = zlib.compress(stream.getvalue(), 1)
    return _MAGIC + _digest(key, body) + body


def read(key: str, content: bytes) -> Lowered:
    """Raises `NotAnEntry`."""
    head = len(_MAGIC) + _DIGEST
    body = content[head:]
    if not content.startswith(_MAGIC) or content[len(_MAGIC) : head] != _digest(key, body):
        raise NotAnEntry
    try:
        with torch.serialization.safe_globals(_CLASSES):
            found = torch.load(io.BytesIO(zlib.decompress(body)), weights_only=True)
    except Exception as error:
        raise NotAnEntry from error
    if not isinstance(found, Lowered):
        raise NotAnEntry
    return found


def _digest(key: str, body: bytes) -> bytes:
    """Ties the content to its key; it finds what went wrong, and keeps nobody out who means to."""
    return hashlib.sha256(key.encode() + b"\n" + body).digest()
