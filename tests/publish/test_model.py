import pytest

from harness.evidence.files import Evidence
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import Numerics
from harness.evidence.vocabulary import (
    HARDWARE_UNITS,
    OUTCOME_MEANINGS,
    SEVERITY,
    UNJUDGED,
    HarnessError,
    Kind,
    Outcome,
)
from harness.publish.model import Column, Place, build_matrix, worst

GELU, ADD, ASINH = "aten.gelu.default", "aten.add.Tensor", "aten.asinh.default"


def only_cell(matrix, name):
    (row,) = [row for row in matrix.operators if row.name == name]
    (cell,) = row.cells.values()
    return cell


def test_every_outcome_is_ordered_or_unjudged():
    assert set(SEVERITY) | UNJUDGED == set(OUTCOME_MEANINGS)


def test_a_cell_counts_and_takes_the_worst(record, evidence):
    records = [record(sample=n) for n in range(40)] + [record(outcome="wrong_value", sample=40)]
    cell = only_cell(build_matrix(evidence(*records)), GELU)
    assert (cell.judged, cell.passed, cell.status) == (41, 40, Outcome.WRONG_VALUE)
    assert cell.text == "pass 40/41, wrong_value 1"


def test_all_passed(record, evidence):
    assert only_cell(build_matrix(evidence(record(), record(sample=1))), GELU).text == "pass 2"


@pytest.mark.parametrize("outcome", sorted(UNJUDGED))
def test_unjudged_is_not_measured(record, evidence, outcome):
    matrix = build_matrix(evidence(record(outcome=outcome)))
    cell = only_cell(matrix, GELU)
    assert (cell.status, cell.text, cell.judged) == (None, "not measured", 0)
    assert matrix.columns == []


def test_unjudged_does_not_hide_or_make_a_pass(record, evidence):
    cell = only_cell(build_matrix(evidence(record(), record(outcome="not_run", sample=1))), GELU)
    assert cell.text == "pass 1"


def test_worst_follows_severity():
    assert worst([Outcome.PASS, Outcome.CONVERT_ERROR, Outcome.FALLBACK]) is Outcome.CONVERT_ERROR
    assert worst([Outcome.CRASH, Outcome.WRONG_VALUE]) is Outcome.WRONG_VALUE
    assert worst([Outcome.NOT_RUN]) is None


# What a record is evidence for.


def test_a_failure_nobody_can_be_blamed_for_stays_with_the_api(record, evidence):
    failed = record("aten.square.default", "wrong_value", delegated={ADD: 1, GELU: 1}, api="square")
    (row,) = build_matrix(evidence(failed)).apis
    assert (row.name, row.status) == ("square", Outcome.WRONG_VALUE)


def test_a_failure_before_the_graph_is_known_goes_under_the_name_in_graphs(record, evidence):
    known = record("aten.permute.default", delegated={"aten.permute_copy.default": 1})
    failed = record("aten.permute.default", "convert_error", sample=1)
    cell = only_cell(build_matrix(evidence(known, failed)), "aten.permute_copy.default")
    assert cell.text == "pass 1/2, convert_error 1"


def test_a_function_standing_in_for_an_operator_is_none(record, evidence):
    matrix = build_matrix(evidence(record("torch.conj", "convert_error", api="conj")))
    assert matrix.operators == []
    assert [row.name for row in matrix.apis] == ["conj"]


def test_user_files_and_failing_models_are_no_evidence_for_operators(record, evidence):
    failing = record(kind=Kind.MODEL, op="model.vit", case="models/vit/float32", outcome="wrong_value")
    matrix = build_matrix(evidence(failing, record(kind=Kind.USER, op="check.f", case="check/mine/f")))
    assert matrix.operators == []
    assert [row.name for row in matrix.programs] == ["vit"]


@pytest.mark.parametrize("outcome", ["pass", "convert_error"])
def test_a_program_of_several_methods_is_shown_under_its_own_name(record, evidence, outcome):
    lengths = record(
        kind=Kind.MULTIFUNCTION,
        op="multifunction.lengths",
        case="multifunction/lengths/float32/prompt",
        outcome=outcome,
        delegated={GELU: 1} if outcome == "pass" else {},
    )
    matrix = build_matrix(evidence(lengths))
    assert [row.name for row in matrix.programs] == ["multifunction/lengths"]
    assert [row.name for row in matrix.operators] == ([GELU] if outcome == "pass" else [])
    assert matrix.apis == []


