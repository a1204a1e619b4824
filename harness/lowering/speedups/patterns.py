"""The patterns that coremltools' fusions look for: built once a process, not in each conversion.

`fuse_gelu_tanh_approximation` and `fuse_prelu` build two small MIL programs each, by the whole path that builds any,
and compare the model's operators to them: a twentieth of the time in which a single operator is lowered. Comparing
reads a pattern and changes nothing in it. What building one leaves elsewhere is left without it too: the counters that
the names of values, blocks and symbols hang on, and NumPy's random numbers, of which the patterns of PReLU take some.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Each pattern by its class and method in coremltools, with the random numbers that building it draws.
_PATTERNS = (
    ("fuse_gelu_tanh_approximation", "get_gelu_pattern1", 0),
    ("fuse_gelu_tanh_approximation", "get_gelu_pattern2", 0),
    ("FusePreluPattern1", "get_prelu_pattern", 16),
    ("FusePreluPattern2", "get_prelu_pattern", 16),
)


def install() -> None:
    """Remember the patterns, of those that this coremltools has; calling it again does nothing."""
    from coremltools.converters.mil.mil.passes.defs import optimize_activation as passes

    for owner, method, drawn in _PATTERNS:
        build = getattr(getattr(passes, owner, None), method, None)
        if build is not None and not hasattr(build, "__wrapped__"):
            setattr(getattr(passes, owner), method, staticmethod(remembering(build, drawn)))


def remembering(build: Callable[[], Any], drawn: int = 0) -> Callable[[], Any]:
    """A pattern's program, built at the first call. The further ones count and draw what building it would."""
    known: list[tuple[Any, Counters]] = []

    @functools.wraps(build)
    def pattern() -> Any:
        import numpy as np

        if known:
            program, counted = known[0]
            counted.add()
            np.random.random_sample(drawn)
            return program
        before = Counters.now()
        program = build()
        known.append((program, Counters.now() - before))
        return program

    return pattern


@dataclass(frozen=True)
class Counters:
    """coremltools' counters: of names by what they begin with, of blocks and of symbols. Or what was added to them."""

    names: dict[str, int]
    blocks: int
    symbols: int

    @classmethod
    def now(cls) -> Counters:
        from coremltools.converters.mil.mil import Block, Builder, program

        return cls(dict(Builder.name_count), Block.counter, program.k_num_internal_syms)

    def __sub__(self, before: Counters) -> Counters:
        names = {name: count - before.names.get(name, 0) for name, count in self.names.items()}
        added = {name: count for name, count in names.items() if count}
        return Counters(added, self.blocks - before.blocks, self.symbols - before.symbols)

    def add(self) -> None:
        """Add these to coremltools' own."""
        from coremltools.converters.mil.mil import Block, Builder, program

        for name, count in self.names.items():
            Builder.name_count[name] += count
        Block.counter += self.blocks
        program.k_num_internal_syms += self.symbols
