"""Operator instances: an operator with its parameters, input shapes and data types, without a program around it.

One JSON object a line. An argument is one of

    {"t": "fp32", "s": [2, 3]}                 values drawn from the instance's seed
    {"t": "int32", "s": [80], "r": [0, 4]}     integers drawn from this range, ends included
    {"t": "int32", "s": [2], "d": [0, 1]}      these values
    {"t": "string", "d": "valid"}
    [argument, ...]                            several bindings (the `values` of `concat`)

and has `"c": 1` where the program it comes from had a constant.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.mil.types import NUMPY, Array

FILE = Path(__file__).with_name("instances.jsonl.gz")
INLINE = 24  # elements up to which integers and constants are kept as they are
LARGEST = 1 << 16  # elements of an argument beyond which an instance costs more than it tells


@dataclass(frozen=True)
class Instance:
    """`opset` is that of `CoreML<opset>`; `arguments` as in the file."""

    op: str
    opset: int
    arguments: dict[str, Any]

    @property
    def line(self) -> str:
        return json.dumps([self.op, self.opset, self.arguments], sort_keys=True)

    @property
    def key(self) -> str:
        """What makes two instances the same: everything but the data of arguments that are no constants."""
        return json.dumps(
            [self.op, self.opset, {k: _without_data(a) for k, a in self.arguments.items()}], sort_keys=True
        )

    @property
    def seed(self) -> int:
        return int.from_bytes(hashlib.sha256(self.line.encode()).digest()[:4], "little")

    def __str__(self) -> str:
        parts = ", ".join(f"{name}={_short(value)}" for name, value in self.arguments.items())
        return f"{self.op}({parts})"


def _without_data(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_without_data(a) for a in argument]
    return argument if "c" in argument else {k: v for k, v in argument.items() if k not in "dr"}


def _short(argument: Any) -> str:
    if isinstance(argument, list):
        return f"({', '.join(map(_short, argument))})"
    if "d" in argument:
        return repr(argument["d"])
    return f"{argument['t']}{argument['s']}"


def describe(value: Any, constant: bool) -> Any:
    """The argument that stands for `value`, an array, a string or a tuple of them.

    Raises ValueError for what is no plain tensor, or too large."""
    if isinstance(value, tuple):
        return [describe(v, constant) for v in value]
    flag = {"c": 1} if constant else {}
    if isinstance(value, str):
        return {"t": "string", "d": value, **flag}
    array = np.asarray(value)
    names = [name for name, dtype in NUMPY.items() if dtype == array.dtype]
    if not names or array.dtype.kind not in "fiub":
        raise ValueError(f"no argument can be of {array.dtype}")
    if array.size > LARGEST:
        raise ValueError(f"{array.size} elements")
    # `int4` shares its storage with `int8`: the plain type comes first in the table.
    found: dict[str, Any] = {"t": names[0], "s": list(array.shape)}
    if array.size <= INLINE and (constant or array.dtype.kind != "f"):
        found["d"] = array.reshape(-1).tolist()
    elif array.dtype.kind in "iu":
        found["r"] = [int(array.min()), int(array.max())]
    return found | flag


def values(instance: Instance, draw: int = 0) -> dict[str, Any]:
    """An array, string or tuple for each argument; the same ones each time for the same number of a draw."""
    rng = np.random.default_rng([instance.seed, draw])
    return {name: _draw(argument, rng) for name, argument in instance.arguments.items()}


def is_constant(argument: Any) -> bool:
    return all(map(is_constant, argument)) if isinstance(argument, list) else "c" in argument


def _draw(argument: Any, rng: np.random.Generator) -> Any:
    if isinstance(argument, list):
        return tuple(_draw(a, rng) for a in argument)
    if argument["t"] == "string":
        return argument["d"]
    dtype, shape = NUMPY[argument["t"]], tuple(argument["s"])
    if "d" in argument:
        return np.array(argument["d"], dtype).reshape(shape)
    if "r" in argument:
        low, high = argument["r"]
        return np.asarray(rng.integers(low, high, shape, endpoint=True)).astype(dtype)
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    return np.asarray(_floats(shape, rng), dtype)


def _floats(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Values that meet the hard places: eighths (zeros, equal ones, halves to round), or any size, or in between."""
    kind = rng.integers(3)
    if kind == 0:
        found = rng.integers(-32, 32, shape, endpoint=True) / 8
    elif kind == 1:
        found = rng.standard_normal(shape) * 3
    else:
        found = rng.choice([-1, 1], shape) * np.exp2(rng.uniform(-8, 4, shape))
    return np.asarray(found).astype(np.float16).astype(np.float64)


def read(path: Path = FILE) -> Iterator[Instance]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            op, opset, arguments = json.loads(line)
            yield Instance(op, opset, arguments)


def write(instances: Iterable[Instance], path: Path = FILE) -> None:
    """Sorted and without a time stamp, so that the same harvest gives the same file."""
    lines = sorted({i.line for i in instances})
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
