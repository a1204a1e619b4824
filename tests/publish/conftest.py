"""Synthetic records: each test says only what matters to it."""

import pytest

from harness.evidence.files import Evidence
from harness.evidence.record import ErrorInfo, Numerics, Record
from harness.evidence.vocabulary import BEFORE_RUNNING, Kind, Outcome, Phase
from harness.publish.model import build_matrix
from harness.publish.pages import build_pages

LINUX = "linux-x86_64-executorch1.5.1-coremltools9.0-torch2.13.0"
MAC = "macos15.2-arm64-executorch1.5.1-coremltools9.0-torch2.13.0"
VERSIONS = {"executorch": "1.5.1", "coremltools": "9.0", "torch": "2.13.0"}
ENVIRONMENTS = {
    LINUX: {
        "os": "linux 6.1.0-13",
        "machine": "x86_64",
        "chip": "some CPU",
        "date": "2026-01-02",
        "versions": VERSIONS,
    },
    MAC: {
        "os": "macos 15.2",
        "machine": "arm64",
        "chip": "Apple M4",
        "date": "2026-01-03",
        "versions": VERSIONS,
        "devices": ["CPU", "GPU", "ANE"],
    },
    f"{MAC}-simulated": {"os": "macos 15.2", "date": "2026-01-04", "versions": VERSIONS, "simulated": True},
}
PHASES = {
    Outcome.CONVERT_ERROR: Phase.CONVERT,
    Outcome.UNSUPPORTED: Phase.EDGE,
    Outcome.INVALID_CASE: Phase.EAGER,
    Outcome.RUN_ERROR: Phase.RUN,
    Outcome.NOT_RUN: Phase.LOAD,
}


def make_record(op="aten.gelu.default", outcome=Outcome.PASS, sample=0, *, signature="", headroom=None, **fields):
    """A record as a run would write it: delegated when it passes, an error with `signature` when one is given."""
    outcome = Outcome(outcome)
    phase = fields.pop("phase", PHASES.get(outcome, Phase.VALUE))
    values = {
        "case": f"ops/{op}/float32/opinfo-{sample}",
        "recipe": "fp16-ios18",
        "unit": "reference",
        "op": op,
        "api": op.split(".")[1],
        "dtype": "float32",
        "origin": "opinfo",
        "environment": LINUX,
    }
    if phase not in BEFORE_RUNNING and outcome is not Outcome.NOT_RUN:
        values["fallback" if outcome is Outcome.FALLBACK else "delegated"] = {op: 1}
    if signature:
        values["error"] = ErrorInfo("ValueError", f"{signature} in line 12", signature)
    if headroom is not None:
        values["numerics"] = Numerics(
            "ULP", limit=1e-3, worst=1e-3 / headroom, headroom=headroom, max_ulp=1.0, at="0:[1]"
        )
    return Record(**{**values, "outcome": outcome, "phase": phase, **fields})


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def environments():
    return {"linux": LINUX, "mac": MAC, "simulated": f"{MAC}-simulated"}


@pytest.fixture
def evidence():
    """Evidence of some records, with the blocks of the environments they name."""

    def build(*records):
        used = {record.environment for record in records}
        return Evidence({name: block for name, block in ENVIRONMENTS.items() if name in used}, list(records))

    return build


@pytest.fixture
def records(record):
    """One of each thing that a page shows."""
    model = {
        "kind": Kind.MODEL,
        "case": "models/vit/float32",
        "op": "model.vit",
        "api": "",
        "delegated": {"aten.a.default": 3},
        "fallback": {"aten.b.default": 1},
    }
    return [
        record("aten.a.default", headroom=2.0),
        record("aten.a.default", "wrong_value", 1, headroom=0.1, reason="output 0 at [1]: got 3, expected 4"),
        record("aten.b.default", "convert_error", signature="cannot | open /opt/lib/python/foo.py"),
        record("aten.c.default", "fallback", missing_kernels=["aten::c.out"]),
        record("aten.d.default", "not_run", reason="no kernel for MIL op x"),
        record("aten.e.default", timing={"lower": 12.5}),
        record(outcome="partial", numerics=Numerics("SQNR", sqnr_db=61.5, max_abs=0.01)).with_(**model),
    ]


@pytest.fixture
def pages(records, evidence):
    return build_pages(build_matrix(evidence(*records)), ["evidence/x.jsonl"])
