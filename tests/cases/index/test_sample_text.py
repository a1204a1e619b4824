"""That a sample put first changes no other id is tested for every entry beside `harness.cases.opinfo`."""

import functools
import types

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.opinfo.core import SampleInput

from harness.cases.index.sample_text import call_text, id_texts, labelled, samples_of


def test_a_call_as_text():
    sample = SampleInput(torch.rand(10, 10), kwargs={"approximate": "tanh"})
    assert call_text("gelu", sample) == "gelu(float32[10, 10], approximate='tanh')"
    assert call_text("t", SampleInput(torch.rand(3, 4).T)) == "t(float32[4, 3, strides=(1, 4)])"


def texts(make):
    """The id texts of the one sample that `make(state)` gives."""
    return list(id_texts("f", lambda state: [make(state)]))


def test_values_of_floats_are_no_part_of_an_id_and_those_of_integers_are():
    assert texts(lambda state: SampleInput(torch.full((2, 3), float(state)))) == ["f(float32[2, 3])"]
    one, other = (texts(lambda _state, n=n: SampleInput(torch.tensor([0, n]))) for n in (1, 2))
    assert one != other
    assert one[0].startswith("f(int64[2] ")


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        (lambda state: torch.tensor([0, state]), "f(float32[1], k=int64[2])"),
        (lambda state: torch.zeros(state + 1, dtype=torch.int64), "f(float32[1], k=int64)"),
        (lambda state: state / 2, "f(float32[1], k=float)"),
        (lambda state: [7, state], "f(float32[1], k=[7, int])"),
        (lambda state: state if state % 2 else "even", "f(float32[1], k=?)"),
        (lambda state: 7, "f(float32[1], k=7)"),
    ],
)
def test_of_what_hangs_on_the_random_state_the_most_exact_text_that_does_not(argument, text):
    assert texts(lambda state: SampleInput(torch.ones(1), kwargs={"k": argument(state)})) == [text]


def test_samples_before_a_generator_raises_are_told():
    def draw(state):
        yield SampleInput(torch.ones(1))
        raise RuntimeError("no LAPACK here")

    assert list(id_texts("f", draw)) == ["f(float32[1])"]


def test_equal_samples_are_counted():
    assert labelled(["aabb", "aabb", "ccdd", "aabb"], lambda digest: 3) == ["aab", "aab-2", "ccd", "aab-3"]


def test_samples_that_a_set_puts_in_any_order_come_sorted():
    values = torch.ones(1)

    def generate(*_arguments, **_options):
        yield from (SampleInput(values, kwargs={"indexing": text}) for text in ("xy", "ij"))
        yield from (SampleInput(torch.ones(2), kwargs={"indexing": text}) for text in ("ij", "xy"))

    entry = types.SimpleNamespace(name="meshgrid", sample_inputs=generate)
    found = [(*s.input.shape, s.kwargs["indexing"]) for s in samples_of(entry, torch.float32)]
    assert found == [(1, "ij"), (1, "xy"), (2, "ij"), (2, "xy")]


def test_an_entry_gives_the_same_texts_again():
    op = next(op for op in op_db if op.name == "nn.functional.gelu")
    draw = functools.partial(samples_of, op, torch.float32)
    assert list(id_texts("gelu", draw)) == list(id_texts("gelu", draw))
