"""What no documentation settles, run by its other readings, or filled with something arbitrary."""

import numpy as np
import pytest
from coremltools.converters.mil import Builder as mb

from harness.mil import load

NAN = float("nan")
X = np.float32

#: Operator: the input, and what it gives by each reading.
READINGS = {
    "relu": (lambda x: mb.relu(x=x), [NAN, -1.0], [[NAN, 0.0], [0.0, 0.0]]),
    "clip": (lambda x: mb.clip(x=x, alpha=-1.0, beta=2.0), [NAN, 5.0], [[NAN, 2.0], [-1.0, 2.0], [2.0, 2.0]]),
    "maximum": (lambda x: mb.maximum(x=x, y=X(1.0)), [NAN, 0.0], [[NAN, 1.0], [1.0, 1.0]]),
    "reduce_max": (lambda x: mb.reduce_max(x=x, axes=[0], keep_dims=True), [NAN, 3.0], [[NAN], [3.0]]),
    "reduce_mean": (
        lambda x: mb.reduce_mean(x=mb.cast(x=x, dtype="int32"), axes=[1]),
        [[8.0, 0.0, 0.0], [-7.0, 0.0, 0.0]],
        [[2, -2], [2, -3], [3, -2]],
    ),
    "reduce_argmax": (lambda x: mb.reduce_argmax(x=x, axis=0, keep_dims=True), [7.0, 7.0], [[0], [1]]),
    "argsort": (lambda x: mb.argsort(x=x, axis=0), [7.0, 7.0], [[0, 1], [1, 0]]),
}


def ran(bench, function, values, **how):
    inputs = {"x": np.array(values, np.float32)}
    model = load(bench.package(function, inputs))
    (output,) = model.run(inputs, **how).outputs.values()
    return output.tolist()


@pytest.mark.parametrize("name", READINGS)
def test_each_reading_gives_its_own_answer_and_the_first_stays(bench, name):
    function, values, answers = READINGS[name]
    for reading, answer in enumerate(answers):
        np.testing.assert_array_equal(ran(bench, function, values, reading=reading), answer)


def test_a_reading_that_an_operator_lacks_is_its_last(bench):
    function, values, answers = READINGS["relu"]
    np.testing.assert_array_equal(ran(bench, function, values, reading=2), answers[-1])


def test_what_has_no_other_reading_is_filled_where_it_is_open_and_one_of_the_two_differs(bench):
    def function(x):
        return mb.cast(x=x, dtype="int32")

    assert ran(bench, function, [NAN, 3.5]) == [0, 3]
    assert [ran(bench, function, [NAN, 3.5], filling=n) for n in (1, 2)] == [[0, 3], [1, 3]]

    def sign(x):
        return mb.sign(x=x)

    assert np.isnan(ran(bench, sign, [NAN])).all()
    assert ran(bench, sign, [NAN], filling=2) == [1.0]


def test_what_is_settled_is_the_same_by_all(bench):
    def function(x):
        return mb.relu(x=mb.exp(x=x))

    runs = [ran(bench, function, [0.0, 1.0], **how) for how in ({}, {"reading": 1}, {"filling": 1}, {"filling": 2})]
    assert runs == [runs[0]] * 4


def test_a_mean_that_is_whole_is_not_open(bench):
    x = np.array([[6.0, 0.0, -3.0]], np.float32)
    model = load(bench.package(lambda x: mb.reduce_mean(x=mb.cast(x=x, dtype="int32"), axes=[1]), {"x": x}))
    result = model.run({"x": x})
    assert next(iter(result.outputs.values())).tolist() == [1]
    assert not result.diagnostics
