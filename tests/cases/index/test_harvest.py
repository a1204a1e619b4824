"""Harvested seed calls: kept while eager takes them, found among samples otherwise."""

from types import SimpleNamespace

import pytest

from harness.cases.calls import parse
from harness.cases.index import harvest

ABS, PLAINER = parse("aten.abs.default(float32(7))"), parse("aten.abs.default(float32(3, 4))")
NEG = parse("aten.neg.default(float32(3, 4))")
REFUSED = parse("aten.neg.default(bool(3))")
UNIVERSE = {ABS.op, NEG.op}


@pytest.fixture
def samples(monkeypatch):
    """One OpInfo entry of one sample, which comes down to these calls."""
    calls = [PLAINER, NEG, parse("aten.exp.default(float32(3, 4))")]
    entry = SimpleNamespace(name="entry", variant="", dtype="float32", overloads=("any",), standard=("a",))
    monkeypatch.setattr(harvest, "read_index", lambda version: [entry])
    monkeypatch.setattr(harvest, "_calls_of", lambda *sample: iter(calls))
    return calls


def test_an_operator_keeps_its_call_whatever_the_samples_are(samples):
    assert harvest.harvest(UNIVERSE, [ABS, NEG], str) == [ABS, NEG]
    samples.insert(0, parse("aten.abs.default(float32(2, 2))"))
    assert harvest.harvest(UNIVERSE, [ABS, NEG], str) == [ABS, NEG]


def test_an_operator_without_a_call_gets_the_plainest(samples):
    samples.insert(0, ABS)
    assert harvest.harvest(UNIVERSE, [NEG], str) == [PLAINER, NEG]


def test_a_call_that_eager_refuses_is_replaced(samples):
    assert harvest.harvest(UNIVERSE, [ABS, REFUSED], str) == [ABS, NEG]


def test_operators_outside_of_the_universe_are_left_out(samples):
    assert harvest.harvest({NEG.op}, [ABS], str) == [NEG]
