import pytest

from harness.evidence.record import Numerics
from harness.publish.support import By
from harness.publish.targets import lowest_targets

A = "aten.a.Tensor"


def test_the_lowest_target_of_a_call_that_is_right(record):
    found = [record(A, recipe=recipe) for recipe in ("fp16-ios18", "fp32-ios16", "fp16-ios17")]
    found += [record(A, "convert_error", recipe="fp16-ios15"), record("aten.b.default", "fallback")]
    assert lowest_targets(found, By.OPERATOR) == {A: "iOS16"}
    assert lowest_targets(reversed(found), By.PACKET) == {"a": "iOS16"}
    assert lowest_targets(found, By.FUNCTION) == {"a": "iOS16"}


@pytest.mark.parametrize(
    "fields",
    [
        {"recipe": "fp16-ios15-pt2e_int8_static"},
        {"recipe": "fp16-none"},
        {"recipe": "fp16-ios15", "numerics": Numerics("EXACT")},
        {"recipe": "fp16-ios15", "outcome": "partial"},
        {"recipe": "fp16-ios15", "api": "torch.f", "call": "f(float32[2])"},
    ],
)
def test_what_says_nothing_of_it(record, fields):
    assert lowest_targets([record(A, **fields)], By.OPERATOR) == {}


def test_a_function_is_judged_whole(record):
    inside = record(A, recipe="fp16-ios15", api="torch.f", call="f(float32[2])")
    assert lowest_targets([inside, record(A, api=A)], By.FUNCTION) == {"torch.f": "iOS15"}