def test_the_kind_decides_and_not_the_id(record, evidence):
    matrix = build_matrix(evidence(record(case="models/like/float32")))
    assert ([row.name for row in matrix.operators], matrix.programs) == ([GELU], [])


def test_trials_of_the_partitioner_stand_apart(record, evidence, environments):
    trial = record(kind=Kind.PARTITIONER)
    simulated = record(kind=Kind.PARTITIONER, sample=1, environment=environments["simulated"])
    user = record(kind=Kind.USER, sample=2)
    matrix = build_matrix(evidence(trial, simulated, user))
    assert (matrix.partitioner, matrix.records, matrix.shown) == ([trial], [user], [trial, user])
    assert (matrix.operators, matrix.ignored) == ([], 0)


def test_checks_stand_side_by_side_where_they_were_judged(record, evidence, environments):
    reference, mac = record(), record(unit="cpu_only", environment=environments["mac"])
    last = record(sample=10)
    matrix = build_matrix(evidence(last, mac, record(outcome="not_run", sample=2), reference))
    assert list(matrix.checks) == [(reference.case, "fp16-ios18"), (last.case, "fp16-ios18")]
    assert matrix.checks[reference.case, "fp16-ios18"] == {
        Place("reference", environments["linux"]): reference,
        Place("cpu_only", environments["mac"]): mac,
    }


def test_a_model_that_works_is_evidence_for_its_operators_and_for_no_function(record, evidence):
    matrix = build_matrix(
        evidence(
            record(kind=Kind.MODEL, op="model.vit", case="models/vit/float32", delegated={"aten.gelu.default": 12})
        )
    )
    (row,) = matrix.operators
    assert (row.name, [cell.text for cell in row.cells.values()]) == ("aten.gelu.default", ["pass 1"])
    assert matrix.apis == []


MODULE = {"kind": Kind.MODULE, "op": "torch.nn.Net", "api": "torch.nn.Net", "case": "modules/torch.nn.Net/float32/4"}


def test_a_module_that_works_is_evidence_for_its_operators_and_is_no_row_itself(record, evidence):
    matrix = build_matrix(evidence(record(**MODULE, delegated={ADD: 1, GELU: 12})))
    assert {row.name: [cell.text for cell in row.cells.values()] for row in matrix.operators} == {
        ADD: ["pass 1"],
        GELU: ["pass 1"],
    }
    assert (matrix.apis, matrix.programs) == ([], [])


@pytest.mark.parametrize(
    ("outcome", "delegated", "blamed", "rows"),
    [
        ("wrong_value", {GELU: 1}, [], [GELU]),
        ("wrong_value", {ADD: 1, GELU: 1}, [], []),
        ("wrong_value", {ADD: 1, GELU: 1}, [GELU], [GELU]),
        ("wrong_value", {ADD: 1, GELU: 1}, [ADD, GELU], []),
        ("convert_error", {}, [GELU], [GELU]),
        ("convert_error", {}, [ADD, GELU], []),
        ("convert_error", {}, [], []),
    ],
)
def test_a_module_that_fails_is_evidence_for_the_only_suspect(record, evidence, outcome, delegated, blamed, rows):
    notes = [Note(NoteCode.OPERATOR, name) for name in blamed]
    matrix = build_matrix(evidence(record(**MODULE, outcome=outcome, delegated=delegated, notes=notes)))
    assert [row.name for row in matrix.operators] == rows
    assert {cell.text for row in matrix.operators for cell in row.cells.values()} <= {f"{outcome} 1"}
    assert matrix.apis == []


def test_a_program_of_empty_outputs_is_evidence_for_no_operator(record, evidence):
    empty = record(numerics=Numerics("EXACT"))
    assert build_matrix(evidence(empty)).operators == []
    (row,) = build_matrix(evidence(record(numerics=Numerics("EXACT", limit=0.0, worst=0.0, max_abs=0.0)))).operators
    assert [cell.text for cell in row.cells.values()] == ["pass 1"]


