from harness.evidence.record import ErrorInfo
from harness.evidence.vocabulary import Phase
from harness.publish.summary import (
    MOST_RED,
    count_line,
    count_table,
    one_failure,
    summary_markdown,
    summary_text,
    what_went_wrong,
)


def test_counts_by_outcome_recipe_and_unit(record):
    records = [
        record(),
        record(sample=1),
        record(outcome="wrong_value"),
        record(recipe="fp32-ios18"),
        record(unit="all"),
    ]
    headers, rows = count_table(records)
    assert headers == ["outcome", "fp16-ios18 reference", "fp32-ios18 reference", "fp16-ios18 all", "all"]
    assert rows == [["pass", "2", "1", "1", "4"], ["wrong_value", "1", "", "", "1"], ["checks", "3", "1", "1", "5"]]


def test_unjudged_outcomes_come_last(record):
    _, rows = count_table([record(outcome="not_run"), record(outcome="wrong_value"), record()])
    assert [row[0] for row in rows] == ["pass", "wrong_value", "not_run", "checks"]


def test_text(record):
    assert summary_text([]) == "no checks recorded"
    lines = summary_text([record()]).splitlines()
    assert lines[0].split() == ["outcome", "fp16-ios18", "reference", "all"]
    assert lines[-1].split() == ["checks", "1", "1"]


def test_a_backend_that_does_not_work_at_all_is_one_line(record):
    def failed(message, sample=0):
        info = ErrorInfo("ModuleNotFoundError", message, message)
        return record(outcome="convert_error", phase=Phase.PARTITION, sample=sample, error=info)

    alike = [failed("no such module"), failed("no such module", 1)]
    assert one_failure(alike) == "all 2 checks end alike in partition: ModuleNotFoundError: no such module"
    for other in ([], alike[:1], [*alike, record()], [*alike, failed("another")]):
        assert one_failure(other) == ""


def test_count_line(record):
    assert count_line([record(), record(outcome="fallback"), record(sample=1)]) == "3 checks: 2 pass, 1 fallback"
    assert count_line([]) == "0 checks"


def test_a_wrong_value_is_told_by_what_was_got(record):
    wrong = record(outcome="wrong_value", signature="wrong_value", reason="got 3, expected 4")
    assert what_went_wrong(wrong) == "got 3, expected 4"
    assert what_went_wrong(record(outcome="run_error", signature="ValueError: odd")) == "ValueError: odd"
    assert what_went_wrong(record(outcome="crash", reason="signal 11")) == "signal 11"
    assert what_went_wrong(record(outcome="timeout")) == "no answer within the deadline of one check"


def test_markdown(record, environments):
    name = "suites/ops/test_ops.py::test_operator[{}]"
    red = [(name.format("ops/aten.a|b"), "new: <b>bold</b>\nsecond line"), ("suites/t.py::test_other", "odd")]
    block = {"versions": {"torch": "2.13.0"}, "os": "linux 6.1"}
    text = summary_markdown({environments["linux"]: block}, [record(), record(outcome="wrong_value")], red)
    assert text.startswith("## Core ML conformance\n- torch 2.13.0, linux\n\n| outcome |")
    assert "| wrong_value | 1 | 1 |" in text
    assert "### 2 checks red" in text
    assert "| `ops/aten.a\\|b` | new: \\<b\\>bold\\</b\\> second line |" in text
    assert "| `suites/t.py::test_other` | odd |" in text
    many = summary_markdown({}, [record()], [(name.format(n), "odd") for n in range(MOST_RED + 9)])
    assert many.count("| odd |") == MOST_RED
    assert f"### {MOST_RED + 9} checks red" in many
    assert "red" not in summary_markdown({}, [record()])
