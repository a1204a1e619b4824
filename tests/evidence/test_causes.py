import tomllib
from pathlib import Path

import pytest
import yaml

from harness.evidence.causes import Causes, Script, error_line, read_causes
from harness.evidence.notes import Note, NoteCode
from harness.evidence.record import ErrorInfo
from harness.evidence.vocabulary import HarnessError, Kind, Phase

PACKAGED = [cause.cause for cause in read_causes()]
GELU = {
    "cause": "gelu-of-a-project",
    "title": "gelu ignores approximate",
    "stage": "converter",
    "sees": "The exact gelu comes out.",
    "explanation": "It is a keyword argument.",
    "source": "coremltools/ops.py gelu",
    "script": "own",
    "matches": [{"outcome": "wrong_value", "op": "aten.gelu.*"}],
}


def write(directory, *entries, name="topic"):
    path = directory / "causes" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(list(entries)))
    return directory


def cause(slug="gelu-of-a-project", *rules, **changes):
    return GELU | {"cause": slug} | ({"matches": list(rules)} if rules else {}) | changes


@pytest.fixture
def causes(tmp_path):
    return lambda *entries: Causes(own(write(tmp_path, *entries)), {"coremltools": "9.0", "os": "linux"})


def own(directory):
    """The causes beside the known issues of a directory: they stand before those of the package."""
    causes = read_causes(directory)
    assert [c.cause for c in causes[-len(PACKAGED) :]] == PACKAGED
    return causes[: -len(PACKAGED)]


def slug_of(causes, record):
    found = causes.cause_of(record)
    return found.cause if found else None


# Which records a rule fits.

RECORD = {
    "case": "ops/aten.gelu.default/float32/opinfo-d30834",
    "op": "aten.gelu.default",
    "api": "nn.functional.gelu",
    "dtype": "float32",
    "recipe": "fp32-ios18",
    "phase": Phase.VALUE,
    "reason": "output 0[3]: got 1, expected 2",
    "error": ErrorInfo("ValueError", "gelu took 2 inputs\nand more", "s"),
    "delegated": {"aten.gelu.default": 1},
    "fallback": {"aten.sort.default": 1, "aten.abs.default": 2},
    "mil_ops": {"gelu": 1, "cast": 2},
    "notes": [
        Note(NoteCode.LOAD_RULE, "no-outputs"),
        Note(NoteCode.TRUTH, "state-data-type"),
        Note(NoteCode.DTYPE_CHANGED, "aten.arange.default"),
    ],
}


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        ({"op": "aten.gelu.*"}, True),
        ({"op": "aten.gelu.default"}, True),
        ({"op": "aten.gelu"}, False),
        ({"op": ["aten.relu.*", "aten.gelu.*"]}, True),
        ({"op": ["aten.relu.*", "aten.ge"]}, False),
        ({"api": "nn.*.gelu"}, True),
        ({"api": "gelu"}, False),
        ({"case": "ops/*/opinfo-d30834"}, True),
        ({"case": "ops/*/opinfo-b334d0"}, False),
        ({"op": "aten.gelu.*", "recipe": "fp32-*"}, True),
        ({"op": "aten.gelu.*", "recipe": "fp16-*"}, False),
        ({"op": "aten.gelu.*", "dtype": "float32"}, True),
        ({"op": "aten.gelu.*", "dtype": "float16"}, False),
        ({"op": "aten.gelu.*", "phase": "value"}, True),
        ({"op": "aten.gelu.*", "phase": "shape"}, False),
        ({"error": "^ValueError: gelu took"}, True),
        ({"error": "took 2 inputs$"}, False),
        ({"error": r"inputs\nand more$"}, True),
        ({"error": "KeyError"}, False),
        ({"reason": r"got \d, expected"}, True),
        ({"reason": "nan"}, False),
        ({"fallback": "aten.abs.*"}, True),
        ({"fallback": "aten.gelu.*"}, False),
        ({"delegated": "aten.gelu.*"}, True),
        ({"delegated": "aten.abs.*"}, False),
        ({"mil": "cast"}, True),
        ({"mil": "erf"}, False),
        ({"load_rule": "no-outputs"}, True),
        ({"load_rule": "no-*"}, True),
        ({"load_rule": "state-data-type"}, False),
        ({"dtype_changed": "aten.arange.*"}, True),
        ({"dtype_changed": "aten.gelu.*"}, False),
        ({"note": "load_rule"}, True),
        ({"note": ["operator", "truth"]}, True),
        ({"note": "operator"}, False),
        ({"outcome": ["wrong_shape", "wrong_value"], "op": "aten.gelu.*"}, True),
        ({"outcome": "wrong_shape", "op": "aten.gelu.*"}, False),
        ({"op": "aten.gelu.*", "mil": "gelu", "error": "took", "fallback": "*sort*", "reason": "got 1"}, True),
        ({"op": "aten.gelu.*", "mil": "gelu", "error": "took", "fallback": "*sort*", "reason": "got 2"}, False),
    ],
)
def test_a_rule_fits_when_all_its_keys_do(causes, record, keys, fits):
    found = causes(cause("a", {"outcome": "wrong_value"} | keys)).cause_of(record("wrong_value", **RECORD))
    assert (found is not None) is fits


