import json

import pytest

from harness.evidence.causes import Cause, Rule
from harness.evidence.division import Division
from harness.evidence.remedy import Remedy
from harness.evidence.usage import Usage
from harness.evidence.vocabulary import ORDER, Kind, Outcome
from harness.publish.dashboard import SHORT, dashboard_data
from harness.publish.dashboard_compare import compare_runs
from harness.publish.model import build_matrix
from harness.publish.support import Category
from harness.publish.views import views_of

CAUSE = Cause(
    "tanh-dropped",
    "gelu ignores `approximate`",
    "converter",
    "a value off by 5e-4",
    "it is not read",
    "ops.py: gelu",
    (Rule(frozenset({Outcome.WRONG_VALUE})),),
    url="https://example.org/1",
    state="open",
    condition="`approximate='tanh'`",
    remedy="write the formula",
)


@pytest.fixture
def data_of(evidence):
    def build(*records, changes=None, causes=(CAUSE,)):
        matrix = build_matrix(evidence(*records))
        return dashboard_data(matrix, views_of(matrix, causes, None), causes, changes)

    return build


def column(table, key):
    given = table[key]
    return given if isinstance(given, list) else [given["values"][place] for place in given["index"]]


@pytest.fixture
def gelu(record):
    """Two calls of gelu, of which one is wrong."""
    return [
        record(headroom=4.0, call="gelu(float32[10])", mil_ops={"gelu": 1, "cast": 2}, api="nn.functional.gelu"),
        record(
            outcome="wrong_value",
            sample=1,
            headroom=0.1,
            call="gelu(float32[10], approximate='tanh')",
            cause="tanh-dropped",
            reason="got 3, expected 4",
            mil_ops={"gelu": 1},
            api="nn.functional.gelu",
            remedy=Remedy(Outcome.FALLBACK, skip=("aten.gelu.default",), tries=2, left=1),
        ),
    ]


def test_checks_by_column(data_of, gelu):
    checks = data_of(*gelu)["checks"]
    assert column(checks, "outcome") == ["pass", "wrong_value"]
    assert column(checks, "wrong") == ["", "got 3, expected 4"]
    assert column(checks, "mil") == ["cast 2, gelu", "gelu"]
    assert column(checks, "headroom") == [4.0, 0.1]
    assert column(checks, "limit") == [1e-3, 1e-3]
    assert column(checks, "remedy")[1].startswith("leave `aten.gelu.default` to ExecuTorch")


def test_an_operator_has_its_names_conditions_and_causes(data_of, gelu):
    (one,) = data_of(*gelu)["operators"]
    assert (one["name"], one["apis"], one["mil"]) == ("aten.gelu.default", ["nn.functional.gelu"], ["cast", "gelu"])
    assert one["silent"]
    assert (one["works"], one["tried"]) == (1, 2)
    (condition,) = one["conditions"]
    assert condition["fate"] == "silently wrong"
    assert "approximate" in condition["clause"]
    assert condition["calls"] == ["gelu(float32[10], approximate='tanh')"]
    assert condition["check"] == gelu[1].check_id
    assert one["causes"] == ["tanh-dropped"]


def test_a_program_that_works_stands_with_the_operators_in_it(data_of, record):
    model = record(
        kind=Kind.MODEL, case="models/vit/float32", op="model.vit", api="", delegated={"aten.gelu.default": 2}
    )
    toy = model.with_(kind=Kind.SHAPES, case="shapes/mlp/float32", op="shapes.mlp")
    (one,) = data_of(record(), model, toy)["operators"]
    assert one["programs"] == [1, 2]
    assert (one["models"], one["models_work"]) == (1, 1)


def test_a_model_is_a_program_with_its_share(data_of, record):
    model = record(
        outcome="partial", kind=Kind.MODEL, case="models/vit/float32", op="model.vit", api="",
        delegated={"aten.a.default": 3}, fallback={"aten.b.default": 1}, size=1200,
    )  # fmt: skip
    model = model.with_(family="vision", division=Division(2, (), flops=400, delegated_flops=300))
    checks = data_of(model)["checks"]
    assert (column(checks, "program"), column(checks, "subject")) == (["model"], ["vit"])
    assert (column(checks, "percent"), column(checks, "size")) == ([75], [1200])
    assert [column(checks, key) for key in ("family", "delegates", "islands", "flops")] == [["vision"], [2], [0], [75]]


