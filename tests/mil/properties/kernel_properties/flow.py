"""Properties of `control_flow`, `states`, `classify` and `random`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_properties.draw import ANY, BOOL, FLOATS, FP32, INT32, Draw, built, calls, modes, pick, shapes, some, values
from kernel_properties.movement import tensor
from kernel_properties.table import Call, Listed, Stateful, declare

from harness.mil import Operation, TensorType
from harness.mil.program import Block, Literal, NamedType, ValueRef
from harness.mil.types import name_of


def _typed(name: str, value: Any) -> NamedType:
    return NamedType(name, TensorType(name_of(value.dtype), value.shape))


def _binary(kind: str, x: str, y: str, output: NamedType) -> Operation:
    return Operation(kind, output.name, {"x": ValueRef(x), "y": ValueRef(y)}, (output,))


# --- branches and loops


def _cond_calls(draw: Draw, rng: np.random.Generator) -> Call:
    dtype = draw(st.sampled_from(FLOATS))
    shape = draw(shapes(0, 2, 1, 3))
    a, b = (values(rng, shape, dtype, -5, 5) for _ in range(2))
    first, second = (
        Block((), (f"{side}_result",), (_binary(kind, "a", "b", _typed(f"{side}_result", a)),))
        for side, kind in (("then", "add"), ("else", "sub"))
    )
    pred = values(rng, (), BOOL)
    constant = frozenset(draw(st.sampled_from(("", "pred"))).split())
    return Call(
        {"pred": pred},
        mode=draw(modes(dtype)),
        blocks=(first, second),
        captured={"a": a, "b": b},
        constant=constant,
    )


def _cond(pred: Any, a: Any, b: Any) -> Any:
    return built(a.shape, np.float64, lambda at: float(a[at]) + (1 if pred else -1) * float(b[at]))


declare("cond", calls(_cond_calls), _cond, like="a", ulps=1, slack=0)


def _while_calls(draw: Draw, rng: np.random.Generator) -> Call:
    """i, total -> i + 1, total + i for as long as i < limit."""
    start, total = values(rng, (), INT32, -3, 3), values(rng, (), INT32, -9, 9)
    limit = values(rng, (), INT32, -3, 8)
    inputs = (_typed("i", start), _typed("total", total))
    again = NamedType("again", TensorType("bool", ()))
    condition = Block(inputs, ("again",), (_binary("less", "i", "limit", again),))
    more, sum_ = NamedType("more", inputs[0].type), NamedType("sum", inputs[1].type)
    one = Literal(np.array(1, np.int32), TensorType("int32", ()))
    body = Block(
        inputs,
        ("more", "sum"),
        (_binary("add", "i", "one", more), _binary("add", "total", "i", sum_)),
        {"one": one},
    )
    return Call({"loop_vars": (start, total)}, blocks=(condition, body), captured={"limit": limit})


def _while(loop_vars: Any, limit: Any) -> list[Any]:
    start, total = (int(v) for v in loop_vars)
    last = max(start, int(limit))
    return [np.array(v, np.int32) for v in (last, total + sum(range(start, last)))]


declare("while_loop", calls(_while_calls), _while, like=None)

# --- lists


def _make_calls(draw: Draw, rng: np.random.Generator) -> Call:
    shape = draw(shapes(1, 2, 1, 3))
    given = some(draw, init_length=[1, 2, 3], dynamic_length=[True, False], dtype=["fp32", "fp16", "int32", "bool"])
    return Call({"elem_shape": shape} | given)


def _make(elem_shape: Any, init_length: int = 1, dynamic_length: bool = True, dtype: str = "fp32") -> tuple[Any, ...]:
    kind = {"fp32": np.float32, "fp16": np.float16, "int32": np.int32, "bool": np.bool_}[dtype]
    return tuple(built(tuple(elem_shape), kind, lambda at: 0) for _ in range(init_length))


def _list(draw: Draw, rng: np.random.Generator) -> tuple[Listed, Any, tuple[int, ...], str]:
    dtype, shape = draw(st.sampled_from(ANY)), draw(shapes(0, 2, 1, 3))
    items = Listed(tensor(draw, rng, shape, dtype) for _ in range(draw(st.integers(1, 4))))
    return items, dtype, shape, pick(draw, "wide", "exact")


def _length_calls(draw: Draw, rng: np.random.Generator) -> Call:
    items, _, _, mode = _list(draw, rng)
    return Call({"ls": items}, mode=mode)


def _write_calls(draw: Draw, rng: np.random.Generator) -> Call:
    items, dtype, shape, mode = _list(draw, rng)
    index = draw(st.integers(0, len(items) + 2))  # a dynamic list grows
    return Call({"ls": items, "index": index, "value": tensor(draw, rng, shape, dtype)}, mode=mode)


def _written(ls: Any, writes: list[tuple[int, Any]]) -> tuple[Any, ...]:
    content = dict(enumerate(ls)) | dict(writes)
    empty = built(ls[0].shape, ls[0].dtype, lambda at: 0)
    return tuple(content.get(i, empty) for i in range(max(content) + 1))


def _read_calls(draw: Draw, rng: np.random.Generator) -> Call:
    items, _, _, mode = _list(draw, rng)
    return Call({"ls": items, "index": draw(st.integers(0, len(items) - 1))}, mode=mode)


def _gather_calls(draw: Draw, rng: np.random.Generator) -> Call:
    items, _, _, mode = _list(draw, rng)
    indices = tuple(draw(st.integers(0, len(items) - 1)) for _ in range(draw(st.integers(1, 4))))
    return Call({"ls": items, "indices": indices}, mode=mode)


def _list_gather(ls: Any, indices: Any) -> Any:
    return built((len(indices), *ls[0].shape), ls[0].dtype, lambda at: ls[indices[at[0]]][at[1:]])


def _list_scatter_calls(draw: Draw, rng: np.random.Generator) -> Call:
    items, dtype, shape, mode = _list(draw, rng)
    indices = tuple(draw(st.integers(0, len(items) + 1)) for _ in range(draw(st.integers(1, 3))))
    value = tensor(draw, rng, (len(indices), *shape), dtype)
    return Call({"ls": items, "indices": indices, "value": value}, mode=mode)


declare("make_list", calls(_make_calls), _make, like=None)
declare("list_length", calls(_length_calls), lambda ls: np.array(sum(1 for _ in ls), np.int32), like=None)
declare("list_write", calls(_write_calls), lambda ls, index, value: _written(ls, [(index, value)]), like=None)
declare("list_read", calls(_read_calls), lambda ls, index: dict(enumerate(ls))[index], like=None)
declare("list_gather", calls(_gather_calls), _list_gather, like=None)
declare(
    "list_scatter",
    calls(_list_scatter_calls),
    lambda ls, indices, value: _written(ls, [(i, value[k]) for k, i in enumerate(indices)]),
    like=None,
    kinds=lambda ls, indices, **more: {"undocumented"} if len(set(indices)) < len(indices) else set(),
)

# --- states


def _state(draw: Draw, rng: np.random.Generator) -> tuple[Any, Any, str]:
    dtype, shape = draw(st.sampled_from(FLOATS)), draw(shapes(1, 3, 1, 3))
    content, new = (values(rng, shape, dtype, special=True) for _ in range(2))
    return content.view(Stateful), new, pick(draw, "wide", "exact", "strict")


def _read_state_calls(draw: Draw, rng: np.random.Generator) -> Call:
    content, _, mode = _state(draw, rng)
    return Call({"input": content}, mode=mode)


def _write_state_calls(state: str, value: str) -> st.SearchStrategy[Call]:
    def make(draw: Draw, rng: np.random.Generator) -> Call:
        content, new, mode = _state(draw, rng)
        return Call({state: content, value: new}, mode=mode)

    return calls(make)


declare(
    "read_state",
    calls(_read_state_calls),
    lambda input: np.asarray(input),
    like=None,
    leaves=lambda input: {"input": input},
)
declare(
    "write_state",
    _write_state_calls("input", "data"),
    lambda input, data: [],
    like=None,
    leaves=lambda input, data: {"input": data},
)
declare(
    "coreml_update_state",
    _write_state_calls("state", "value"),
    lambda state, value: value,
    like=None,
    leaves=lambda state, value: {"state": value},
)

# --- classify


def _classify_calls(draw: Draw, rng: np.random.Generator) -> Call:
    n = draw(st.integers(1, 5))
    shape = pick(draw, (n,), (1, n))
    classes = tuple(f"class {i}" for i in range(n)) if draw(st.booleans()) else tuple(np.int64(7 + i) for i in range(n))
    if not isinstance(classes[0], str):
        classes = tuple(np.array(c) for c in classes)
    probabilities = values(rng, shape, draw(st.sampled_from(FLOATS)), 0, 1, grid=4)  # with ties
    return Call({"probabilities": probabilities, "classes": classes}, constant=frozenset(("classes",)))


def _classify(probabilities: Any, classes: Any) -> list[Any]:
    labels = [c if isinstance(c, str) else int(c) for c in classes]
    found = dict(zip(labels, probabilities.reshape(-1).tolist(), strict=True))
    best = max(labels, key=lambda label: found[label])
    return [best if isinstance(best, str) else np.array(best, np.int64), found]


declare("classify", calls(_classify_calls), _classify, like=None)

# --- random: the values are free, their shape, type, range and moments are not

_MANY = 600


def _random_calls(**parameters: list[float]) -> st.SearchStrategy[Call]:
    def make(draw: Draw, rng: np.random.Generator) -> Call:
        dtype = draw(st.sampled_from(FLOATS))
        given: dict[str, Any] = {}
        for name, choices in parameters.items():
            if draw(st.booleans()):
                given[name] = np.array(draw(st.sampled_from(choices)), dtype)
        if given and next(iter(parameters)) not in given:
            given = {n: v.astype(FP32) for n, v in given.items()}
        if draw(st.booleans()):
            given["seed"] = draw(st.integers(0, 99))
        return Call({"shape": (2, _MANY // 2)} | given, constant=frozenset(parameters if draw(st.booleans()) else ()))

    return calls(make)


def _like_first(**arguments: Any) -> Any:
    """Zeros of the type of the first parameter, which the result has; fp32 without it."""
    found = [v for n, v in arguments.items() if n in ("prob", "mean", "low")]
    return np.zeros(arguments["shape"], found[0].dtype if found else FP32)


def _near(got: Any, mean: float, deviation: float) -> None:
    """Mean and deviation within six of their own standard errors."""
    wide = got.astype(np.float64)
    assert abs(wide.mean() - mean) <= 6 * deviation / math.sqrt(_MANY) + 0.01 * (1 + abs(mean))
    assert abs(wide.std() - deviation) <= 0.25 * deviation + 0.01


def _value(arguments: dict[str, Any], name: str, default: float) -> float:
    return float(arguments.get(name, default))


def _bernoulli(results: list[Any], arguments: dict[str, Any]) -> None:
    p = _value(arguments, "prob", 0.5)
    assert set(np.unique(results[0]).tolist()) <= {0.0, 1.0}
    _near(results[0], p, math.sqrt(p * (1 - p)))


def _normal(results: list[Any], arguments: dict[str, Any]) -> None:
    _near(results[0], _value(arguments, "mean", 0.0), _value(arguments, "stddev", 1.0))


def _uniform(results: list[Any], arguments: dict[str, Any]) -> None:
    low, high = _value(arguments, "low", 0.0), _value(arguments, "high", 1.0)
    assert ((results[0] >= low) & (results[0] < high)).all()
    _near(results[0], (low + high) / 2, (high - low) / math.sqrt(12))


def _drawn_kind(**arguments: Any) -> set[str]:
    return {"random"}


_RANDOM: dict[str, Any] = {"like": None, "kinds": _drawn_kind}
declare("random_bernoulli", _random_calls(prob=[0.0, 0.25, 1.0]), _like_first, verify=_bernoulli, **_RANDOM)
declare("random_normal", _random_calls(mean=[-3.0, 5.0], stddev=[0.5, 4.0]), _like_first, verify=_normal, **_RANDOM)
declare("random_uniform", _random_calls(low=[-3.0, 0.5], high=[2.0, 8.0]), _like_first, verify=_uniform, **_RANDOM)


def _categorical_calls(draw: Draw, rng: np.random.Generator) -> Call:
    mode = pick(draw, None, "logits", "probs")
    weights = values(rng, (2, draw(st.integers(1, 4))), draw(st.sampled_from(FLOATS)), 0, 2, grid=1)
    given = {} if mode is None else {"mode": mode}
    if mode == "probs":
        weights[:, 0] += 1  # the others may have no chance at all
        weights = (weights / weights.sum(-1, keepdims=True)).astype(weights.dtype)
    return Call({"x": weights, "size": _MANY} | given | some(draw, seed=[0, 5]))


def _categorical(results: list[Any], arguments: dict[str, Any]) -> None:
    for row, weights in zip(results[0], arguments["x"].astype(np.float64), strict=True):
        parts = weights if arguments.get("mode") == "probs" else np.array([math.exp(w) for w in weights])
        for index, part in enumerate(parts / sum(parts)):
            assert abs((row == index).mean() - part) <= 6 * 0.5 / math.sqrt(_MANY)
        assert set(row.tolist()) <= {i for i, part in enumerate(parts) if part}


declare(
    "random_categorical",
    calls(_categorical_calls),
    lambda x, size, **more: np.zeros((*x.shape[:-1], size), x.dtype),
    verify=_categorical,
    **_RANDOM,
)
