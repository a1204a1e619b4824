import pytest

from harness.publish.markdown import anchor, code, codes, plain, scrub, shorten, table, words


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("in /usr/lib/python3/foo.py line 3", "in foo.py line 3"),
        (r"in C:\Users\me\foo.py", "in foo.py"),
        ("ops/aten.gelu.default/float32/opinfo-789070@fp16-ios18@reference", None),
        ("https://example.org/a/b", None),
        ("limit 1/2 or a/b/c", None),
        ("two\nlines", "two lines"),
    ],
)
def test_scrub_cuts_absolute_paths_and_nothing_else(text, scrubbed):
    assert scrub(text) == (scrubbed or text)


def test_shorten():
    assert shorten("a" * 20, 10) == "a" * 9 + "…"


@pytest.mark.parametrize(
    ("text", "span"),
    [("a", "`a`"), ("a|b", "`a\\|b`"), ("a `b`", "`` a `b` ``"), ("", "")],
)
def test_code(text, span):
    assert code(text) == span


def test_codes_says_how_many_more():
    assert codes(["a", "b", "c"], limit=2) == "`a`, `b` and 1 more"


def test_plain_escapes_what_markdown_would_take_for_markup():
    assert plain("a|b *c* <d> [e]") == r"a\|b \*c\* \<d\> \[e\]"


def test_table_is_not_padded_so_that_one_long_name_changes_one_line():
    short = table(["name", "n"], [["a", 1], ["b", 2]], ["left", "right"]).splitlines()
    long = table(["name", "n"], [["a", 1], ["b" * 40, 2]], ["left", "right"]).splitlines()
    assert short == ["| name | n |", "|---|---:|", "| a | 1 |", "| b | 2 |"]
    assert short[:3] == long[:3]


def test_table_keeps_empty_cells_and_escaped_pipes():
    rows = [["", None, code("x | y")], ["longer", "", "longer still"]]
    lines = table(["a", "b", "c"], rows, ["left", "right", "right"]).splitlines()
    assert lines[2:] == ["| | | `x \\| y` |", "| longer | | longer still |"]


def test_anchor_as_github_makes_it():
    assert anchor("Fails to convert, load or run") == "fails-to-convert-load-or-run"
    assert anchor("`wrong_value`") == "wrong_value"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("see `aten.a_b | c` or a_b", r"see `aten.a_b \| c` or a\_b"),
        ("`x`", "`x`"),
        ("a | b", r"a \| b"),
        ("in `/usr/lib/python3/foo.py`", "in `foo.py`"),
    ],
)
def test_words_keep_code_spans_and_escape_the_rest(text, escaped):
    assert words(text) == escaped
