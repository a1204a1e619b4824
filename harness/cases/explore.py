"""Calls drawn freely along the axes, for hypothesis to explore and to shrink.

A drawn call is the operator's seed call varied along one to three axes after one another, then with other sizes. It
shrinks towards fewer variations, the first variants of the first axes, and small sizes.
"""

from __future__ import annotations

from hypothesis import strategies as st

from harness.cases.axes import Signature, variants
from harness.cases.calls import Call

#: How many axes are composed at most.
DEPTH = 3
_SIZES = (1, 2, 3, 4, 5, 7, 9)


@st.composite
def drawn_calls(draw: st.DrawFn, seed: Call, signature: Signature) -> Call:
    """A variation of `seed`; eager PyTorch may refuse it."""
    call = seed
    for _ in range(draw(st.integers(1, DEPTH))):
        found = [variant for _, _, variant in variants(call, signature)]
        if not found:
            break
        call = draw(st.sampled_from(found))
    return resized(call, {size: draw(st.sampled_from(_SIZES)) for size in sizes(call)}) if draw(st.booleans()) else call


def sizes(call: Call) -> list[int]:
    """The different sizes of dims of its tensors, but 0 and 1, which broadcasting and emptiness hang on."""
    return sorted({size for t in call.tensors() if t.data is None for size in t.shape} - {0, 1})


def resized(call: Call, sizes: dict[int, int]) -> Call:
    """The call with every size replaced, equal ones by equal ones, so that what must agree goes on agreeing.

    >>> from harness.cases.calls import parse
    >>> str(resized(parse("aten.mm.default(float32(2, 3), float32(3, 4))"), {2: 5, 3: 2, 4: 1}))
    'aten.mm.default(float32(5, 2), float32(2, 1))'
    """
    return call.map_tensors(
        lambda _, t: t if t.data is not None else t.with_(shape=tuple(sizes.get(size, size) for size in t.shape))
    )
