import dataclasses
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.evidence.division import Division, Island
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import (
    SCHEMA,
    ErrorInfo,
    Numerics,
    Record,
    natural_key,
    sort_records,
)
from harness.evidence.remedy import Remedy
from harness.evidence.usage import Usage
from harness.evidence.vocabulary import HarnessError, Kind, Outcome, Phase

FULL = Record(
    case="ops/aten.gelu.default/float32/opinfo-d30834-2",
    recipe="fp16-ios18",
    unit="cpu_and_ne",
    outcome=Outcome.WRONG_VALUE,
    phase=Phase.VALUE,
    kind=Kind.MODEL,
    op="aten.gelu.default",
    api="nn.functional.gelu",
    dtype="float32",
    origin="opinfo",
    call="nn.functional.gelu(float32[3])",
    family="vision",
    usage=Usage(("bert", "vit"), 5),
    reason="0:[1] is 3.5, expected 3",
    error=ErrorInfo("wrong_value", "0:[1] is 3.5, expected 3", "wrong_value"),
    cause="gelu-tanh",
    remedy=Remedy(outcome=Outcome.PARTIAL, skip=("aten.gelu.default",), left=1, tries=2),
    delegated={"aten.gelu.default": 2},
    fallback={"aten.asinh.default": 1},
    missing_kernels=["aten.asinh.default"],
    mil_ops={"gelu": 2, "cast": 1},
    placement={"gelu": {"preferred": "ANE", "supported": ["CPU", "ANE"]}},
    aten_placement={"aten.gelu.default": {"preferred": "ANE", "supported": ["CPU", "ANE"]}},
    stage="runtime",
    against_reference={"outcome": "pass", "max_abs": 0.5},
    numerics=Numerics("ULP", 0.25, 0.5, 0.5, 512.0, 0.5, 40.125, "0:[1]", 0.75, 0.25, 0.9),
    against_float={"sqnr_db": 31.5},
    size=2048,
    division=Division(2, (Island({"aten.asinh.default": 1}, 3),), 512, 256),
    lowering_s=0.5,
    notes=[Note(NoteCode.INPUT_CHANGED, "input x: float64 to float32")],
    timing={"lower": 0.25},
    seed=7,
    environment="linux-x86_64",
)
MINIMAL = {"schema": SCHEMA, "case": "a/b/c/d", "recipe": "fp16-ios18", "unit": "reference"} | {
    "outcome": "pass",
    "phase": "value",
    "kind": "operator",
}


def again(record):
    return Record.from_json(json.loads(record.to_line()))


def test_a_full_record_comes_back_equal():
    assert again(FULL) == FULL


def test_every_field_is_in_the_full_record():
    assert set(FULL.to_json()) == set(Record.__dataclass_fields__)


def test_empty_fields_are_left_out():
    assert Record.from_json(MINIMAL).to_json() == MINIMAL


@pytest.mark.parametrize("seed", [0, None])
def test_seed_zero_is_a_seed(seed):
    assert again(FULL.with_(seed=seed)).seed == seed


@pytest.mark.parametrize("value", [math.inf, -math.inf, 0.0, 1e-45, 3.4e38])
def test_numbers_come_back(value):
    assert again(FULL.with_(numerics=Numerics("ULP", headroom=value))).numerics.headroom == pytest.approx(value)


def test_nan_comes_back_as_strict_json():
    line = FULL.with_(numerics=Numerics("ULP", max_abs=math.nan)).to_line()
    strict = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert math.isnan(Record.from_json(strict).numerics.max_abs)


def test_six_digits_are_kept():
    assert again(FULL.with_(numerics=Numerics("ULP", worst=1 / 3))).numerics.worst == 0.333333


@given(st.text(st.characters(codec=None)))
def test_any_text_comes_back_on_one_line(text):
    """Line separators, lone surrogates and all: what an exception says is not ours to choose."""
    record = FULL.with_(reason=text or "-", error=ErrorInfo("E", text, text))
    line = record.to_line()
    assert "\n" not in line
    assert Record.from_json(json.loads(line.encode("utf-8"))) == record


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "not a record"),
        ({}, "schema None"),
        (MINIMAL | {"schema": SCHEMA + 1}, f"schema {SCHEMA + 1}"),
        (MINIMAL | {"colour": "red"}, "colour"),
        ({k: v for k, v in MINIMAL.items() if k != "phase"}, "lacks phase"),
        ({k: v for k, v in MINIMAL.items() if k != "kind"}, "lacks kind"),
        (MINIMAL | {"kind": "sort"}, "sort"),
        (MINIMAL | {"outcome": "splendid"}, "splendid"),
        (MINIMAL | {"phase": "dinner"}, "dinner"),
        (MINIMAL | {"case": 3}, "'case' is 3"),
        (MINIMAL | {"seed": "x"}, "'seed' is 'x'"),
        (MINIMAL | {"delegated": ["aten.neg.default"]}, "delegated"),
        (MINIMAL | {"notes": "many"}, "a/b/c/d"),
        (MINIMAL | {"notes": ["a note"]}, "a/b/c/d"),
        (MINIMAL | {"notes": [{"code": "still_wrong"}]}, "detail"),
        (MINIMAL | {"notes": [{"code": "gossip", "detail": "d"}]}, "gossip"),
        (MINIMAL | {"error": {"type": "E"}}, "signature"),
        (MINIMAL | {"error": {"type": "E", "message": "m", "signature": 3}}, "signature"),
        (MINIMAL | {"error": "bad"}, "a/b/c/d"),
        (MINIMAL | {"numerics": {"class": "ULP", "limit": "wide"}}, "wide"),
        (MINIMAL | {"numerics": {"class": "ULP", "width": 1}}, "width"),
        (MINIMAL | {"numerics": []}, "a/b/c/d"),
    ],
)
def test_what_is_no_record_is_refused_by_name(data, says):
    with pytest.raises(HarnessError, match=says):
        Record.from_json(data)


