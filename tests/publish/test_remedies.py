from harness.evidence.record import Record
from harness.evidence.remedy import Remedy
from harness.evidence.vocabulary import Outcome, Phase
from harness.publish.remedies import helping, of_cause, of_record

SKIPPED = Remedy(outcome=Outcome.PARTIAL, skip=("aten.x.default",), delegated=3, left=1, tries=2)
DECOMPOSED = Remedy(outcome=Outcome.PASS, skip=("x.default",), delegated=5, tries=1)
LACKING = Remedy(outcome=Outcome.PARTIAL, unchecked=True, left=1, missing_kernels=("aten::x.out",), tries=4)
HOPELESS = Remedy(reason="none of 4 changes tried helps", tries=4)


def record(case="a", remedy=None, cause="a-cause", op="aten.x.default", recipe="fp16-ios18"):
    return Record(case, recipe, "reference", Outcome.WRONG_VALUE, Phase.VALUE, op=op, cause=cause, remedy=remedy)


def test_a_record_tells_the_change_what_it_leads_to_and_the_code():
    text = of_record(record(remedy=SKIPPED))
    assert text.splitlines()[0].startswith("leave `aten.x.default` to ExecuTorch")
    assert text.splitlines()[1] == "partial: 3 of 4 operators delegated (2 lowerings tried)"
    assert "compute_precision=ct.precision.FLOAT16" in text
    assert of_record(record(remedy=HOPELESS)) == "none found: none of 4 changes tried helps"
    assert of_record(record()) == ""


def test_a_recipe_of_another_version_has_no_code():
    assert "CoreMLPartitioner" not in of_record(record(remedy=SKIPPED, recipe="fp16-ios99"))


def test_a_record_without_is_told_that_of_its_cause_and_operator():
    records = [record("b", op="aten.y.default", remedy=HOPELESS), record("c", remedy=SKIPPED)]
    assert helping(record(), records).startswith("of c@fp16-ios18@reference:\nleave `aten.x.default`")
    assert helping(record(remedy=DECOMPOSED), records).startswith("leave `x.default`")
    assert helping(record(cause="other"), records) == ""
    assert helping(record(cause=None), [record("d", cause=None, remedy=SKIPPED)]) == ""


def test_a_cause_tells_how_many_operators_have_one():
    records = [
        record("a", SKIPPED),
        record("b", SKIPPED),
        record("c", DECOMPOSED),
        record("d", LACKING),
        record("e", HOPELESS),
    ]
    assert of_cause([*records, record("f")]) == (
        "verified for 3 of 5 operators; 2 by leaving operators to ExecuTorch; 1 by having operators decomposed; "
        "1 would need kernels that ExecuTorch does not have; for 1 nothing of what was tried helps"
    )
    assert of_cause([record()]) == ""