# Environments and units.


def test_environments_are_not_mixed_in_a_cell(record, evidence, environments):
    matrix = build_matrix(evidence(record(), record(outcome="wrong_value", environment=environments["mac"])))
    (row,) = matrix.operators
    assert [cell.text for cell in row.cells.values()] == ["pass 1", "wrong_value 1"]
    assert len(matrix.columns) == 2


@pytest.mark.parametrize("unit", HARDWARE_UNITS)
@pytest.mark.parametrize("where", ["linux", "simulated"])
def test_only_a_mac_fills_a_hardware_column(record, evidence, environments, unit, where):
    matrix = build_matrix(evidence(record(unit=str(unit), environment=environments[where]), record()))
    assert [column.unit for column in matrix.columns] == ["reference"]
    assert matrix.ignored == 1
    assert unit in matrix.unmeasured_units


def test_a_mac_fills_it(record, evidence, environments):
    matrix = build_matrix(evidence(record(unit="cpu_only", environment=environments["mac"])))
    assert matrix.columns == [Column("fp16-ios18", "cpu_only", environments["mac"])]
    assert "cpu_only" not in matrix.unmeasured_units


def test_an_environment_nobody_describes_is_refused(record):
    with pytest.raises(HarnessError, match=r"opinfo-0@fp16-ios18@reference names environment '.*', described nowhere"):
        build_matrix(Evidence({}, [record()]))


# ANE. What a tally says is in test_ane.py.


def on(*supported, preferred=None):
    return {"preferred": preferred or supported[0], "supported": list(supported)}


def ane_of(matrix, name):
    return only_cell(matrix, name).ane.text


def test_a_pass_with_the_ane_requested_is_not_a_pass_on_it(record, evidence, environments):
    fields = {"unit": "cpu_and_ne", "environment": environments["mac"]}
    matrix = build_matrix(evidence(record(**fields)))
    assert (only_cell(matrix, GELU).text, ane_of(matrix, GELU)) == ("pass 1", "unknown")
    known = [
        record(sample=1, aten_placement={GELU: on("ane")}, **fields),
        record(sample=2, aten_placement={GELU: on("cpu")}, **fields),
    ]
    assert (
        ane_of(build_matrix(evidence(record(**fields), *known)), GELU)
        == "supported 1/2, not placed 1, unknown 1 (ordinary cases)"
    )


def test_the_operators_own_entry_decides_and_not_its_program_s(record, evidence, environments):
    fields = {"unit": "cpu_and_ne", "environment": environments["mac"], "delegated": {GELU: 1, ADD: 1}}
    mixed = record(aten_placement={GELU: on("ane"), ADD: on("cpu")}, placement={"cast": on("cpu")}, **fields)
    matrix = build_matrix(evidence(mixed))
    assert ane_of(matrix, GELU) == "supported 1 (ordinary cases)"
    assert ane_of(matrix, ADD) == "supported 0/1, not placed 1 (ordinary cases)"
    (api,) = matrix.apis
    assert [cell.ane.text for cell in api.cells.values()] == ["supported 0/1, not placed 1 (ordinary cases)"]


def test_cases_that_attract_the_ane_decide_for_the_operator_they_are_made_for(record, evidence, environments):
    fields = {"unit": "cpu_and_ne", "environment": environments["mac"]}
    ordinary = record(aten_placement={GELU: on("cpu")}, **fields)
    attracting = record(
        case=f"ops/{GELU}/float32/ane",
        origin="ane",
        delegated={ADD: 1, GELU: 1},
        aten_placement={GELU: on("cpu", "ane", preferred="ane"), ADD: on("ane")},
        headroom=2.0,
        **fields,
    )
    matrix = build_matrix(evidence(ordinary, attracting))
    assert ane_of(matrix, GELU) == "supported 1"
    assert ane_of(matrix, ADD) == "supported 1 (ordinary cases)"
    assert only_cell(matrix, GELU).closest is None  # the bound is that of the layers around it


