import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from harness.publish.dashboard_libraries import Library
from harness.publish.dashboard_page import SCRIPTS, TEMPLATES, for_script, packed, policy, render_dashboard

LIBRARIES = {
    "tables": Library("Tables", "1", "MIT", "let tables = 1;", "table{}", module=True),
    "charts": Library("Charts", "2", "BSD-3-Clause", "let charts = 1;"),
}
EVIL = "</script><img src=x onerror=alert(1)>"


def unpacked(block):
    return gzip.decompress(base64.b64decode(block)).decode()


class Read(HTMLParser):
    """Scripts of a page with their attributes, and the tags it has."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.tags, self.meta = [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "meta" and "http-equiv" in dict(attrs):
            self.meta[dict(attrs)["http-equiv"]] = dict(attrs)["content"]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script" and self.scripts and not self.scripts[-1][1]:
            self.scripts[-1] = (self.scripts[-1][0], data)


@pytest.fixture
def page():
    return Read(render_dashboard({"text": EVIL}, LIBRARIES, "Support"))


def test_data_comes_back_as_it_was(page):
    block = next(text for attributes, text in page.scripts if attributes.get("id") == "packed-data")
    assert json.loads(unpacked(json.loads(block))) == {"text": EVIL}


def test_the_policy_lets_only_its_own_scripts_run(page):
    allowed = re.findall(r"'sha256-([^']+)'", page.meta["Content-Security-Policy"])
    own = [text for attributes, text in page.scripts if attributes.get("type") == "module"]
    given = [*own, "let tables = 1;", "let charts = 1;"]
    assert allowed == [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in given]
    assert len(own) == 1
    assert "default-src 'none'" in page.meta["Content-Security-Policy"]
    assert "unsafe-eval" not in policy([])
    assert "script-src 'unsafe-inline'" not in policy([])


def test_nothing_is_fetched(page):
    assert not {"img", "iframe", "object"} & set(page.tags)
    assert all("src" not in attributes for attributes, _ in page.scripts)


def test_markup_in_a_title_stays_text():
    text = render_dashboard({}, LIBRARIES, EVIL)
    assert "<img" not in text
    assert "&lt;img" in text


def test_equal_input_gives_equal_bytes():
    assert render_dashboard({"a": 1}, LIBRARIES, "T") == render_dashboard({"a": 1}, LIBRARIES, "T")
    assert packed("x") == packed("x")
    # The time in the head of a gzip.
    assert base64.b64decode(packed("x"))[4:8] == b"\0\0\0\0"


def test_json_in_a_script_ends_nothing():
    text = for_script({"a": EVIL})
    assert "<" not in text
    assert json.loads(text) == {"a": EVIL}


def test_a_lone_surrogate_is_packed_too():
    assert unpacked(packed("a\udcffb")) == "a?b"


def test_the_pages_own_code_writes_no_markup():
    for name in SCRIPTS:
        text = (TEMPLATES / name).read_text(encoding="utf-8")
        for sink in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "</script",
        ):
            assert sink not in text, f"{name}: {sink}"


def test_every_script_of_the_folder_is_in_the_page():
    assert {path.name for path in TEMPLATES.glob("*.js")} == set(SCRIPTS)


def test_libraries_are_named_with_their_licences():
    text = render_dashboard({}, LIBRARIES, "T")
    assert "Built on Tables 1 (MIT), Charts 2 (BSD-3-Clause)." in text
