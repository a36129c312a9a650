"""No page has a serious accessibility fault. Oracle: axe-core, at two widths and in both themes.

Marked e2e: needs Debian's chromium.
"""

from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser

pytestmark = pytest.mark.e2e

GRAVE = {"serious", "critical"}
SIZES = {"desk": (1280, 900), "phone": (390, 844)}


@pytest.mark.parametrize(
    ("size", "theme"),
    [
        ("desk", "light"),
        ("phone", "dark"),
        # each takes a minute over all pages, so these two wait for CI
        pytest.param("desk", "dark", marks=pytest.mark.slow),
        pytest.param("phone", "light", marks=pytest.mark.slow),
    ],
)
def test_axe_finds_nothing_serious(browser: Browser, site: str, page_paths: list[str], size: str, theme: str) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height})
    context.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
    page = context.new_page()
    faults: list[str] = []
    # a theme changes colors and nothing else: where the width's rules are checked already, the contrast remains
    rules = ", runOnly: ['color-contrast']" if (size, theme) in {("desk", "dark"), ("phone", "light")} else ""
    for path in page_paths:
        page.goto(f"{site}/{path}")
        page.wait_for_function("[...document.querySelectorAll('.kit-plot')].every((p) => p.dataset.kitDrawn)")
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        page.evaluate(axe)
        found: dict[str, Any] = page.evaluate(f"axe.run({{resultTypes: ['violations'], preload: false{rules}}})")
        faults += [
            f"{path}: {fault['id']} ({fault['impact']}): {node['html'][:160]}"
            for fault in found["violations"]
            if fault["impact"] in GRAVE
            for node in fault["nodes"]
        ]
    context.close()
    assert faults == []


def test_axe_does_find_a_serious_fault_where_there_is_one(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<html lang=en><title>x</title><main><h1>x</h1><img src='data:,'><select></select></main>")
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found: dict[str, Any] = page.evaluate("axe.run()")
    page.close()
    assert {"image-alt", "select-name"} <= {fault["id"] for fault in found["violations"] if fault["impact"] in GRAVE}