def test_a_cause_explains_what_one_of_its_rules_fits(causes, record):
    some = causes(cause("a", {"outcome": "crash", "op": "aten.neg.*"}, {"outcome": "timeout", "op": "aten.neg.*"}))
    assert [slug_of(some, record(o)) for o in ("crash", "timeout", "wrong_value", "pass")] == ["a", "a", None, None]


@pytest.mark.parametrize(
    ("stage", "of_the_program", "of_the_runtime"),
    [
        *((stage, True, False) for stage in ("partitioner", "decomposition", "converter", "mil_pass", "precision")),
        ("runtime", False, True),
        ("limitation", True, True),
    ],
)
def test_no_lowering_explains_the_runtime_and_the_runtime_nothing_else(
    causes, record, stage, of_the_program, of_the_runtime
):
    here = causes(cause("a-cause", stage=stage))
    for found, explained in (("", of_the_program), ("lowering", of_the_program), ("precision", of_the_program)):
        assert bool(here.cause_of(record("wrong_value", **RECORD, stage=found))) is explained
    assert bool(here.cause_of(record("wrong_value", **RECORD, unit="cpu_only", stage="runtime"))) is of_the_runtime


def test_the_first_cause_counts_files_by_name_then_order(tmp_path, record):
    wide, narrow = {"outcome": "crash", "op": "aten.*"}, {"outcome": "crash", "op": "aten.neg.*"}
    write(tmp_path, cause("late", narrow), name="b")
    write(tmp_path, cause("narrow", narrow), cause("wide", wide), name="a")
    causes = Causes(own(tmp_path), {})
    assert [c.cause for c in causes.all] == ["narrow", "wide", "late"]
    assert slug_of(causes, record("crash")) == "narrow"
    assert slug_of(causes, record("crash", case="ops/aten.abs.default/float32/opinfo-16610e")) == "wide"


@pytest.mark.parametrize(("when", "expected"), [({"coremltools": "<9.1"}, "a"), ({"coremltools": ">9"}, "b")])
def test_a_cause_of_another_version_explains_nothing(causes, record, when, expected):
    rule = {"outcome": "crash", "op": "aten.neg.*"}
    assert slug_of(causes(cause("a", rule, when=when), cause("b", rule)), record("crash")) == expected


def test_a_record_without_an_error_fits_no_error(causes, record):
    some = causes(cause("a", {"outcome": "crash", "error": "^ValueError"}))
    assert error_line(record("crash")) == ""
    assert slug_of(some, record("crash")) is None
    assert slug_of(some, record("crash", signature="boom")) == "a"


