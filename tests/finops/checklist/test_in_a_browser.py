"""The list to tick. Oracles: Chromium, which ticks, reloads, copies and pastes, and axe-core.

The page is a file with nothing but the list, its script and the book's styles: it must work from file://, without
network. Marked e2e: needs Debian's chromium.
"""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from book.kit import checklist
from course_lib.finops.checklist import ITEMS, PEOPLE

pytestmark = pytest.mark.e2e

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
STATIC = Path(__file__).parents[3] / "book/_static"
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
ALL = len(ITEMS) + len(PEOPLE)


@pytest.fixture(scope="module")
def context():
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context()
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context
        browser.close()


@pytest.fixture
def page(context, tmp_path):
    style, script = (STATIC / name for name in ("custom.css", "checklist.js"))
    path = tmp_path / "list.html"
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Checklist</title>'
        f"<style>{style.read_text()}</style><script>{script.read_text()}</script></head>"
        f"<body><main><h1>Checklist</h1>{checklist().data}</main></body></html>"
    )
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.append(request.url) if not request.url.startswith("file://") else None)
    page.goto(path.as_uri())
    yield page
    assert faults == []
    page.evaluate("localStorage.clear()")
    page.close()


def count(page):
    return page.text_content(".kit-count")


def test_ticks_are_kept_over_a_reload_and_can_be_cleared(page):
    assert count(page) == f"0 of {ALL} done"
    page.get_by_label(ITEMS[3].title).check()
    page.get_by_label(PEOPLE[0].title).check()
    page.reload()
    assert count(page) == f"2 of {ALL} done"
    assert page.get_by_label(ITEMS[3].title).is_checked()
    page.get_by_role("button", name="Clear all ticks").click()
    page.reload()
    assert count(page) == f"0 of {ALL} done"


def test_the_keyboard_reaches_and_ticks(page):
    page.get_by_label(ITEMS[0].title).focus()
    page.keyboard.press("Space")
    assert count(page) == f"1 of {ALL} done"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.kit-said').textContent.startsWith('Copied')")


def test_a_command_is_copied_as_it_stands(page):
    command = next(item.command for item in ITEMS if item.name == "quota")
    page.get_by_role("button", name=f"Copy: {command}").click()
    page.wait_for_function("document.querySelector('.kit-said').textContent.startsWith('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == command


def test_the_answer_of_an_account_is_shown_as_text_whatever_it_holds(page):
    rude = "<img src=x onerror=alert(1)>"
    answer = {
        "items": [
            {"item": "budget", "state": "done", "evidence": rude},
            {"item": "quota", "state": "unseen", "evidence": "denied"},
            {"item": "lawyer", "state": "done", "evidence": "is not on the list"},
        ]
    }
    page.locator("textarea").fill(json.dumps(answer))
    page.get_by_role("button", name="Show it in the list").click()
    assert count(page) == f"1 of {ALL} done"
    assert "2 items read" in page.text_content(".kit-said")
    assert rude in page.text_content("li:has(#checklist-list-budget)")
    assert page.locator(".kit-checklist img").count() == 0
    assert "unseen" in page.text_content("li:has(#checklist-list-quota)")


@pytest.mark.parametrize("text", ["", "2 of 10 done", "null", '{"items": 3}', '{"item'])
def test_what_is_no_answer_is_refused_in_words(page, text):
    page.locator("textarea").fill(text)
    page.get_by_role("button", name="Show it in the list").click()
    assert "course finops checklist --json" in page.text_content(".kit-said")
    assert count(page) == f"0 of {ALL} done"


def test_a_browser_that_keeps_nothing_says_so(page):
    page.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('refused'); }; }")
    page.get_by_label(ITEMS[0].title).check()
    assert "keeps nothing" in page.text_content(".kit-said")
    assert count(page) == f"1 of {ALL} done"


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations'], preload: false})")
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found["violations"]] == []
    assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
