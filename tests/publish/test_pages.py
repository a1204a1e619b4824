import re

from harness.publish.executorch_page import HEADER
from harness.publish.markdown import anchor
from harness.publish.model import build_matrix
from harness.publish.pages import build_pages


def test_the_head_says_where_it_comes_from(pages):
    for name in ("op-support.md", "op-support-api.md", "coreml-op-support.md"):
        first = pages[name].splitlines()[0]
        assert "DO NOT EDIT" in first
        assert "evidence/x.jsonl" in first
    assert (
        "| E1 | 2026-01-02 | 1.5.1 | 9.0 | 2.13.0 | linux | x86\\_64 | some CPU | none | 7 |" in pages["op-support.md"]
    )


def test_no_timing_and_no_machine_path(pages):
    for text in pages.values():
        assert "12.5" not in text
        assert "/opt" not in text


def test_every_link_leads_somewhere(pages):
    for name, page in pages.items():
        headings = {anchor(line.lstrip("# ")) for line in page.splitlines() if line.startswith("#")}
        for target, fragment in re.findall(r"\]\(([\w.-]*)#([^)]+)\)", page):
            inside = (
                headings if not target else {anchor(x.lstrip("# ")) for x in pages[target].splitlines() if x[:1] == "#"}
            )
            assert fragment in inside, f"{name}: #{fragment}"
        for target in re.findall(r"\]\((op-support[\w.-]*)\)", page):
            assert target in pages


def test_tables_are_rectangular(pages):
    """An unescaped pipe in a message would shift every cell after it."""
    for name in ("op-support.md", "op-support-api.md"):
        for block in re.findall(r"(?:^\|.*\n)+", pages[name], re.M):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_equal_evidence_gives_equal_pages_whatever_its_order(records, evidence):
    again = build_pages(build_matrix(evidence(*reversed(records))), ["evidence/x.jsonl"])
    assert again == build_pages(build_matrix(evidence(*records)), ["evidence/x.jsonl"])


def test_the_executorch_page_pulls_its_table(pages):
    assert "```{csv-table} Operator Support\n:file: coreml-op-support.csv\n" in pages["coreml-op-support.md"]
    assert pages["coreml-op-support.csv"].startswith("Operator,Compute DType,Quantization,Lowest target,Constraints\n")
    (widths,) = re.findall(r"^:widths: ([\d ]+)$", pages["coreml-op-support.md"], flags=re.M)
    assert len(widths.split()) == len(HEADER)
