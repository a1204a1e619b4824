"""Signs of the errors that runs of a program inject: at random, and such that no two sources cancel in every run.

Two errors of like size at one element cancel in all of eight independent runs once in 128, or add up in all: with
thousands of elements some bound would say nothing of an operator. So the signs of one element are independent between
elements and balanced between calls: over the runs, the signs of call number k are a word of the second-order
Reed-Muller code of length 8 (MacWilliams and Sloane, "The Theory of Error-Correcting Codes", chapter 13), of which any
two differ in two runs at least, and agree in two; in four where both are of the first order.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Runs of a program: the length of the code.
RUNS = 8
#: Words that differ up to a sign: three bits of a linear form, three of a quadratic one.
_WORDS = 64


class Signs:
    """Signs for the calls of one run, in order. `drawn` counts them; set back, it draws the same ones again.

    Runs of equal `seed` are balanced against each other, those of another are independent.
    """

    def __init__(self, run: int, seed: int) -> None:
        if not 0 <= run < RUNS:
            raise ValueError(f"run {run}: there are {RUNS}")
        self.run, self.seed, self.drawn = run, seed, 0

    def draw(self, shape: torch.Size) -> Tensor:
        """The signs of the next call's errors, float64."""
        block, word = divmod(self.drawn, _WORDS)
        self.drawn += 1
        generator = torch.Generator().manual_seed(self.seed + RUNS * block + self.run)
        signs = torch.randint(0, 2, shape, generator=generator).double() * 2 - 1
        return signs if even(word, self.run) else -signs


def even(word: int, run: int) -> bool:
    """Whether a word of the code is positive at a run."""
    a, b, c = run & 1, run >> 1 & 1, run >> 2 & 1
    products = a & b | (a & c) << 1 | (b & c) << 2
    return ((word & run).bit_count() + (word >> 3 & products).bit_count()) % 2 == 0