def test_what_the_operator_was_taken_apart_into_is_attracted_too_and_the_layers_are_not(record, evidence, environments):
    conv, norm = "aten.conv2d.default", "aten._native_batch_norm_legit_no_training.default"
    matrix = build_matrix(
        evidence(
            record(
                "aten.batch_norm.default",
                origin="ane",
                unit="cpu_and_ne",
                environment=environments["mac"],
                delegated={conv: 1, norm: 1},
                aten_placement={conv: on("ane"), norm: on("ane")},
            )
        )
    )
    assert (ane_of(matrix, norm), ane_of(matrix, conv)) == ("supported 1", "supported 1 (ordinary cases)")


@pytest.mark.parametrize(
    ("unit", "outcome"), [("cpu_only", "pass"), ("cpu_and_ne", "wrong_value"), ("cpu_and_ne", "fallback")]
)
def test_ane_counts_only_delegated_right_results_that_asked_for_it(record, evidence, environments, unit, outcome):
    fields = {"unit": unit, "environment": environments["mac"], "aten_placement": {GELU: on("ane")}}
    matrix = build_matrix(evidence(record(outcome=outcome, **fields)))
    assert ane_of(matrix, GELU) == ""
    assert not matrix.asks_for_ane


@pytest.mark.parametrize("outcome", ["pass", "not_run"])
def test_a_machine_without_ane_claims_nothing(record, evidence, environments, outcome):
    fields = {"unit": "all", "environment": environments["mac"], "aten_placement": {GELU: on("ane")}}
    found = evidence(record(outcome=outcome, **fields))
    found.environments[environments["mac"]] = {"os": "macos 15.2", "devices": ["cpu", "gpu"]}
    matrix = build_matrix(found)
    assert ane_of(matrix, GELU) == "no ANE"
    assert matrix.asks_for_ane


def test_the_ane_is_told_by_environment(record, evidence, environments):
    fields = {"environment": environments["mac"], "aten_placement": {GELU: on("ane")}}
    records = [record(unit=unit, **fields) for unit in ("cpu_and_ne", "all", "cpu_only")]
    (row,) = build_matrix(evidence(*records, record())).operators
    assert {name: ane.text for name, ane in row.ane().items()} == {environments["mac"]: "supported 2 (ordinary cases)"}


# Bounds and programs.


def test_the_record_closest_to_its_bound_is_kept(record, evidence):
    (row,) = build_matrix(evidence(record(headroom=8.0), record(sample=1, headroom=2.0), record(sample=2))).operators
    assert row.closest.numerics.headroom == 2.0
    assert row.dtypes == {"float32"}


def test_the_bound_of_another_operator_is_not_shown(record, evidence):
    softmax = record("aten.softmax.int", delegated={GELU: 1, ADD: 1}, headroom=1.5)
    (row,) = [row for row in build_matrix(evidence(softmax, record(headroom=4.0))).operators if row.name == GELU]
    assert row.closest.numerics.headroom == 4.0
    assert only_cell(build_matrix(evidence(softmax)), GELU).closest is None


def test_model_share_of_nodes(record, evidence):
    counts = {"delegated": {ADD: 3}, "fallback": {ASINH: 1, "operator.getitem": 4}}
    (row,) = build_matrix(
        evidence(record(kind=Kind.MODEL, op="model.vit", case="models/vit/float32", outcome="partial", **counts))
    ).programs
    assert (row.delegated, row.nodes, row.percent) == (3, 4, 75.0)
    (row,) = build_matrix(
        evidence(record(kind=Kind.MODEL, op="model.vit", case="models/vit/float32", outcome="convert_error"))
    ).programs
    assert row.percent is None


def test_a_case_that_calls_its_operator_by_name_is_of_no_public_function(record, evidence):
    matrix = build_matrix(evidence(record(api=GELU)))
    assert matrix.apis == []
    assert [(row.name, row.related) for row in matrix.operators] == [(GELU, set())]


def test_dtypes_are_those_judged(record, evidence):
    (row,) = build_matrix(evidence(record(), record(outcome="invalid_case", sample=1, dtype="complex64"))).operators
    assert row.dtypes == {"float32"}
