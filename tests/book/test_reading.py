"""The book in a real browser, at a desk and on a phone. Oracle: Chromium, and course_lib for the explorers' answers.

Marked e2e: needs Debian's chromium.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from book.kit import quantities
from course_lib import arithmetic

pytestmark = pytest.mark.e2e

COST, ROOFLINE = 'id="cost-explorer"', 'id="roofline-explorer"'
FIGURE, EQUATION = 'class="kit-plot"', 'class="math'
SIZES = {"desk": (1280, 900), "phone": (390, 844)}


def open_context(browser: Browser, size: str = "desk", theme: str = "light") -> BrowserContext:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height})
    context.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
    return context


@pytest.fixture(scope="module")
def holding(built: Path, page_paths: list[str]) -> Callable[[str], str]:
    """Look up the first page whose HTML holds a mark."""

    def find(mark: str) -> str:
        found = [path for path in page_paths if mark in (built / path).read_text(encoding="utf-8")]
        assert found, f"no page of the book holds {mark}"
        return found[0]

    return find


def drawn(page: Page) -> None:
    """Wait until every figure of the page is drawn."""
    page.wait_for_function("[...document.querySelectorAll('.kit-plot')].every((p) => p.dataset.kitDrawn)")


def enter_by_the_front_door(page: Page, site: str) -> None:
    """Open the book's address and wait until its first page has loaded with its scripts."""
    page.goto(f"{site}/index.html")
    page.wait_for_url("**/welcome.html", wait_until="load")


def choose(page: Page, explorer: str, control: str, words: str) -> None:
    """Move a control by keyboard alone: focus, then type the option's first letters."""
    select = page.locator(f"#{explorer} select[name={control}]")
    select.focus()
    page.keyboard.type(words)
    assert words in select.locator("option:checked").inner_text()


def test_the_cost_explorer_answers_as_run_cost_does(browser: Browser, site: str, holding: Callable[[str], str]) -> None:
    context = open_context(browser)
    page = context.new_page()
    page.goto(f"{site}/{holding(COST)}")
    answer = page.locator("#cost-explorer [role=status]")
    before = answer.inner_text()
    choose(page, "cost-explorer", "model", "Llama 3 70B")
    choose(page, "cost-explorer", "instance", "p4d.24xlarge")
    choose(page, "cost-explorer", "count", "64")
    after = answer.inner_text()
    tokens = page.locator("#cost-explorer select[name=tokens] option:checked").inner_text()
    run = arithmetic.run_cost("llama3-70b", {"100 billion": 1e11}[tokens], "p4d.24xlarge", instances=64)
    context.close()
    assert before != after
    assert quantities.duration(run.seconds) in after
    assert quantities.money(run.usd) in after


def test_an_unknown_price_is_said_on_the_page(browser: Browser, site: str, holding: Callable[[str], str]) -> None:
    context = open_context(browser, "phone", "dark")
    page = context.new_page()
    page.goto(f"{site}/{holding(COST)}")
    choose(page, "cost-explorer", "instance", "trn3-gen2")
    text = page.locator("#cost-explorer").inner_text()
    context.close()
    assert "an unknown sum (no known price)" in text
    assert "price unknown: " in text


def test_the_roofline_s_point_moves_and_its_answer_with_it(
    browser: Browser, site: str, holding: Callable[[str], str]
) -> None:
    context = open_context(browser)
    page = context.new_page()
    page.goto(f"{site}/{holding(ROOFLINE)}")
    where = "['cx', 'cy'].map((name) => +document.querySelector('#roofline-explorer circle').getAttribute(name))"
    x, y = page.evaluate(where)
    choose(page, "roofline-explorer", "batch", "256")
    moved_x, moved_y = page.evaluate(where)
    choose(page, "roofline-explorer", "chip", "NVIDIA V100")
    text = page.locator("#roofline-explorer [role=status]").inner_text()
    context.close()
    assert moved_x > x  # more tokens share each weight: to the right
    assert moved_y < y  # and up, for SVG counts downward
    assert "no dense rate is published for it" in text  # a V100 has no bf16


def test_the_explorers_work_from_a_file(browser: Browser, built: Path, holding: Callable[[str], str]) -> None:
    context = open_context(browser)
    page = context.new_page()
    page.goto((built / holding(COST)).as_uri())
    choose(page, "cost-explorer", "count", "128")
    text = page.locator("#cost-explorer [role=status]").inner_text()
    context.close()
    assert "128 ×" in text


def test_a_figure_follows_the_reader_s_theme(browser: Browser, site: str, holding: Callable[[str], str]) -> None:
    context = open_context(browser)
    page = context.new_page()
    page.goto(f"{site}/{holding(FIGURE)}")
    drawn(page)
    ink = "getComputedStyle(document.querySelector('.kit-plot .xtick text')).fill"
    light = page.evaluate(ink)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_selector(".kit-plot[data-kit-drawn=dark]")
    dark = page.evaluate(ink)
    context.close()
    assert light == "rgb(27, 31, 36)"
    assert dark == "rgb(230, 233, 238)"


def test_equations_are_set_without_a_network(browser: Browser, site: str, holding: Callable[[str], str]) -> None:
    context = open_context(browser)
    page = context.new_page()
    page.goto(f"{site}/{holding(EQUATION)}")
    page.wait_for_function("document.querySelectorAll('mjx-container').length > 0")
    wrong = page.locator("mjx-merror").count()
    spoken = page.locator("mjx-container mjx-assistive-mml math").count()  # what a screen reader reads
    context.close()
    assert wrong == 0
    assert spoken > 0


@pytest.mark.parametrize("way", ["http", "file"])
def test_search_finds_a_term_and_leads_to_its_page(browser: Browser, built: Path, site: str, way: str) -> None:
    context = open_context(browser)
    page = context.new_page()
    start = f"{site}/search.html" if way == "http" else (built / "search.html").as_uri()
    page.goto(f"{start}?q=roofline")
    first = page.locator("#search-results ul.search a").first
    first.wait_for()
    first.click()
    page.wait_for_load_state()
    text = page.locator("article").inner_text()
    context.close()
    assert re.search("roofline", text, flags=re.IGNORECASE)


def test_the_search_box_opens_by_keyboard_from_any_page(browser: Browser, site: str) -> None:
    context = open_context(browser)
    page = context.new_page()
    enter_by_the_front_door(page, site)
    page.keyboard.press("Control+k")
    page.locator("dialog[open] input[type=search]:focus").wait_for()
    page.keyboard.type("spot price")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=spot+price")
    page.locator("#search-results ul.search a").first.wait_for()
    context.close()


def test_a_phone_reader_opens_the_contents_and_turns_a_page(browser: Browser, site: str) -> None:
    context = open_context(browser, "phone")
    page = context.new_page()
    enter_by_the_front_door(page, site)
    title = page.title()
    page.locator(".primary-toggle:visible").click()
    page.get_by_role("link", name=re.compile("AWS in fifteen minutes")).first.click()
    page.wait_for_url("**/04-aws-in-fifteen-minutes.html")
    other = page.title()
    context.close()
    assert title != other
