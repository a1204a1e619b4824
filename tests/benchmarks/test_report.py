import re

import pytest

from benchmarks.report import Measured, render
from benchmarks.run import SECTIONS
from benchmarks.section import Findings, Goal, Table
from benchmarks.spread import Spread

ORIGIN = "some CPU, 2 cores; 2026-01-02"
FINDINGS = Findings(
    (Table(("what", "seconds"), (("plain | loop", "1.00"), ("checks", "0.150"))),),
    (Goal("both checks", "at most", 0.2, Spread(0.14, 0.15, 0.16)),),
    ("Three of them.",),
)


def page(findings=FINDINGS, origins=(ORIGIN,), unfinished=(), size="full"):
    first, *others = SECTIONS
    known = Measured(first, findings, origins, unfinished)
    return render([known, *(Measured(section, None) for section in others)], size)


def test_a_page_without_results_claims_nothing():
    text = render([Measured(section, None) for section in SECTIONS], "full")
    assert "Nothing has been measured yet" in text
    assert text.count("\nNot measured.\n") == len(SECTIONS)
    assert "| section |" not in text


def test_numbers_goal_and_origin_are_on_the_page():
    text = page()
    assert "| checks | 0.150 |" in text
    assert re.search(r"\| both checks \| at most 0.200 \| 0.150 \(0.140 to 0.160\) \| yes \|", text)
    assert ORIGIN in text
    assert "- Three of them." in text
    assert text.count("\nNot measured.\n") == len(SECTIONS) - 1


def test_every_section_says_what_it_compares_and_how_to_repeat_it():
    text = page()
    for section in SECTIONS:
        assert f"## {section.title}" in text
        assert f"make bench ONLY={section.name}" in text


def test_a_smaller_size_is_told():
    assert "hint only" in page(size="quick")
    assert "hint only" not in page()


def test_what_is_missing_is_told():
    assert "Not measured yet: 1-peer, 2-peer." in page(unfinished=("1-peer", "2-peer"))


def test_results_of_different_revisions_are_told_apart():
    text = page(origins=(ORIGIN, "some CPU, 2 cores; 2026-01-03"))
    assert "- Measured on some CPU, 2 cores; 2026-01-03." in text
    assert "Measured on" not in page()


@pytest.mark.parametrize("link", ["peer", "floor", "growth", "startup"])
def test_links_of_goals_lead_to_their_sections(link):
    section = next(section for section in SECTIONS if section.name == link)
    text = render([Measured(section, FINDINGS, (ORIGIN,))], "full")
    (target,) = re.findall(rf"\[{link}\]\(#([^)]*)\)", text)
    heading = re.sub(r"[^\w\- ]", "", section.title.lower()).replace(" ", "-")
    assert target == heading


def test_the_page_ends_lines_cleanly():
    text = page()
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\n\n\n" not in text
    assert not [line for line in text.splitlines() if line.endswith(" ")]
