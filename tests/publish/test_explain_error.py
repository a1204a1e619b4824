import re
from dataclasses import replace

from harness.evidence.causes import Cause, Rule
from harness.evidence.error_texts import ErrorText
from harness.evidence.vocabulary import Outcome
from harness.publish.explain_error import explain_error


def cause(slug, *operators, **fields):
    texts = tuple(("op", re.compile(glob).match) for glob in operators)
    rule = Rule(
        frozenset({Outcome.CONVERT_ERROR}), None, texts, error=re.compile("^ValueError: boom"), operators=operators
    )
    return Cause(slug, f"title of {slug}", "converter", f"sees {slug}", "why", "f.py", (rule,), **fields)


KNOWN = ErrorText(re.compile("boom"), "https://example.org/2", "loading", "It fell.", "Rise.")


def test_a_cause_is_told_with_when_and_what_to_do():
    described = cause("a", condition="stride left out", remedy="Name it.", url="https://example.org/1", state="merged")
    assert explain_error("ValueError: boom", [described], []).splitlines() == [
        "cause a: title of a (converter)",
        "  sees a",
        "  when: stride left out",
        "  what to do: Name it.",
        "  upstream: https://example.org/1 (merged)",
    ]


def test_several_causes_are_told_apart():
    causes = [cause("a", "aten.neg.*"), cause("b", "aten.abs.*")]
    text = explain_error("converting abs\nValueError: boom", causes, [])
    assert text.startswith(
        "2 causes show such a text: `when` and operators tell them apart; the text names an operator"
    )
    assert text.index("cause b: ") < text.index("cause a: ")
    assert "operators: aten.neg.*" in text
    assert "the first" not in explain_error("ValueError: boom", causes, []).splitlines()[0]


def test_a_known_text_is_told_with_its_source():
    text = explain_error("boom", [], [KNOWN])
    assert text.splitlines() == ["loading: It fell.", "  what to do: Rise.", "  source: https://example.org/2"]


def test_what_is_generally_known_of_lowering_gives_way_to_a_cause():
    lowering = replace(KNOWN, step="lowering", means="Something fell.")
    assert "Something fell." in explain_error("boom", [cause("a")], [lowering])
    assert "Something fell." not in explain_error("ValueError: boom", [cause("a")], [lowering])
    assert "It fell." in explain_error("ValueError: boom", [cause("a")], [KNOWN])


def test_the_words_of_core_ml_lead_to_their_cause():
    words = ErrorText(re.compile("crash"), "https://example.org/2", cause="a")
    assert explain_error("a crash", [cause("a")], [words]).startswith("cause a: title of a")


def test_nothing_is_told_of_what_is_not_known():
    assert explain_error("all is well", [cause("a")], [KNOWN]) == ""
