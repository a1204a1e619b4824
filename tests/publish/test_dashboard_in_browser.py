"""The dashboard in a real browser, clicked through as a reader does: from a file, without a network."""

import os
import random
import re
import shutil
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from harness.evidence.causes import read_causes
from harness.evidence.files import merge_evidence, read_evidence
from harness.evidence.triage import named
from harness.evidence.vocabulary import HarnessError, Kind
from harness.publish.dashboard import dashboard_data
from harness.publish.dashboard_compare import compare_runs
from harness.publish.dashboard_libraries import installed_libraries
from harness.publish.dashboard_page import render_dashboard
from harness.publish.docs import evidence_paths, universe_of
from harness.publish.model import build_matrix
from harness.publish.views import views_of

ROOT = Path(__file__).resolve().parents[2]
#: Names under which a browser of that family may be found, beside one that playwright has installed.
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
EVIL = "<img src=x onerror=\"document.title='taken'\"></script><script>document.title='taken'</script>"
#: Where the first point of the plot is, in the window.
FIRST_POINT = """() => {
  const view = [...Bokeh.index].find((one) => one.el.isConnected && one.frame);
  const { data } = view.model.renderers.find((one) => one.glyph.type.includes("Scatter")).data_source;
  const box = view.el.getBoundingClientRect();
  return [box.x + view.frame.x_scale.compute(data.x[0]), box.y + view.frame.y_scale.compute(data.y[0])];
}"""
TANH = "gelu(float32[10], approximate='tanh')"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: python install.py dev")
    with playwright.sync_playwright() as started:
        found = [
            os.environ.get("COREML_HARNESS_CHROMIUM"),
            *map(shutil.which, BROWSERS),
            started.chromium.executable_path,
        ]
        path = next((path for path in found if path and os.path.isfile(path)), None)
        if path is None:
            pytest.skip(
                "no Chromium: `make browser`, or `apt-get install chromium`; COREML_HARNESS_CHROMIUM may name another"
            )
        running = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def libraries():
    try:
        return installed_libraries()
    except HarnessError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def causes():
    return read_causes()


