"""Reads what a pybind11 module for macOS (arm64) registers: classes, their methods and properties, and signatures.

A foreign binary cannot be imported, but its registration is plain to read: the module's initialiser loads the name of a
class or member into a register and calls the function that registers it, and that function loads the signature's text:
`({%}, {str}) -> object`, where `%` is a type the module binds and `dict` a Python one. Argument names are not in it:
pybind11 has them only where a module gives them, and this one gives none.
Instructions: Arm Architecture Reference Manual, C6.2 (ADRP, ADD immediate, BL, RET).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

#: A class is registered with its name in x2, a member with it in x1.
_CLASS_REGISTER, _MEMBER_REGISTER = 2, 1
_SIGNATURE = re.compile(rb"\([^\0]*\) -> [^\0]+\0")
_NAME = re.compile(rb"[A-Za-z_]\w*\0")
#: Instructions to read of a registering function; they have some sixty.
_FAR_ENOUGH = 200


class NotReadable(Exception):
    """The binary is not of the kind this can read; the message says what is missing."""


@dataclass
class Member:
    """`kind` is `method`, `static` or `property`; `signatures` are one for each overload."""

    kind: str
    signatures: list[str] = field(default_factory=list)


def registered(binary: bytes) -> dict[str, dict[str, Member]]:
    """The classes a module registers, each with its members. Raises `NotReadable` when none can be found."""
    start, end = _text(binary)
    classes: dict[str, dict[str, Member]] = {}
    members: dict[str, Member] | None = None
    for loaded, target in _calls(binary, start, end):
        name = _at(_NAME, binary, loaded.get(_CLASS_REGISTER))
        if name.startswith("_") and not name.startswith("__"):
            members = classes.setdefault(name, {})
            continue
        name = _at(_NAME, binary, loaded.get(_MEMBER_REGISTER))
        if members is None or not name:
            continue
        # A method's text is loaded by the function called, that of statics and properties by one which that calls.
        if signature := _signature(binary, target, end):
            kind = "method"
        elif signature := next(filter(None, (_signature(binary, t, end) for t in _called(binary, target, end))), ""):
            kind = "property" if arguments(signature)[:1] == ("%",) else "static"
        else:
            continue
        members.setdefault(name, Member(kind)).signatures.append(signature)
    if not classes:
        raise NotReadable("it registers no class")
    return classes


def arguments(signature: str) -> tuple[str, ...]:
    """`({%}, {str}) -> object` to `("%", "str")`."""
    inside = signature.rpartition(" -> ")[0][1:-1]
    return tuple(part.strip("{}") for part in inside.split(", ")) if inside else ()


def _text(binary: bytes) -> tuple[int, int]:
    """Where the code stands in the file, which has to be where it is loaded, so that addresses are offsets."""
    magic, cpu, _, _, commands = struct.unpack_from("<5I", binary)
    if (magic, cpu) != (0xFEEDFACF, 0x0100000C):
        raise NotReadable("no 64-bit Mach-O file for arm64")
    at = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", binary, at)
        if command == 0x19:  # LC_SEGMENT_64
            for index in range(struct.unpack_from("<I", binary, at + 64)[0]):
                section, _, address, length, offset = struct.unpack_from("<16s16s2QI", binary, at + 72 + 80 * index)
                if section.rstrip(b"\0") == b"__text":
                    if address != offset:
                        raise NotReadable("code is loaded elsewhere than it stands in the file")
                    return offset, offset + length
        at += size
    raise NotReadable("no section __text")


def _calls(binary: bytes, start: int, end: int) -> Iterator[tuple[dict[int, int], int]]:
    """Each call: the addresses loaded into registers since the one before, by register, and where it goes."""
    pages: dict[int, int] = {}
    loaded: dict[int, int] = {}
    for index, (word,) in enumerate(struct.iter_unpack("<I", binary[start:end])):
        address = start + 4 * index
        if word & 0x9F000000 == 0x90000000:  # ADRP
            pages[word & 31] = (address & ~0xFFF) + (_signed((word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3, 21) << 12)
        elif word & 0xFFC00000 == 0x91000000:  # ADD, immediate, 64 bit
            if (source := word >> 5 & 31) in pages:
                loaded[word & 31] = pages[source] + (word >> 10 & 0xFFF)
        elif word & 0xFC000000 == 0x94000000:  # BL
            yield loaded, address + 4 * _signed(word & 0x3FFFFFF, 26)
            pages, loaded = {}, {}


def _function(binary: bytes, address: int, end: int) -> tuple[int, int]:
    """From an address to the return after it."""
    stop = min(address + 4 * _FAR_ENOUGH, end)
    for at in range(address, stop, 4):
        if struct.unpack_from("<I", binary, at)[0] == 0xD65F03C0:  # RET
            return address, at
    return address, stop


def _called(binary: bytes, function: int, end: int) -> list[int]:
    return [target for _, target in _calls(binary, *_function(binary, function, end))]


def _signature(binary: bytes, function: int, end: int) -> str:
    """The signature that a registering function loads before one of its calls; empty when there is none."""
    for loaded, _ in _calls(binary, *_function(binary, function, end)):
        for address in loaded.values():
            if text := _at(_SIGNATURE, binary, address):
                return text
    return ""


def _at(pattern: re.Pattern[bytes], binary: bytes, address: int | None) -> str:
    match = pattern.match(binary, address) if address is not None and 0 <= address < len(binary) else None
    return match[0][:-1].decode() if match else ""


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
