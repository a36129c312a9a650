"""The page as a reader gets it. Oracles: Chromium (requests, console, text) and axe-core, from a file, offline."""

from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from course_lib.finops.dashboard import Unread, render
from tests.finops.dashboard.pictures import EVIL, GROUPS, QUOTES, picture

pytestmark = pytest.mark.e2e

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
PROJECTS = (*(f"project-{number:02d}" for number in range(38)), "", EVIL)


@pytest.fixture(scope="module")
def browser():
    if not Path(CHROMIUM).exists():
        pytest.skip("no chromium: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens HTML from a file, with the network cut; gives the page, what it asked for and what it complained of."""
    contexts = []

    def read(html, scheme="light", width=1280):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page, asked, said = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("requestfailed", lambda request: said.append(f"{request.url}: {request.failure}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        page.goto(path.as_uri())
        return page, [url for url in asked if url != path.as_uri()], said

    yield read
    for context in contexts:
        context.close()


def test_a_year_of_40_projects_loads_nothing_and_stays_under_a_megabyte(opened):
    html = render(picture(365, PROJECTS, owner=EVIL))
    assert len(html.encode()) < 1_000_000
    page, asked, said = opened(html)
    assert (asked, said) == ([], [])
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    assert page.locator("svg.chart").count() == 5
    rows = page.locator("table", has=page.get_by_text("by project", exact=False)).first.locator("tbody tr")
    assert rows.count() == len(PROJECTS)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_with_all_tables_unfolded(opened, scheme, width):
    page, _, _ = opened(render(picture(days=14, owner=EVIL)), scheme, width)  # of many rows axe-core takes its time
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    page.evaluate(AXE)
    assert page.evaluate("axe.run()")["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_axe_would_find_a_picture_without_its_words(opened):
    html = render(picture(days=14)).replace("aria-label=", "data-label=")
    page, _, _ = opened(html)
    page.evaluate(AXE)
    assert "svg-img-alt" in {one["id"] for one in page.evaluate("axe.run()")["violations"]}


@pytest.mark.parametrize("tag", [EVIL, QUOTES, "</style><img src=https://evil.example>", "a&amp;b", "\u202egpj.exe"])
def test_a_tag_is_only_text(opened, tag):
    page, asked, said = opened(render(picture(projects=(tag, "bert"), owner=tag)))
    assert (asked, said) == ([], [])
    assert page.locator("script, img, iframe, [onload]").count() == 0
    shown = tag.replace("\u202e", "\ufffd")
    assert page.locator("bdi", has_text=shown).first.text_content() == shown


def test_its_policy_stops_what_would_slip_through(opened):
    """Were the escaping broken, the policy alone would still let nothing run and nothing load."""
    slipped = "<script>document.title='run'</script><img src='https://evil.example/x.png'><b style='color:red'>x</b>"
    page, asked, said = opened(render(picture()).replace("</main>", slipped + "</main>"))
    assert page.title() == "Spend"
    assert asked == ["https://evil.example/x.png"]
    assert "https://evil.example/x.png: csp" in said  # not for want of a network: it was never sent
    assert sum("Content Security Policy" in text for text in said) >= 3


def test_the_reason_stands_where_a_part_is_missing(opened):
    reason = Unread("reading the bill: AccessDeniedException: no. Remedy: ask for this permission.")
    data = picture(spend=dict.fromkeys(GROUPS, reason), month=reason, forecast=reason, anomalies=reason)
    page, _, said = opened(render(data))
    assert said == []
    assert page.locator("#spend").get_by_text("ask for this permission").count() == 4
    assert "1.34" in page.locator("#now").inner_text()
    page.evaluate(AXE)
    assert page.evaluate("axe.run()")["violations"] == []


def test_the_keyboard_reaches_the_content_and_the_tables(opened):
    page, _, _ = opened(render(picture()))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "region"