def test_naming_replaces_what_a_record_said(causes, record):
    some = causes(cause("a", {"outcome": "crash", "op": "aten.neg.*"}))
    assert some.name(record("crash", cause="old")).cause == "a"
    assert some.name(record("pass", cause="old")).cause is None


# Reading.


def test_a_cause_is_read_with_its_texts_on_one_line(tmp_path):
    (read,) = own(write(tmp_path, cause(explanation="one\n  two\n", url="https://example.org/1")))
    assert (read.cause, read.stage, read.script, read.url) == (
        GELU["cause"],
        "converter",
        "own",
        "https://example.org/1",
    )
    assert read.explanation == "one two"


def test_what_helps_a_user_is_read(tmp_path):
    given = {"condition": "alpha other\n than 1", "scope": "general", "remedy": "Write\n it out.", "state": "merged"}
    (read,) = own(write(tmp_path, cause(url="https://example.org/1", rewrite="float_inputs", **given)))
    assert (read.condition, read.scope, read.remedy) == ("alpha other than 1", "general", "Write it out.")
    assert (read.rewrite, read.state) == (("float_inputs",), "merged")
    assert read.upstream == "https://example.org/1 (merged)"


def test_a_project_may_leave_out_what_helps_a_user(tmp_path):
    (read,) = own(write(tmp_path, cause()))
    assert (read.condition, read.scope, read.remedy, read.rewrite, read.upstream) == ("", "operator", "", (), "")


def test_operators_are_those_of_the_rules_unless_they_are_given(tmp_path):
    rules = [RULE | {"op": "aten.a.*"}, RULE | {"op": ["aten.b.*", "aten.a.*"]}]
    (read,) = own(write(tmp_path, cause(matches=rules)))
    assert read.operators == ("aten.a.*", "aten.b.*")
    (read,) = own(write(tmp_path, cause(matches=rules, operators="aten.c.*")))
    assert read.operators == ("aten.c.*",)


@pytest.mark.parametrize("key", ["condition", "remedy"])
def test_the_package_may_not(tmp_path, monkeypatch, key):
    monkeypatch.setattr("harness.evidence.causes.PACKAGED", tmp_path / "causes")
    told = {"condition": "always", "remedy": "Write it out."}
    assert len(read_causes(write(tmp_path / "project"))) == 0
    write(tmp_path, cause(**told))
    assert [c.cause for c in read_causes()] == [GELU["cause"]]
    write(tmp_path, cause(**{k: v for k, v in told.items() if k != key}))
    with pytest.raises(HarnessError, match=f"entry 1 .*: lacks {key}"):
        read_causes()


@pytest.mark.parametrize("state", ["open", "closed", "merged", "released in 9.1", "released in 1.5.0rc2"])
def test_states_of_a_thread(tmp_path, state):
    (read,) = own(write(tmp_path, cause(url="https://example.org/1", state=state)))
    assert read.state == state


@pytest.mark.parametrize("found", read_causes(), ids=lambda found: found.cause)
def test_every_cause_of_the_package_says_when_and_what_to_do(found):
    assert len(found.condition) <= 130
    assert not found.condition.endswith((".", ";"))
    assert found.remedy.endswith((".", "`", ")"))
    assert found.remedy.count("`") % 2 == 0
    skipped = [word for word in found.remedy.split("`")[1::2] if word.startswith("aten.")]
    if (
        "skip_ops_for_coreml_delegation" in found.remedy
        and found.cause != "skipped-operator-with-capitals-is-delegated"
    ):
        assert all(name == name.lower() for name in skipped)  # the partitioner finds no name with a capital


def test_no_directory_is_no_cause(tmp_path):
    assert own(tmp_path) == []


def without(key, **changes):
    return {k: v for k, v in cause(**changes).items() if k != key}


