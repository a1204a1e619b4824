import pytest

from harness.evidence.files import Evidence, write_evidence
from harness.evidence.vocabulary import HarnessError
from harness.publish.docs import EXECUTORCH_PAGES, check_docs, universe_of, write_docs


@pytest.fixture
def reports(tmp_path, record, evidence):
    records = [record(), record("aten.b.default", "convert_error", signature="x")]
    write_evidence(tmp_path / "evidence" / "linux.jsonl", evidence(*records))
    return tmp_path


def test_written_pages_are_fresh(reports):
    written = write_docs(reports)
    assert {path.name for path in written} == {path.name for path in reports.iterdir() if path.is_file()}
    assert check_docs(reports) == []


def test_a_page_edited_by_hand_is_named_with_its_line(reports):
    write_docs(reports)
    page = reports / "op-support.md"
    lines = page.read_text().split("\n")
    lines[6] = "Everything works."
    page.write_text("\n".join(lines))
    (stale,) = check_docs(reports)
    assert (stale.name, stale.line, stale.found) == ("op-support.md", 7, "Everything works.")
    assert "line 7" in str(stale)


@pytest.mark.parametrize("edit", [lambda text: text + "more\n", lambda text: text[:-1]])
def test_an_end_added_or_lost_is_noticed(reports, edit):
    write_docs(reports)
    page = reports / "op-support.csv"
    page.write_text(edit(page.read_text()))
    (stale,) = check_docs(reports)
    assert stale.name == "op-support.csv"
    assert stale.line > 1
    assert str(stale).startswith(f"op-support.csv: line {stale.line}: expected ")


def test_a_missing_page_is_stale(reports):
    write_docs(reports)
    (reports / "op-support.csv").unlink()
    assert [str(stale) for stale in check_docs(reports)] == ["op-support.csv: missing"]


def test_new_evidence_makes_pages_stale(reports, record, evidence):
    write_docs(reports)
    write_evidence(reports / "evidence" / "linux.jsonl", evidence(record(), record("aten.b.default")))
    assert "op-support.md" in {stale.name for stale in check_docs(reports)}


def test_one_format_alone(reports):
    assert {path.name for path in write_docs(reports, EXECUTORCH_PAGES)} == set(EXECUTORCH_PAGES)
    assert not (reports / "op-support.md").exists()
    assert check_docs(reports, EXECUTORCH_PAGES) == []


def test_evidence_of_two_files_is_merged(reports, record, evidence, environments):
    other = evidence(record("aten.mac.default", environment=environments["mac"]))
    write_evidence(reports / "evidence" / "mac.jsonl", other)
    write_docs(reports)
    page = (reports / "op-support.md").read_text()
    assert "evidence/linux.jsonl, evidence/mac.jsonl" in page
    assert "`mac`" in page


def test_no_evidence(tmp_path):
    with pytest.raises(HarnessError, match="no evidence files"):
        write_docs(tmp_path)


def test_truncated_evidence(reports):
    path = reports / "evidence" / "linux.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(HarnessError, match="truncated, 1 of 2 records"):
        check_docs(reports)


def test_a_page_that_is_no_text(reports):
    write_docs(reports)
    (reports / "op-support.md").write_bytes(b"\xff\xfe")
    with pytest.raises(HarnessError, match=r"op-support\.md: cannot read"):
        check_docs(reports)


def test_the_universe_is_that_of_the_measured_versions(record, evidence):
    measured = evidence(record())
    found = universe_of(measured)
    assert found is not None
    assert found.versions == next(iter(measured.environments.values()))["versions"]
    assert universe_of(Evidence({"e": {"versions": {"torch": "0.1"}}})) is None
    assert universe_of(Evidence()) is None


def test_two_sets_of_versions_have_no_universe_in_common(record, evidence, environments):
    both = evidence(record(), record(environment=environments["mac"]))
    assert universe_of(both) is not None
    assert universe_of(Evidence({**both.environments, "e": {"versions": {"torch": "0.1"}}})) is None


def test_reasons_lie_beside_the_known_issues(reports, tmp_path):
    (tmp_path / "suites" / "known_issues").mkdir(parents=True)
    (tmp_path / "suites" / "ops").mkdir()
    (tmp_path / "suites" / "ops" / "uncovered.yaml").write_text("- {reason: It is so, operators: [aten.atan2.out]}")
    write_docs(reports, known_issues=tmp_path / "suites" / "known_issues")
    assert "\n- It is so: `atan2.out`\n" in (reports / "op-support.md").read_text()