def test_a_call_taken_from_models_says_which(data_of, record):
    taken = record(origin="extracted", usage=Usage(calls=7, models=("bert", "vit")))
    data = data_of(taken)
    assert [column(data["checks"], key) for key in ("models", "calls")] == [["bert, vit"], [7]]
    assert data["operators"][0]["models"] == 1


def test_a_finding_says_what_was_reported(data_of, gelu):
    (one,) = data_of(*gelu)["causes"]
    assert (one["slug"], one["url"], one["state"]) == ("tanh-dropped", "https://example.org/1", "open")
    assert one["outcomes"] == {"wrong_value": 1}
    assert one["operators"] == ["aten.gelu.default"]
    assert one["heading"] == "Silently wrong"


def test_a_cause_that_no_check_shows_says_so(data_of, record):
    (one,) = data_of(record())["causes"]
    assert (one["heading"], one["checks"], one["example"]) == ("Seen by no check", 0, "")


def test_units_of_core_ml_are_there_unmeasured(data_of, record):
    units = {one["name"]: one for one in data_of(record())["units"]}
    assert units["reference"]["judged"] == 1
    assert units["cpu_and_ne"]["hardware"]
    assert units["cpu_and_ne"]["judged"] == 0


def test_outcomes_come_best_first_and_say_whether_they_are_silent(data_of, record):
    outcomes = data_of(record())["outcomes"]
    assert [one["name"] for one in outcomes] == [str(outcome) for outcome in ORDER]
    silent = {one["name"] for one in outcomes if one["silent"]}
    assert silent == {"wrong_value", "wrong_shape", "wrong_dtype", "not_refused", "out_of_range", "non_deterministic"}


def test_two_environments_are_both_there(data_of, record, environments):
    data = data_of(record(), record(outcome="wrong_value", environment=environments["mac"], unit="cpu_only"))
    assert column(data["checks"], "environment") == [environments["linux"], environments["mac"]]
    assert [one["id"] for one in data["environments"]] == sorted([environments["linux"], environments["mac"]])


def test_a_simulated_host_fills_nothing(data_of, record, environments):
    data = data_of(record(), record(sample=1, environment=environments["simulated"], unit="cpu_only"))
    assert column(data["checks"], "unit") == ["reference"]
    assert data["ignored"] == 1


def test_headroom_is_told_of_each_operator(data_of, gelu):
    headroom = data_of(*gelu)["headroom"]
    assert column(headroom, "smallest") == [0.1]
    assert column(headroom, "flag") == ["outside"]


def test_what_changed_has_both_sides(data_of, evidence, record):
    before, after = record(headroom=4.0), record(outcome="wrong_value", headroom=0.5, reason="got 3, expected 4")
    changes = data_of(after, changes=compare_runs(evidence(before), evidence(after)))["changes"]
    assert changes["counts"] == {"worse": 1}
    rows = changes["rows"]
    assert [column(rows, key) for key in ("before", "after", "wrong_after")] == [
        ["pass"],
        ["wrong_value"],
        ["got 3, expected 4"],
    ]
    assert [column(rows, key) for key in ("headroom_before", "headroom_after")] == [[4.0], [0.5]]


def test_one_run_has_no_changes(data_of, record):
    assert data_of(record())["changes"] is None


def test_paths_of_a_machine_do_not_get_through(data_of, record):
    told = record(outcome="convert_error", signature="cannot open /opt/lib/python/foo.py")
    assert "/opt" not in json.dumps(data_of(told))


def test_all_of_it_is_json(data_of, records):
    json.dumps(data_of(*records), allow_nan=False)


def test_every_category_has_a_short_name():
    assert set(SHORT) == set(Category)
