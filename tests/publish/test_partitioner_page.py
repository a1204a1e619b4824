import pytest

from harness.evidence.partitioner_rules import SUITE, PartitionerRule, Trial
from harness.evidence.universe import LEFT_OUT, Operator, Universe
from harness.evidence.vocabulary import Kind
from harness.publish.model import build_matrix
from harness.publish.pages import build_pages
from harness.publish.partitioner_page import (
    ACTS,
    IDLE,
    IN_PART,
    NEEDED,
    NO_EFFECT,
    NOT_NEEDED,
    PAGE,
    UNSEEN,
    acts,
    verdict,
)

OP = "aten.argmax.default"
RULE = PartitionerRule("rejects-argmax", "rejects", OP, "rejected", 155, ("torch.argmax(x)", "torch.argmax(v)"))


@pytest.fixture
def tried(record):
    def make(outcome, word="off", number=0, row=RULE, **fields):
        trial = Trial(row.name, word == "off", str(number))
        case = f"{SUITE}/{row.op}/float32/{trial}"
        return record(row.op, outcome, kind=Kind.PARTITIONER, case=case, **fields)

    return make


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], UNSEEN),
        (["not_run", "invalid_case"], UNSEEN),
        (["convert_error"], NEEDED),
        (["wrong_shape", "wrong_value"], NEEDED),
        (["pass", "wrong_value"], IN_PART),
        (["pass", "pass"], NOT_NEEDED),
        (["fallback", "fallback"], NO_EFFECT),
        (["fallback", "wrong_value"], NEEDED),
        (["pass", "not_run"], NOT_NEEDED),
    ],
)
def test_a_rule_is_needed_where_something_fails_without_it(tried, outcomes, expected):
    assert verdict(RULE, [tried(outcome, number=n) for n, outcome in enumerate(outcomes)]) == expected


def test_what_passes_by_leaving_the_operator_out_says_nothing_for_it(tried):
    assert verdict(RULE, [tried("partial", delegated={"aten.add.Tensor": 1}, fallback={OP: 1})]) == NO_EFFECT
    assert verdict(RULE, [tried("partial", delegated={OP: 1}, fallback={"aten.rand.default": 1})]) == NOT_NEEDED


@pytest.mark.parametrize("reason", ["device", "speed"])
def test_a_rule_for_something_that_no_program_shows_is_not_called_superfluous(tried, reason):
    row = PartitionerRule("rejects-argmax", "rejects", OP, "rejected", 155, ("torch.argmax(x)",), reason=reason)
    assert reason in verdict(row, [tried("pass")])
    assert verdict(row, [tried("wrong_shape")]) == NEEDED


def test_the_copying_variant_of_a_view_is_the_operator(tried):
    row = PartitionerRule(
        "rejects-diagonal", "rejects", "aten.diagonal.default", "rejected", 46, ("torch.diagonal(x)",)
    )
    assert verdict(row, [tried("pass", row=row, delegated={"aten.diagonal_copy.default": 1})]) == NOT_NEEDED


def test_a_rule_acts_when_its_operator_stays_out(tried):
    assert acts(RULE, []) == UNSEEN
    assert acts(RULE, [tried("fallback", "on")]) == ACTS
    assert acts(RULE, [tried("fallback", "on"), tried("pass", "on")]) == IDLE


def section(page, heading):
    return page.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_page_tells_each_rule_with_its_line_and_what_it_keeps_away(evidence, tried):
    records = [tried("fallback", "on"), tried("wrong_shape", signature="shape"), tried("pass", number=1)]
    page = build_pages(build_matrix(evidence(*records)), ["evidence/a.jsonl"], rules=[RULE])[PAGE]
    row = next(line for line in page.splitlines() if line.startswith(f"| `{OP}` |"))
    assert row.split(" | ")[1:5] == ["rejected", "155", ACTS, "pass 1, wrong_shape 1 (2 programs)"]
    assert row.endswith(f"| {IN_PART} |")


def test_an_operator_let_through_that_passes_is_one_core_ml_could_run(evidence, tried):
    row = PartitionerRule("reaches-exp2", "reaches", "aten.exp2.default", "claimed", 375, ("torch.exp2(x)",))
    records = [tried("unsupported", "on", row=row), tried("pass", row=row)]
    text = section(
        build_pages(build_matrix(evidence(*records)), ["evidence/a.jsonl"], rules=[row])[PAGE],
        "Claimed, and refused before the partitioner is asked",
    )
    assert "| `aten.exp2.default` | unsupported 1 | pass 1 | | **yes** |" in text


def test_claimed_and_refused_is_told_by_operator_and_cause(evidence, record):
    records = [
        record("aten.a.default", "convert_error", 0, signature="one", cause="some-cause"),
        record("aten.a.default", "convert_error", 1, signature="two", cause="some-cause"),
        record("aten.a.default", "convert_error", 2, signature="three"),
        record("aten.b.default", "unsupported", 0, signature="no"),
    ]
    text = section(build_pages(build_matrix(evidence(*records)), ["e"])[PAGE], "Claimed, and refused by conversion")
    assert "| `aten.a.default` | [some-cause](findings.md#some-cause) | 2 checks |" in text
    assert "three" in text
    assert "aten.b" not in text


def test_parts_that_did_not_reach_core_ml_are_told_of_operators_it_converts_whole(evidence, record):
    whole = Operator("aten.whole.default", ("coremltools",), "", ("composite",))
    core = Operator("aten.part.default", ("core",), "")
    universe = Universe({}, {o.name: o for o in (whole, core)}, dict.fromkeys(LEFT_OUT, 0))
    records = [
        record("aten.whole.default", "partial", 0, delegated={"aten.add.Tensor": 1}, fallback={"aten.part.default": 1}),
        record("aten.whole.default", "pass", 1),
        record("aten.other.default", "fallback", 2),
    ]
    page = build_pages(build_matrix(evidence(*records)), ["e"], universe=universe)[PAGE]
    text = section(page, "Converted whole by coremltools, taken apart before the partitioner is asked")
    assert "| `aten.whole.default` | `aten.part.default` | | 1 |" in text
    assert "aten.other" not in text
    assert "`aten.part.default`" in section(page, "Core ATen operators without a converter")


def test_what_the_suite_lowers_in_its_own_way_is_evidence_on_no_other_page(evidence, tried):
    failing = tried("wrong_value")
    with_it, without = (
        build_pages(build_matrix(evidence(*records)), ["e"]) for records in ([failing, tried("pass", "on")], [])
    )
    assert OP not in with_it["op-support.csv"] + with_it["op-support.md"] + with_it["coreml-op-support.md"]
    assert OP not in without["op-support.csv"]


def test_a_simulated_host_fills_nothing(evidence, tried, environments):
    page = build_pages(
        build_matrix(evidence(tried("pass", environment=environments["simulated"]))), ["e"], rules=[RULE]
    )[PAGE]
    assert UNSEEN in page
    assert "pass 1" not in page