@pytest.fixture
def open_page(browser, libraries, causes, evidence, tmp_path):
    """Write the page of some records, open it at an address, and wait until it is drawn; what its console says of
    errors fails the test."""
    errors = []
    contexts = []

    def build(*records, address="", before=None, **options):
        given = evidence(*records)
        given.records = named(given, causes)
        matrix = build_matrix(given)
        changes = compare_runs(before, given) if before is not None else None
        data = dashboard_data(matrix, views_of(matrix, causes, None), causes, changes)
        path = tmp_path / "index.html"
        path.write_text(render_dashboard(data, libraries, "Support"), encoding="utf-8")
        contexts.append(browser.new_context(offline=True, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
        page.goto(f"{path.as_uri()}{address}")
        page.wait_for_selector("html[data-ready]")
        return page

    build.errors = errors
    yield build
    for context in contexts:
        context.close()
    assert errors == []


def holds(locator, texts):
    """Wait until the elements have these texts, in this order."""
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect(locator).to_have_text(texts, timeout=20_000)


def has(locator, many):
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect(locator).to_have_count(many, timeout=20_000)


def rows(page, label="Operators"):
    """First cells of a table."""
    return page.locator(f"table[aria-label='{label}'] tbody tr td:first-child")


@pytest.fixture
def several(record):
    """gelu, one of whose calls is wrong; conv2d, which works and stands in a model; acosh, which fails to convert."""
    gelu = {"api": "nn.functional.gelu", "mil_ops": {"gelu": 1}}
    conv = {"api": "nn.functional.conv2d", "mil_ops": {"conv": 1}, "call": "conv2d(float32[1, 3, 8, 8])"}
    return [
        record(headroom=4.0, call="gelu(float32[10])", **gelu),
        record(headroom=2.0, call="gelu(float32[10])", recipe="fp32-ios18", **gelu),
        record(outcome="wrong_value", sample=1, headroom=0.1, call=TANH, recipe="fp32-ios18", **gelu),
        record("aten.conv2d.default", headroom=9.0, **conv),
        record("aten.acosh.default", "convert_error", signature="cannot", dtype="int64", call="acosh(int64[3])"),
        record(
            kind=Kind.MODEL,
            case="models/vit/float32",
            op="models.vit",
            api="",
            delegated={"aten.conv2d.default": 3},
            headroom=30.0,
        ),
    ]


def test_search_by_any_name_stands_in_the_address(open_page, several):
    page = open_page(*several)
    holds(rows(page), ["aten.acosh.default", "aten.conv2d.default", "aten.gelu.default"])
    search = page.get_by_role("searchbox")
    for text, found in (
        ("nn.functional.gelu", ["aten.gelu.default"]),
        ("conv", ["aten.conv2d.default"]),
        ("F.gelu", ["aten.gelu.default"]),
        ("aten::acosh", ["aten.acosh.default"]),
        ("ATEN GELU", ["aten.gelu.default"]),
    ):
        search.fill(text)
        holds(rows(page), found)
        assert f"q={quote_plus(text)}" in page.url
    search.fill("no such operator")
    assert page.get_by_text("Nothing fits these filters.").is_visible()
    page.get_by_role("button", name="Reset").click()
    has(rows(page), 3)
    assert page.url.endswith("#operators")


def test_filters_go_into_the_address_and_come_back_from_it(open_page, several):
    page = open_page(*several)
    page.get_by_label("Silent only").check()
    holds(rows(page), ["aten.gelu.default"])
    page.get_by_label("Recipe").select_option("fp32-ios18")
    page.get_by_label("Outcome").select_option("wrong_value")
    sent = page.url
    assert {"silent=1", "recipe=fp32-ios18", "outcome=wrong_value"} <= set(sent.partition("?")[2].split("&"))
    page.goto("about:blank")
    page.goto(sent)
    page.wait_for_selector("html[data-ready]")
    holds(rows(page), ["aten.gelu.default"])
    assert page.get_by_label("Silent only").is_checked()
    assert page.get_by_label("Outcome").input_value() == "wrong_value"


def test_each_filter_lets_through_what_it_says(open_page, several):
    page = open_page(*several, address="#operators?models=1")
    holds(rows(page), ["aten.conv2d.default"])
    for address, found in (
        ("#operators?dtype=int64", ["aten.acosh.default"]),
        ("#operators?unit=reference&outcome=convert_error", ["aten.acosh.default"]),
        ("#operators?category=Works", ["aten.conv2d.default"]),
        ("#operators?cause=gelu-approximate-dropped", ["aten.gelu.default"]),
    ):
        page.evaluate("address => { location.hash = address }", address)
        page.wait_for_function(
            "many => document.querySelectorAll('table.display tbody tr').length === many", arg=len(found)
        )
        holds(rows(page), found)
    page.evaluate("location.hash = '#operators?recipe=none-of-these'")
    page.get_by_text("Nothing fits these filters.").wait_for()
    assert page.get_by_label("Recipe").input_value() == "none-of-these"


def test_from_an_operator_to_its_cause_its_check_and_back(open_page, several):
    page = open_page(*several)
    page.get_by_role("link", name="aten.gelu.default").click()
    page.get_by_role("heading", name="aten.gelu.default").wait_for()
    conditions = page.locator(".conditions")
    assert "silently wrong" in conditions.inner_text()
    assert "approximate" in conditions.inner_text()
    assert (
        "coreml-harness repro 'ops/aten.gelu.default/float32/opinfo-1@fp32-ios18@reference'" in conditions.inner_text()
    )
    assert page.locator("tr", has_text="cpu_and_ne").get_by_text("not measured").is_visible()
    assert "github.com/apple/coremltools" in page.locator("article.card").first.inner_text()
    page.locator(".plot canvas").first.wait_for()
    assert "2 within it, 1 outside" in page.locator("main").inner_text()
    has(rows(page, "Calls of aten.gelu.default"), 3)
    page.get_by_role("link", name=TANH).click()
    page.get_by_role("heading", name=re.compile("opinfo-1@fp32")).wait_for()
    assert "x0.1" in page.locator("main").inner_text()
    page.get_by_role("link", name=re.compile("tanh")).first.click()
    page.get_by_text("coreml-harness findings --issue gelu-approximate-dropped").wait_for()
    page.go_back()
    page.get_by_role("heading", name=re.compile("opinfo-1@fp32")).wait_for()
    page.go_back()
    page.get_by_role("heading", name="aten.gelu.default", exact=True).wait_for()


def test_a_table_is_sorted_by_its_heading(open_page, several):
    page = open_page(*several, address="#checks")
    has(rows(page, "Checks"), 6)
    heading = page.get_by_role("columnheader", name="Headroom")
    last = page.locator("table[aria-label=Checks] tbody tr td:nth-child(6)")
    heading.click()
    holds(last, ["x0.1", "x2", "x4", "x9", "x30", ""])
    heading.click()
    holds(last, ["x30", "x9", "x4", "x2", "x0.1", ""])


def test_every_view_is_there(open_page, several):
    page = open_page(*several)
    tabs = page.get_by_role("navigation").get_by_role("link")
    for name, shown in (
        ("Checks", "Checks (6)"),
        ("Findings", "Findings ("),
        ("Models", "Models and other whole programs (1)"),
        ("Headroom", "Headroom ("),
        ("Compare", "What changed"),
        ("About", "About these records"),
        ("Operators", "Operators (3)"),
    ):
        tabs.filter(has_text=name).click()
        page.locator("h2", has_text=shown).wait_for()
        assert page.locator("header nav [aria-current=page]").inner_text() == name
    assert page.locator("table", has_text="vit").count() == 0


def test_two_runs_are_compared(open_page, several, evidence, record):
    before = evidence(*several)
    after = [several[0].with_(outcome="wrong_value", reason="got 3, expected 4"), *several[1:]]
    page = open_page(*after, before=before, address="#compare")
    has(page.locator("tbody tr"), 1)
    assert page.locator("tbody tr").inner_text().split("\n")[0].startswith("worse")
    assert "got 3, expected 4" in page.locator("tbody tr").inner_text()
    assert "5 checks unchanged" in page.locator("main").inner_text()
    page.locator("#filters").get_by_label("What changed").select_option("worse")
    assert "move=worse" in page.url
    has(page.locator("tbody tr"), 1)


def test_dark_mode_follows_the_system_until_it_is_chosen(open_page, several):
    page = open_page(*several, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    assert page.evaluate("document.documentElement.classList.contains('dark')")
    page.get_by_role("button", name="Light mode").click()
    assert page.evaluate(ground) != dark
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate(ground) != dark
    page.keyboard.press("d")
    assert page.evaluate(ground) == dark


def test_keys_reach_everything(open_page, several):
    page = open_page(*several)
    page.keyboard.press("/")
    page.wait_for_function("() => document.activeElement.name === 'q'")
    page.keyboard.type("gelu")
    assert page.evaluate("document.activeElement.name") == "q"
    holds(rows(page), ["aten.gelu.default"])
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    page.locator("h2", has_text="Findings (").wait_for()
    page.keyboard.press("1")
    link = page.get_by_role("link", name="aten.gelu.default")
    link.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="aten.gelu.default").wait_for()
    controls = "[...document.querySelectorAll('input, select, button')]"
    assert page.evaluate(f"{controls}.filter(e => !e.labels?.length && !e.textContent && !e.ariaLabel).length") == 0


def test_text_of_records_never_becomes_markup(open_page, record):
    told = record(
        outcome="wrong_value",
        call=f"gelu(float32[10], '{EVIL}')",
        reason=EVIL,
        headroom=0.5,
        api=EVIL,
        mil_ops={EVIL: 1},
    )
    other = told.with_(case=f"ops/aten.gelu.default/float32/{EVIL}", op=EVIL, dtype=EVIL)
    page = open_page(told, other)
    views = ["#operators", "#checks", "#models", "#headroom", "#findings", f"#operators?q={quote(EVIL)}"]
    views += [f"#operators?recipe={quote(EVIL)}", "#operator/aten.gelu.default"]
    views += [f"#operator/{quote(EVIL, safe='')}", f"#finding/{quote(EVIL, safe='')}"]
    views += [f"#check/{quote(one.check_id, safe='')}" for one in (told, other)]
    for address in views:
        page.evaluate("address => { location.hash = address }", address)
        page.wait_for_function("() => document.querySelector('.view').childElementCount > 0")
        page.wait_for_timeout(50)
        assert page.locator("img").count() == 0, address
        assert page.title() == "Support"
    page.evaluate("address => { location.hash = address }", "#operator/aten.gelu.default")
    page.locator(".plot canvas").first.scroll_into_view_if_needed()
    # Plots of the views before are gone.
    page.wait_for_function("() => Bokeh.documents.length === 1")
    x, y = page.evaluate(FIRST_POINT)
    page.mouse.move(x - 2, y)
    page.mouse.move(x, y)
    page.locator(".bk-tooltip-row-value", has_text=EVIL).first.wait_for(state="attached")
    assert page.locator("img").count() == 0
    assert EVIL in page.locator("main").inner_text()


def test_the_page_lets_no_other_script_run(open_page, record):
    page = open_page(record())
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'document.title = 1'; "
        "document.addEventListener('securitypolicyviolation', () => { document.documentElement.dataset.held = 1 }); "
        "document.body.append(s) }"
    )
    page.wait_for_selector("html[data-held]")
    assert any("Content Security Policy" in error for error in open_page.errors)
    open_page.errors.clear()
    assert page.title() == "Support"


def test_a_run_of_one_check(open_page, record):
    page = open_page(record())
    holds(rows(page), ["aten.gelu.default"])
    page.get_by_role("link", name="aten.gelu.default").click()
    page.get_by_text("No check of it was held against a bound.").wait_for()


def test_a_run_of_two_environments(open_page, record, environments):
    mac = record(outcome="wrong_value", environment=environments["mac"], unit="cpu_and_ne")
    page = open_page(record(), mac, address="#checks")
    has(rows(page, "Checks"), 2)
    page.get_by_label("Environment").select_option(environments["mac"])
    has(page.locator("tbody tr"), 1)
    page.get_by_role("navigation").get_by_role("link", name="Operators").click()
    page.locator("h2", has_text="Operators (1)").wait_for()
    assert page.locator("table[aria-label=Operators] tbody td:last-child").inner_text() == "wrong_value"


def test_it_prints_without_what_is_to_be_clicked(open_page, several):
    page = open_page(*several)
    page.emulate_media(media="print")
    assert not page.get_by_role("navigation").is_visible()
    assert not page.get_by_role("searchbox").is_visible()
    assert page.locator("table[aria-label=Operators]").is_visible()


def test_the_committed_evidence(browser, libraries, causes, tmp_path):
    """Small enough to send, and a seeded draw of its operators and findings is drawn without an error."""
    given = merge_evidence(read_evidence(path) for path in evidence_paths(ROOT / "reports"))
    given.records = named(given, causes)
    matrix = build_matrix(given)
    views = views_of(matrix, causes, universe_of(given))
    text = render_dashboard(dashboard_data(matrix, views, causes), libraries, "Support")
    assert len(text) < 6_000_000
    (tmp_path / "index.html").write_text(text, encoding="utf-8")
    page = browser.new_context(offline=True).new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto((tmp_path / "index.html").as_uri())
    page.wait_for_selector("html[data-ready]")
    drawn = random.Random(15)
    addresses = [f"operator/{quote(name, safe='')}" for name in drawn.sample(sorted(views.operators), 8)]
    addresses += [f"finding/{cause.cause}" for cause in drawn.sample(causes, 4)]
    for address in addresses:
        shown = page.evaluate("document.documentElement.dataset.shown")
        page.evaluate("address => { location.hash = address }", address)
        page.wait_for_function("before => document.documentElement.dataset.shown !== before", arg=shown)
        assert page.locator("main section").count() > 0, address
    page.context.close()
    assert errors == []