def test_a_record_is_of_a_check(check):
    one = check(
        "ops/a/f/opinfo-0", unit="device:Test iPhone:all", op="aten.a", api="a", dtype="f", origin="o", call="a()"
    )
    record = Record.of(one, Outcome.NOT_RUN, Phase.EAGER, seed=3)
    assert record.check_id == str(one)
    assert (record.op, record.api, record.dtype, record.origin, record.call) == ("aten.a", "a", "f", "o", "a()")
    assert (record.kind, record.seed, record.unit_spec) == (Kind.OPERATOR, 3, one.unit)


def test_numbers_in_ids_sort_by_value():
    names = ["opinfo-10", "opinfo-9", "opinfo-9a", "opinfo", "opinfo-100", "9", "10"]
    assert sorted(names, key=natural_key) == ["9", "10", "opinfo", "opinfo-9", "opinfo-9a", "opinfo-10", "opinfo-100"]


@given(st.text("ab019²٣-", max_size=6), st.text("ab019²٣-", max_size=6))
def test_any_two_ids_compare_and_only_leading_zeros_make_no_difference(one, other):
    def without_zeros(text):
        return re.sub(r"(?<![0-9])0+(?=[0-9])", "", text)

    less, more = natural_key(one) < natural_key(other), natural_key(one) > natural_key(other)
    assert less + more == (without_zeros(one) != without_zeros(other))


def test_records_sort_by_case_then_recipe_then_unit(record):
    ids = [
        ("ops/a/f/opinfo-2", "fp16-ios18", "cpu_only"),
        ("ops/a/f/opinfo-2", "fp16-ios18", "reference"),
        ("ops/a/f/opinfo-2", "fp32-ios18", "all"),
        ("ops/a/f/opinfo-10", "fp16-ios18", "all"),
    ]
    records = [record(case=c, recipe=r, unit=u) for c, r, u in ids]
    assert sort_records(reversed(records)) == records


@pytest.mark.parametrize(
    ("kind", "fields", "subject"),
    [
        (Kind.OPERATOR, {"op": "aten.gelu.default", "api": "gelu"}, "aten.gelu.default"),
        (Kind.OPERATOR, {"op": "", "api": "gelu"}, "gelu"),
        (Kind.OPERATOR, {"op": "", "api": ""}, "a/b/c"),
        (Kind.PARTITIONER, {"op": "aten.gelu.default"}, "aten.gelu.default"),
        (Kind.MODEL, {"op": "model.vit"}, "vit"),
        (Kind.STATE, {"op": "state.total"}, "state/total"),
        (Kind.MULTIFUNCTION, {"op": "multifunction.lengths"}, "multifunction/lengths"),
        (Kind.USER, {"op": "check.f"}, "check.f"),
    ],
)
def test_what_a_reader_looks_a_record_up_by(kind, fields, subject):
    assert Record("a/b/c", "fp16-ios18", "reference", Outcome.PASS, Phase.VALUE, kind, **fields).subject == subject


def test_an_error_names_its_type_once():
    assert ErrorInfo("KeyError", "x in line 1", "x").text == "KeyError: x"
    assert ErrorInfo("KeyError", "KeyError: x", "").text == "KeyError: x"


def test_what_a_failure_is_put_down_to_is_read_from_the_notes(record):
    notes = [
        Note(NoteCode.OPERATOR, "aten.gelu.default"),
        Note(NoteCode.DTYPE_CHANGED, "aten.arange.default"),
        Note(NoteCode.OPERATOR, "aten.add.Tensor"),
    ]
    found = record("convert_error", notes=notes)
    assert found.blamed == ["aten.gelu.default", "aten.add.Tensor"]
    assert found.dtype_changed == ["aten.arange.default"]
    assert found.note_codes == ["operator", "dtype_changed", "operator"]
    assert (record("pass").blamed, record("pass").dtype_changed, record("pass").note_codes) == ([], [], [])


def test_a_changed_copy_leaves_the_record_and_knows_its_fields(record):
    one = record(size=3)
    other = one.with_(size=4)
    assert (one.size, other.size) == (3, 4)
    assert other == dataclasses.replace(one, size=4)
    with pytest.raises(TypeError, match="a record has no bulk, heft"):
        one.with_(heft=4, bulk=2)
