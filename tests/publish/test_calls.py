import ast
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cases.calls import DTYPES, Call, TensorSpec, shown
from harness.publish.calls import ShownTensor, Unread, read_call

EVIDENCE = sorted(Path(__file__).parents[2].joinpath("reports", "evidence").glob("*.jsonl"))
#: Text of the evidence that is no call, by what it begins with: cut off where it was too long.
NO_CALL = ("torch._scaled_mm_v2(float8_e4m3fn[15, 16]",)

dtypes = st.sampled_from(DTYPES)
shapes = st.lists(st.integers(0, 9), max_size=5).map(tuple)
tensors = st.builds(
    TensorSpec,
    dtypes,
    shapes,
    low=st.none() | st.sampled_from([-1.0, 0.25]),
    values=st.sampled_from(["", "ladder", "special"]),
    layout=st.sampled_from(["", "sliced"]),
    constant=st.booleans(),
)
literals = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-4, 4) | st.text("ab[](), ='->", max_size=6)
arguments = st.recursive(tensors | literals, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
names = st.sampled_from(["dim", "alpha", "weight"])


def as_read(value):
    """What reading back an argument of a case gives."""
    if isinstance(value, TensorSpec):
        given_options = {"low": value.low, "values": value.values, "layout": value.layout, "constant": value.constant}
        return ShownTensor(
            value.dtype, value.shape, {k: v for k, v in given_options.items() if v not in (None, "", False)}
        )
    return [as_read(one) for one in value] if isinstance(value, list) else value


@given(st.lists(arguments, max_size=4), st.dictionaries(names, arguments, max_size=2))
@settings(max_examples=100, deadline=None)
def test_the_text_of_a_call_is_read_back(args, kwargs):
    read = read_call(shown(Call("aten.f.default", tuple(args), kwargs)))
    assert read is not None
    assert read.function == "f"
    assert list(read.args) == [as_read(value) for value in args]
    assert dict(read.kwargs) == {name: as_read(value) for name, value in kwargs.items()}


def test_a_tensor_shown_by_its_values_has_their_shape():
    call = read_call("embedding(float32[10, 4], int64([[0, 3], [9, 1], [2, 2]]), constant=True)")
    assert call is not None
    assert [tensor.shape for tensor in call.tensors()] == [(10, 4), (3, 2)]
    assert call.kwargs == {"constant": True}
    (of_data,) = read_call("where(bool[[True, False]])").tensors()
    assert of_data.dtype == "bool"


def test_what_is_no_literal_is_kept_as_it_is_shown():
    call = read_call("to(float32[2], dtype=torch.float16, at=slice(0, 1))")
    assert call is not None
    assert call.kwargs == {"dtype": Unread("torch.float16"), "at": Unread("slice(0, 1)")}
    assert str(call.kwargs["at"]) == "slice(0, 1)"


@pytest.mark.parametrize("text", ["", "f(float32[2", "f(float32[2]) + 1", "f(1)(2)", "a model", "float32[2]"])
def test_what_is_no_call_is_none(text):
    assert read_call(text) is None


def test_tensors_in_lists_count_too():
    call = read_call("cat([float32[2, 3], int32[2]], dim=0, out=float16[])")
    assert call is not None
    assert [(tensor.dtype, tensor.rank, tensor.constant) for tensor in call.tensors()] == [
        *(("float32", 2, False), ("int32", 1, False), ("float16", 0, False))
    ]


def test_every_call_of_the_committed_evidence_is_read():
    texts = {
        json.loads(line).get("call", "")
        for path in EVIDENCE
        for line in path.read_text(encoding="utf-8").splitlines()
        if '"call"' in line and '"kind":"operator"' in line
    }
    assert len(texts) > 1000
    unread = sorted(text for text in texts if text and read_call(text) is None)
    assert len(unread) < 20
    assert [text for text in unread if not text.startswith(NO_CALL) and not is_expression(text)] == []


def is_expression(text):
    """Whether it is of several operations, in names that stand for tensors: `(x * 300) + y`."""
    node = ast.parse(text, mode="eval").body
    return not isinstance(node, ast.Call) or isinstance(node.func, ast.Attribute)
