"""Each page of the book, opened once in a view: what it asks of the network, raises, shows, and what axe-core finds.

Oracles: Chromium and axe-core. Marked e2e: needs Debian's chromium.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request

pytestmark = pytest.mark.e2e

GRAVE = {"serious", "critical"}
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
# Half of axe-core's time went into the words of code blocks, thousands alike: of those that look the same (all that
# contrast depends on), the first of a reading is looked at; the others become plain text, since thousands of exclusions
# would take axe-core longer still.
LOOK_ONCE = """known => {
    const seen = new Set(known), alike = [], styles = new Map();
    const style = (part) => {
        if (!styles.has(part)) {
            const s = getComputedStyle(part);
            styles.set(part, [s.color, s.backgroundColor, s.fontSize, s.fontWeight, s.opacity].join(' '));
        }
        return styles.get(part);
    };
    for (const word of document.querySelectorAll('pre span')) {
        const looks = [word, word.closest('pre'), word.closest('div') ?? document.body].map(style).join('; ');
        if (seen.has(looks)) alike.push(word);
        seen.add(looks);
    }
    for (const word of alike) word.replaceWith(...word.childNodes);  // last: each makes the browser style anew
    return [...seen];
}"""
# a theme changes colors and nothing else: where the width's rules are checked already, the contrast remains
RULES = {
    ("desk", "light"): "",
    ("phone", "dark"): "",
    ("desk", "dark"): ", runOnly: ['color-contrast']",
    ("phone", "light"): ", runOnly: ['color-contrast']",
}


@dataclass
class Seen:
    """What a reading of all pages in one view brought up."""

    foreign: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)
    grave: list[str] = field(default_factory=list)

    def listen(self, page: Page, site: str) -> None:
        def broken(request: Request) -> bool:
            """Whether it failed by itself: the next page's opening aborts what the last one still asks for."""
            return request.failure != "net::ERR_ABORTED"

        def said(text: str) -> None:
            self.faults.append(f"{page.url}: {text}")

        ours = (site, "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(ours) else self.foreign.append(r.url))
        page.on("console", lambda m: said(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: said(str(e)))
        page.on("requestfailed", lambda r: said(f"{r.url}: {r.failure}") if broken(r) else None)


@pytest.fixture(scope="module")
def read(browser: Browser, site: str, page_paths: list[str]) -> Callable[..., Seen]:
    """Read all pages at a size, in a theme, with axe-core on every n-th of them; a view is read once."""

    @functools.cache
    def reading(size: str, theme: str, every: int) -> Seen:
        width, height = SIZES[size]
        context = browser.new_context(viewport={"width": width, "height": height})
        context.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
        page = context.new_page()
        seen = Seen()
        seen.listen(page, site)
        looks: list[str] = []
        for number, path in enumerate(page_paths):
            page.goto(f"{site}/{path}")
            page.wait_for_function("[...document.querySelectorAll('.kit-plot')].every((p) => p.dataset.kitDrawn)")
            assert page.evaluate("document.documentElement.dataset.theme") == theme
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                seen.wide.append(path)
            if number % every == 0:
                looks = page.evaluate(LOOK_ONCE, looks)
                seen.grave += grave_faults(page, path, RULES[size, theme])
        context.close()
        return seen

    return reading


def grave_faults(page: Page, path: str, rules: str) -> list[str]:
    page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate(f"axe.run({{resultTypes: ['violations'], preload: false{rules}}})")
    return [
        f"{path}: {fault['id']} ({fault['impact']}): {node['html'][:160]}"
        for fault in found["violations"]
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]


# axe-core takes seconds a page, so `make test` has it look at some pages, and the slow checks at all of them
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("size", "theme", "every"),
    [
        ("desk", "light", 6),
        pytest.param("desk", "light", 1, marks=pytest.mark.slow),
        pytest.param("phone", "dark", 1, marks=pytest.mark.slow),
        pytest.param("desk", "dark", 8, marks=pytest.mark.slow),
        pytest.param("phone", "light", 8, marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_serious(read: Callable[..., Seen], size: str, theme: str, every: int) -> None:
    assert read(size, theme, every).grave == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("size", "theme", "every"),
    [("desk", "light", 6), pytest.param("phone", "dark", 1, marks=pytest.mark.slow)],
)
def test_pages_keep_to_the_machine_raise_no_error_and_do_not_scroll_sideways(
    read: Callable[..., Seen], size: str, theme: str, every: int
) -> None:
    """The readings are those that axe-core has looked at already."""
    seen = read(size, theme, every)
    assert seen.foreign == []
    assert seen.faults == []
    assert seen.wide == []


def test_axe_does_find_a_serious_fault_where_there_is_one(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><img src='data:,'><select></select></main>")
    found = " ".join(grave_faults(page, "x", ""))
    page.close()
    assert "image-alt" in found
    assert "select-name" in found


def test_a_pale_word_of_code_is_found_once_though_a_readable_one_was_seen_before(browser: Browser) -> None:
    words = "<span style='color:#111'>dark</span> <span style='color:#bbb'>pale</span>"
    page = browser.new_page()
    page.set_content(f"<html lang=en><title>x</title><main><h1>x</h1><div><pre>{words * 3}</pre></div></main>")
    looks = page.evaluate(LOOK_ONCE, [])
    found = grave_faults(page, "x", "")
    again = page.evaluate(LOOK_ONCE, looks)
    page.close()
    assert len(looks) == len(again) == 2
    assert [("pale" in fault, "color-contrast" in fault) for fault in found] == [(True, True)]
