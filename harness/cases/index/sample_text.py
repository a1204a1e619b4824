"""A sample of OpInfo as text: what a reader is shown of its call, and what its id is a digest of.

Values of floating-point tensors are no part of either. What hangs on the random state is none of the id: a sample
inserted before another one shifts what that draws, and must not change its id. So the samples of an entry are drawn
several times, each time from another state, and of each argument the most exact text is taken on which all agree.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

#: States from which the samples of an entry are drawn, the first being that of the cases. One truth value out of a
#: hundred and twenty-eight is alike in all of them.
STATES = 8
#: Entries whose generator walks a set of texts, in another order in each process: the keyword these are the values of.
SHUFFLED = {"meshgrid": "indexing"}
#: Digits of a digest where no other sample has the same.
DIGITS = 6
#: Where an object lies in memory.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def samples_of(op: Any, dtype: Any, state: int = 0) -> Iterator[Any]:
    """The samples of an OpInfo entry, drawn from this random state, in the same order in every process."""
    import torch

    torch.manual_seed(state)
    samples = op.sample_inputs("cpu", dtype, requires_grad=False)
    if op.name not in SHUFFLED:
        yield from samples
        return
    for _, alike in itertools.groupby(samples, key=lambda sample: _shown((sample.input, sample.args))):
        yield from sorted(alike, key=lambda sample: sample.kwargs[SHUFFLED[op.name]])


def call_text(name: str, sample: Any) -> str:
    """The call with the values of its Python arguments: `gelu(float32[10, 10], approximate='tanh')`."""
    parts = [_shown(value) for value in (sample.input, *sample.args)]
    return f"{name}({', '.join([*parts, *(f'{key}={_shown(value)}' for key, value in sample.kwargs.items())])})"


def id_texts(name: str, draw: Callable[[int], Iterable[Any]]) -> Iterator[str]:
    """The text of each sample that its id is a digest of. `draw(state)` gives the samples from one random state.

    Of a `draw` that raises half-way, the samples before are told.
    """
    first, *others = [_drawn(draw(state)) for state in range(STATES)]
    for number, own in enumerate(first):
        alike = [own, *(o[number] for o in others if number < len(o) and len(o[number]) == len(own))]
        yield f"{name}({''.join(map(_agreed, zip(*alike, strict=True)))})"


def _drawn(samples: Iterable[Any]) -> list[list[tuple[str, ...]]]:
    found = []
    with contextlib.suppress(Exception):
        for sample in samples:
            found.append(_choices(sample))
    return found


def labelled(digests: Sequence[str], length: Callable[[str], int]) -> list[str]:
    """`3f9a2c` for each digest, cut to its length; equal ones after the first as `3f9a2c-2`, `3f9a2c-3`.

    >>> labelled(["aabb", "ccdd", "aabb"], lambda _: 2)
    ['aa', 'cc', 'aa-2']
    """
    seen: Counter[str] = Counter()
    labels = []
    for digest in digests:
        seen[digest] += 1
        short = digest[: length(digest)]
        labels.append(short if seen[digest] == 1 else f"{short}-{seen[digest]}")
    return labels


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def telling_length(digest: str, others: Iterable[str]) -> int:
    """How many digits tell a digest from these others: `DIGITS`, or more.

    >>> telling_length("aaaaaa11", ["aaaaaa11", "aaaaaa12", "b"])
    8
    """
    different = [other for other in others if other != digest]
    length = DIGITS
    while any(other.startswith(digest[:length]) for other in different):
        length += 1
    return length


def _agreed(choices: Iterable[tuple[str, ...]]) -> str:
    """The first text that is the same in all; every argument has one."""
    return next((texts[0] for texts in zip(*choices, strict=False) if len(set(texts)) == 1), "?")


def _choices(sample: Any) -> list[tuple[str, ...]]:
    """The call's arguments in parts, one after the other; of each part its texts, most exact first."""
    parts: list[tuple[str, ...]] = []

    def visit(values: Iterable[Any]) -> None:
        for number, value in enumerate(values):
            parts.extend([(", ",)] if number else [])
            part(value)

    def part(value: Any) -> None:
        if type(value) in (list, tuple):
            parts.append(("[",))
            visit(value)
            parts.append(("]",))
        else:
            parts.append(_texts(value))

    visit((sample.input, *sample.args))
    for key, value in sample.kwargs.items():
        parts.append((f", {key}=",))
        part(value)
    return parts


def _texts(value: Any) -> tuple[str, ...]:
    """An argument's texts, most exact first."""
    import torch

    if not isinstance(value, torch.Tensor):
        return _shown(value), type(value).__name__
    shown, dtype = _shown(value), str(value.dtype).removeprefix("torch.")
    if value.layout is not torch.strided or value.is_quantized or value.is_floating_point() or value.is_complex():
        return shown, dtype
    values = digest_of(repr(value.tolist()))[:DIGITS]
    return f"{shown} {values}", shown, dtype


def _shown(value: Any) -> str:
    """An argument as text; a tensor as dtype and shape, and how it lies in memory where that is not as usual."""
    import torch

    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        sizes = [str(size) for size in value.shape]
        if value.layout is not torch.strided:
            sizes.append(f"layout={str(value.layout).removeprefix('torch.')}")
        elif not value.is_contiguous():
            sizes.append(f"strides={_shown(value.stride())}")
        return f"{dtype}[{', '.join(sizes)}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, slice):
        return f"slice({_shown(value.start)}, {_shown(value.stop)}, {_shown(value.step)})"
    if isinstance(value, (torch.dtype, torch.memory_format, torch.layout)):
        return str(value).removeprefix("torch.")
    if callable(value) and hasattr(value, "__qualname__"):
        return str(value.__qualname__)
    return _ADDRESS.sub("", repr(value))
