"""Records that say only what matters to a test."""

import re

import pytest

from harness.evidence.causes import Cause, Rule
from harness.evidence.check import Check, Subject
from harness.evidence.record import ErrorInfo, Record
from harness.evidence.vocabulary import Kind, Outcome, Phase

PHASES = {
    Outcome.UNSUPPORTED: Phase.EDGE,
    Outcome.CONVERT_ERROR: Phase.CONVERT,
    Outcome.INVALID_CASE: Phase.EAGER,
    Outcome.NOT_RUN: Phase.LOAD,
    Outcome.CRASH: Phase.RUN,
}


def make_record(
    outcome="pass", case="ops/aten.neg.default/float32/opinfo-1df5b9", recipe="fp16-ios18", unit="reference", **f
):
    """A record of this outcome in the phase that goes with it; `signature` gives it an error."""
    outcome = Outcome(outcome)
    fields = {"phase": PHASES.get(outcome, Phase.VALUE), "op": case.split("/")[1], "environment": "here"}
    if signature := f.pop("signature", None):
        fields["error"] = ErrorInfo("ValueError", f"{signature} at line 12", signature)
    return Record(case, recipe, unit, outcome, **(fields | f))


@pytest.fixture
def record():
    return make_record


def make_check(case="ops/aten.neg.default/float32/opinfo-1df5b9", recipe="fp16-ios18", unit="reference", **f):
    """The check that a record of `make_record` is of."""
    fields = {"kind": Kind.OPERATOR, "op": case.split("/")[1], "api": "", "dtype": "", "origin": ""}
    return Check.of(Subject(id=case, **(fields | f)), recipe, unit)


@pytest.fixture
def check():
    return make_check


def make_cause(slug="boom", error="boom", outcome="convert_error", **fields):
    """A described cause of records whose error says so."""
    rule = Rule(frozenset({Outcome(outcome)}), error=re.compile(error))
    return Cause(slug, f"title of {slug}", "converter", "sees", "explanation", "source.py", (rule,), **fields)


@pytest.fixture
def cause():
    return make_cause