RULE = {"outcome": "crash", "op": "aten.neg.*"}
SCRIPT = {"module": "def forward(self, x):\n    return -x", "inputs": "(torch.ones(2),)"}


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("words", "expected a mapping"),
        (cause(colour="red"), "unknown keys colour"),
        (without("sees"), "lacks sees"),
        (without("matches"), "lacks matches"),
        (cause(seen="script"), "seen: by a script alone, so that there is one and no rule"),
        (without("matches", seen="mac"), "seen 'mac' is none of script"),
        (
            {k: v for k, v in without("matches", seen="script", stage="limitation").items() if k != "script"},
            "seen: by a",
        ),
        (without("script"), "lacks script: only a limitation needs none"),
        (cause(stage="left"), "stage 'left' is none of partitioner"),
        (cause(stage="untriaged"), "stage 'untriaged' is none of"),
        (cause(script="windows"), "script 'windows' is none of own, own-mac"),
        (cause("Gelu_Wrong"), "cause: expected lower-case words joined by hyphens"),
        (cause(script={"module": "..."}), "script: lacks inputs"),
        (cause(script=SCRIPT | {"input": "()"}), "script: unknown keys input"),
        (cause(script=SCRIPT | {"rtol": "1e-3"}), "script: rtol: unexpected '1e-3'"),
        (cause(script=SCRIPT | {"compared": "colour"}), "script: compared 'colour' is none of values, shape"),
        (cause(script=SCRIPT | {"error": "boom", "rtol": 0.1}), "script: error beside rtol, compared or precision"),
        (cause(script=SCRIPT | {"through": "partitioner"}), "script: lacks error"),
        (cause(script=SCRIPT | {"refused": "True", "error": "boom"}), "script: refused beside error, rtol or compared"),
        (cause(script=SCRIPT | {"refused": "True", "rtol": 0.1}), "script: refused beside error, rtol or compared"),
        (cause(script=SCRIPT | {"refused": "True", "through": "partitioner"}), "script: lacks error"),
        (cause(script=SCRIPT | {"error": "x", "partitioner": "a=1"}), "script: partitioner where none is called"),
        (cause(title=" "), "title: expected text"),
        (cause(sees=3), "sees: expected text, got 3"),
        (cause(url="issue 3"), "url: expected https"),
        (cause(condition="It fails."), "condition: expected a clause without a full stop"),
        (cause(condition=3), "condition: expected text, got 3"),
        (cause(scope="module"), "scope 'module' is none of operator, general"),
        (cause(remedy=""), "remedy: expected text"),
        (cause(remedy="Pad.", rewrite="magic"), "rewrite 'magic' is none of contiguous_inputs"),
        (cause(remedy="Pad.", rewrite=["float_inputs", "magic"]), "rewrite 'magic' is none of contiguous_inputs"),
        (cause(remedy="Pad.", rewrite=[]), "rewrite: expected text or a list of texts"),
        (cause(rewrite="float_inputs"), "rewrite without remedy"),
        (cause(operators=[]), "operators: expected text or a list of texts"),
        (cause(state="open"), "state without url"),
        (cause(url="https://example.org/1", state="stale"), "state 'stale' is none of open, closed, merged, released"),
        (cause(url="https://example.org/1", state="released in May"), "state 'released in May' is none of"),
        (cause(when={"coremltool": "<9"}), "'coremltool' is neither"),
        (cause(matches=[]), "matches: expected a list of rules"),
        (cause(matches=RULE), "matches: expected a list of rules"),
        (cause("a", "words"), "rule 1: expected a mapping"),
        (cause("a", RULE, {"op": "aten.neg.*"}), "rule 2: lacks outcome"),
        (cause("a", RULE | {"unit": "all"}), "rule 1: unknown keys unit"),
        (cause("a", RULE | {"outcome": "splendid"}), "rule 1: 'splendid' is not a valid Outcome"),
        (cause("a", RULE | {"outcome": ["crash", "pass"]}), "rule 1: outcome: pass has no cause"),
        (cause("a", RULE | {"outcome": []}), "rule 1: outcome: expected text or a list"),
        (cause("a", RULE | {"phase": "tea"}), "rule 1: 'tea' is not a valid Phase"),
        (cause("a", RULE | {"error": "(a"}), r"rule 1: error: '\(a' is no regular expression"),
        (cause("a", RULE | {"error": 3}), "rule 1: error: expected a regular expression"),
        (cause("a", {"outcome": "crash", "error": ".*"}), "rule 1: error: '.*' fits everything"),
        (cause("a", {"outcome": "crash", "reason": ".+"}), r"rule 1: reason: '.\+' fits everything"),
        (cause("a", {"outcome": "crash", "op": "*"}), r"rule 1: op: '\*' fits everything"),
        (cause("a", {"outcome": "crash", "op": ["aten.a", "**"]}), "rule 1: op: .* fits everything"),
        (cause("a", {"outcome": "crash"}), "rule 1: too wide: needs one of op, api, case"),
        (cause("a", {"outcome": "crash", "recipe": "fp16-*", "dtype": "int8"}), "rule 1: too wide"),
    ],
)
def test_a_malformed_cause_is_refused_by_file_and_entry(tmp_path, entry, says):
    with pytest.raises(HarnessError, match=says) as caught:
        read_causes(write(tmp_path, cause("first"), entry))
    assert "topic.yaml: entry 2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_malformed_cause_is_named(tmp_path):
    with pytest.raises(HarnessError, match=r"topic.yaml: entry 1 \(a\): lacks sees"):
        read_causes(write(tmp_path, without("sees", cause="a") | {"cause": "a"}))


