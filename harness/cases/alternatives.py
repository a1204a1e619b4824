"""Other values for an operator's arguments, by the argument's name, then by its type.

A value that an operator does not take is no fault: eager PyTorch refuses it and the variant is left out. So the rows
name everything that some operator takes.
"""

from __future__ import annotations

import math
from typing import Any

from harness.cases.calls import Name, TensorSpec

INF = math.inf
#: Arguments that count dimensions.
DIMENSIONS = ("dim", "dims", "axis", "axes", "dim0", "dim1", "start_dim", "end_dim", "source", "destination")

#: By name, all types. Values of the same kind as the argument's are tried as they are.
BY_NAME: dict[str, tuple[Any, ...]] = {
    "approximate": ("tanh", "none"),
    "rounding_mode": ("floor", "trunc"),
    "reduction": (0, 1, 2),
    "interpolation_mode": (0, 1, 2),
    "padding_mode": (0, 1, 2),
    "mode": ("reflect", "replicate", "circular", "constant", 0, 1, 2),
    "reduce": ("sum", "prod", "mean", "amax", "amin"),
    "side": ("right", "left"),
    "indexing": ("xy", "ij"),
    "ord": (2, 1, INF, -INF, 0, 3, "fro"),
    "p": (2, 1, INF, 0, 3, 0.5),
    "norm_type": (2, 1, INF),
    "correction": (0, 1, 2),
    "unbiased": (False, True),
    "eps": (1e-3, 0.1),
    "epsilon": (1e-3, 0.1),
    "dtype": tuple(Name(d) for d in ("float16", "int32", "float64", "int64", "bool", "float32")),
    "memory_format": (Name("channels_last"), Name("contiguous_format"), Name("preserve_format")),
    "alpha": (0.5, 2, -1),
    "beta": (0.5, 2, 0),
    "scale": (0.5, 2.0),
    "negative_slope": (0.2, 0.0, 2.0),
    "lambd": (1.0, 0.25),
    "threshold": (1.0, 5.0, 0.5),
    "min": (-1.0, 0.5, -1, None),
    "max": (1.0, 2, None),
    "min_val": (-2.0, 0.0),
    "max_val": (2.0, 6.0),
    "value": (0.5, -3.0, 2),
    "fill_value": (0.5, -3, True),
    "kernel_size": (1, 3, "input"),
    "stride": (1, 2, 4, "empty"),
    "padding": (0, 1, 2, "same", "valid"),
    "dilation": (1, 2),
    "output_padding": (0, 1),
    "groups": (1, 2),
    "output_size": (1, 2, 3, 7),
    "scale_factors": ((2.0,), (0.5,), (1.5,)),
    "divisor_override": (3, 1),
    "diagonal": (1, -1, 2),
    "offset": (1, -1),
    "k": (1, 2, -1),
    "num_classes": (7,),
    "n": (2, 1),
    "decimals": (1, -1, 3),
    "step": (2, 3),
    "start": (1, -2),
    "end": (-1, 2, 100),
    "length": (2, 1),
    "index": (0, 1, -1),
    "shifts": (1, -1, 4),
    "repeats": (2, 1),
    "sections": (2, 3),
    "chunks": (2, 4),
    "split_size": (1, 2),
    "padding_idx": (0, 1),
    "ignore_index": (1, 0),
    "num_groups": (1, 2),
    "group": (1, 2),
    "upscale_factor": (2,),
    "downscale_factor": (2,),
    "base": (2.0, 10.0),
    "steps": (5, 1),
    "exponent": (0.5, 2, 3, -1, 0, 2.0),
    "delta": (0.5, 2.0),
    "margin": (0.5,),
    "normalized_shape": ("last", "last2"),
    "n_fft": (4,),
    "bins": (5,),
    "nan": (1.0,),
    "posinf": (10.0,),
    "neginf": (-10.0,),
}

#: By type, where the name has no row.
BY_TYPE: dict[str, tuple[Any, ...]] = {
    "number": (2, 0.5, -1.5, 0, 3),
    "float": (0.5, 2.0),
    "int": (1, 2, 0, -1),
    "SymInt": (1, 2, 0, -1),
    "str": (),
}


def alternatives(name: str, kind: str, value: Any, tensors: list[TensorSpec]) -> list[Any]:
    """Values to try for an argument now `value`, of the schema's type `kind` (`int[2]`, `Tensor?`, `Scalar`).

    `tensors` are those of the call, whose shapes tell what sizes make sense. What is returned may be refused by eager.
    """
    optional, base = kind.endswith("?"), kind.removesuffix("?")
    first = tensors[0].shape if tensors else ()
    if base == "Tensor":
        return _tensors(value, tensors, optional)
    if base.startswith("bool") and "[" not in base:
        return [not value] if value is not None else [True, False]
    if name in DIMENSIONS:
        found: list[Any] = _dims(value, base, len(first))
    elif "[" in base:
        found = _lists(name, value, base, first)
    else:
        found = [v for v in BY_NAME.get(name, BY_TYPE.get(base, ())) if _fits(base, v)]
    if optional and value is not None:
        found.append(None)
    return [v for v in found if repr(v) != repr(value)]


def _fits(base: str, value: Any) -> bool:
    if value is None:
        return True
    wanted: dict[str, Any] = {
        "float": (int, float),
        "number": (int, float, bool),
        "Scalar": (int, float, bool),
        "int": int,
        "SymInt": int,
        "str": str,
        "ScalarType": Name,
        "MemoryFormat": Name,
    }
    kinds = wanted.get(base)
    return (
        kinds is not None and isinstance(value, kinds) and not (base in ("int", "SymInt") and isinstance(value, bool))
    )


def _dims(value: Any, base: str, rank: int) -> list[Any]:
    """Every dim once, counted from the front and from the back; for lists also all, some and none of them."""
    if "[" not in base:
        return list(range(-rank, rank))
    lists: list[Any] = [[d] for d in range(-rank, rank)]
    if rank >= 2:
        lists += [[0, 1], [-1, -2], list(range(rank)), [0, -1]]
    if isinstance(value, list) and len(value) == rank > 1:
        lists += [list(reversed(range(rank))), [d - rank for d in value], [*value[1:], value[0]]]
    return [*lists, []]


def _lists(name: str, value: Any, base: str, shape: tuple[int, ...]) -> list[Any]:
    """Lists for `int[2]` and its like: alternatives of the element repeated, then one element alone different."""
    length = len(value) if isinstance(value, list) else (max(len(shape) - 2, 1) if shape else 1)
    found: list[Any] = []
    for element in BY_NAME.get(name, BY_TYPE.get(base.split("[")[0], ())):
        if element == "input":
            found.append(list(shape[-length:]))
        elif element == "empty":
            found.append([])
        elif element == "last":
            found.append(list(shape[-1:]))
        elif element == "last2":
            found.append(list(shape[-2:]))
        elif isinstance(element, tuple):
            found.append(list(element) * length)
        elif isinstance(element, (int, float)) and not isinstance(element, bool):
            found.append([element] * length)
    if isinstance(value, list) and length > 1 and all(isinstance(v, int) for v in value):
        found += [[*value[:-1], value[-1] + 1], [value[0] + 1, *value[1:]]]
    if name in ("size", "shape") and isinstance(value, list) and value and all(isinstance(v, int) for v in value):
        found += [[-1, *value[1:]], [*value[:-1], -1], [1, *value], [-1]]
    if name in ("pad", "padding") and isinstance(value, list):
        found += [[-1] * length, [1, *([0] * (length - 1))], [*([0] * (length - 1)), 2]]
    return found


def _tensors(value: Any, tensors: list[TensorSpec], optional: bool) -> list[Any]:
    """For an absent tensor those of the shapes a layer's weights have; for a present optional one its absence."""
    if isinstance(value, TensorSpec):
        return [None] if optional else []
    if value is not None or not tensors:
        return []
    first = tensors[0]
    shapes = [first.shape, first.shape[-1:], first.shape[1:2], first.shape[:1], (), first.shape[-2:]]
    shapes += [tensors[1].shape[:1], tensors[1].shape[1:2]] if len(tensors) > 1 else []
    positive: dict[str, Any] = {"low": 0.25, "high": 2.0} if first.is_floating else {}
    return [TensorSpec(first.dtype, shape, **positive) for shape in dict.fromkeys(shapes)]