def test_a_limitation_needs_no_script(tmp_path):
    (read,) = own(write(tmp_path, without("script", stage="limitation")))
    assert read.script == ""


def test_what_no_check_shows_has_a_script_and_no_rule(tmp_path, record):
    (read,) = own(write(tmp_path, without("matches", seen="script")))
    assert (read.seen, read.matches) == ("script", ())
    assert not read.explains(record("wrong_value", **RECORD))
    assert Causes([read], {}).cause_of(record("wrong_value", **RECORD)) is None


def test_a_cause_described_twice_is_refused_with_both_places(tmp_path):
    write(tmp_path, cause("a"), name="one")
    write(tmp_path, cause("b"), cause("a"), name="two")
    with pytest.raises(HarnessError, match=r"two.yaml: entry 2: cause a stands already in .*one.yaml: entry 1"):
        read_causes(tmp_path)


@pytest.mark.parametrize(("text", "says"), [("- [", "not readable as YAML"), ("cause: a", "expected a list of causes")])
def test_a_file_that_is_no_list_is_refused(tmp_path, text, says):
    write(tmp_path)
    (tmp_path / "causes" / "topic.yaml").write_text(text)
    with pytest.raises(HarnessError, match=f"topic.yaml: {says}"):
        read_causes(tmp_path)


def test_the_committed_causes_are_well_formed(pytestconfig):
    read_causes(pytestconfig.rootpath / "suites" / "known_issues")


def test_a_script_is_read_as_its_fields(tmp_path):
    (read,) = own(write(tmp_path, cause(script=SCRIPT | {"rtol": 0.5})))
    assert read.script == Script(**SCRIPT, rtol=0.5)


# Where they are.


def test_a_cause_of_the_package_is_not_described_again(tmp_path):
    with pytest.raises(HarnessError, match=f"entry 1: cause {PACKAGED[0]} stands already in .*topic.yaml"):
        read_causes(write(tmp_path, cause(PACKAGED[0])))


def test_those_of_the_package_are_read_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [c.cause for c in read_causes()] == PACKAGED
    assert [c.cause for c in read_causes(Path("suites/known_issues"))] == PACKAGED


def test_a_wheel_has_every_file_of_causes_and_every_template():
    """As `[tool.setuptools.package-data]` says, which is what a wheel is made by."""
    root = Path(__file__).resolve().parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    globs = project["tool"]["setuptools"]["package-data"]["harness"]
    shipped = {path for glob in globs for path in (root / "harness").glob(glob)}
    needed = {*(root / "harness/evidence/causes").iterdir(), root / "harness/publish/templates/finding.py.j2"}
    assert {path for path in needed if path.suffix in (".yaml", ".j2")} <= shipped


# A user's module, which is about no operator.

OPERATOR = {"outcome": "wrong_value", "op": "aten.gelu.*"}
RAISED = {"outcome": "convert_error", "op": "aten.gelu.*", "error": "took 2 inputs"}


@pytest.mark.parametrize(
    ("rule", "outcome", "delegated", "fits"),
    [
        (OPERATOR, "wrong_value", ["aten.gelu.default"], True),
        (OPERATOR, "wrong_value", ["aten.abs.default"], False),
        (OPERATOR, "wrong_value", ["aten.abs.default", "aten.gelu.default"], False),  # either may be to blame
        (OPERATOR, "wrong_value", [], False),
        (RAISED, "convert_error", ["aten.abs.default", "aten.gelu.default"], True),  # the message tells
        (RAISED, "convert_error", ["aten.abs.default"], False),
    ],
)
@pytest.mark.parametrize("kind", [Kind.USER, Kind.MODULE])
def test_a_module_is_matched_by_its_own_operators(causes, record, kind, rule, outcome, delegated, fits):
    found = record(
        outcome,
        kind=kind,
        case="check/mine/gelu",
        op="check.gelu",
        fallback={},
        delegated=dict.fromkeys(delegated, 1),
        error=ErrorInfo("ValueError", "gelu took 2 inputs", "s"),
    )
    assert (slug_of(causes(cause("a", rule)), found) == "a") is fits


BLAMED = [Note(NoteCode.OPERATOR, "aten.gelu.default")]


@pytest.mark.parametrize("kind", [Kind.USER, Kind.MODULE, Kind.MODEL, Kind.STATE])
@pytest.mark.parametrize(
    ("rule", "outcome", "notes", "fits"),
    [
        (OPERATOR, "wrong_value", BLAMED, True),
        (RAISED, "convert_error", BLAMED, True),
        (OPERATOR, "wrong_value", [Note(NoteCode.OPERATOR, "aten.abs.default")], False),
        (OPERATOR, "wrong_value", [Note(NoteCode.OPERATOR, "aten.abs.default"), *BLAMED], True),
        (RAISED, "convert_error", [Note(NoteCode.OPERATOR, "aten.abs.default")], False),
        (OPERATOR, "wrong_value", [Note(NoteCode.INPUT, "aten.gelu.default")], False),
    ],
)
def test_a_module_is_matched_by_the_operator_its_failure_is_put_down_to(
    causes, record, kind, rule, outcome, notes, fits
):
    found = record(
        outcome,
        kind=kind,
        case="check/mine/net",
        op="check.net",
        delegated={"aten.gelu.default": 1, "aten.abs.default": 1} if fits else {"aten.mul.Tensor": 1, "aten.abs.x": 1},
        error=ErrorInfo("ValueError", "gelu took 2 inputs", "s"),
        notes=notes,
    )
    assert (slug_of(causes(cause("a", rule)), found) == "a") is fits


def test_an_operators_own_case_is_matched_by_its_operator_whatever_is_blamed(causes, record):
    found = record("wrong_value", **RECORD | {"notes": [Note(NoteCode.OPERATOR, "aten.abs.default")]})
    assert slug_of(causes(cause("a", OPERATOR)), found) == "a"


@pytest.mark.parametrize("copy", ["dim_order_ops._to_dim_order_copy.default", "dim_order_ops._clone_dim_order.default"])
def test_a_copy_beside_the_only_operator_leaves_it_the_only_one(causes, record, copy):
    delegated = {"aten.gelu.default": 1, copy: 2}
    found = record("wrong_value", kind=Kind.USER, case="check/mine/gelu", op="check.gelu", delegated=delegated)
    assert slug_of(causes(cause("a", OPERATOR)), found) == "a"
