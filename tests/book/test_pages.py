"""What lies in _build/html is a whole book for a machine with no network. Oracle: the files themselves, parsed here."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from bs4 import BeautifulSoup

from book.kit.rendered import pages, traceback_findings

# what a browser loads by itself, by element; a link that a reader clicks is none of these
LOADING = {
    "script": "src", "img": "src", "iframe": "src", "embed": "src", "source": "src", "video": "src", "audio": "src",
    "link": "href", "use": "href", "image": "href", "object": "data",
}  # fmt: skip
LARGEST_PAGE_BYTES = 1_250_000
LARGEST_INDEX_BYTES = 1_000_000  # of the search, which grows with the book and is the same file for every page


@cache
def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(page: Path) -> frozenset[str]:
    return frozenset(str(tag.get("id") or tag.get("name")) for tag in soup(page).select("[id], a[name]"))


def loads(page: Path) -> list[str]:
    """Addresses that a page makes a browser load."""
    found = [str(tag[key]) for name, key in LOADING.items() for tag in soup(page).select(f"{name}[{key}]")]
    styles = [tag.get_text() for tag in soup(page).select("style")] + [
        str(tag["style"]) for tag in soup(page).select("[style]")
    ]
    return found + [address for style in styles for address in css_loads(style)]


def css_loads(style: str) -> list[str]:
    return re.findall(r"""url\(\s*['"]?([^'")]+)""", style) + re.findall(r"""@import\s+['"]([^'"]+)""", style)


def elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc) or urlsplit(address).scheme in ("http", "https", "ws", "wss")


def test_every_page_of_the_contents_was_built(built: Path, request: pytest.FixtureRequest) -> None:
    contents = (request.config.rootpath / "_toc.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^\s*(?:- file|root): (\S+)", contents, flags=re.MULTILINE)
    assert sorted(page.relative_to(built).with_suffix("").as_posix() for page in pages(built)) == sorted(listed)


def test_no_page_and_no_style_sheet_loads_from_another_host(built: Path) -> None:
    found = {(page.name, address) for page in pages(built) for address in loads(page) if elsewhere(address)}
    for sheet in built.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8", errors="replace")
        found |= {(sheet.name, address) for address in css_loads(text) if elsewhere(address)}
    assert found == set()


def test_every_file_that_a_page_loads_is_there(built: Path) -> None:
    missing = {
        (page.relative_to(built).as_posix(), address)
        for page in pages(built)
        for address in loads(page)
        if not address.startswith(("data:", "#")) and not (page.parent / unquote(urlsplit(address).path)).exists()
    }
    assert missing == set()


def test_every_internal_link_leads_to_a_page_and_an_anchor_that_exist(built: Path) -> None:
    broken = []
    for page in pages(built):
        for link in soup(page).select("a[href]"):
            path, fragment = urldefrag(str(link["href"]))
            if elsewhere(path) or path.startswith("mailto:"):
                continue
            target = (page.parent / unquote(path)).resolve() if path else page
            if not target.is_file():
                broken.append((page.name, link["href"], "no such file"))
            elif fragment and target.suffix == ".html" and unquote(fragment) not in anchors(target):
                broken.append((page.name, link["href"], "no such anchor"))
    assert broken == []


def test_no_id_occurs_twice_on_a_page(built: Path) -> None:
    twice = []
    for page in pages(built):
        ids = [str(tag["id"]) for tag in soup(page).select("[id]")]
        twice += [(page.name, name) for name in sorted({name for name in ids if ids.count(name) > 1})]
    assert twice == []


def test_every_page_has_one_title_and_no_empty_heading(built: Path) -> None:
    for page in pages(built):
        article = soup(page).select_one("article")
        assert article is not None, page
        assert len(article.select("h1")) == 1, page
        empty = [tag for tag in article.select("h1,h2,h3,h4,h5,h6") if not tag.get_text(strip=True)]
        assert empty == [], page
        assert soup(page).html is not None
        assert soup(page).html["lang"] == "en", page  # type: ignore[index]


def test_a_page_stays_below_its_weight_and_loads_plotly_once_and_only_for_figures(built: Path) -> None:
    assert (built / "searchindex.js").stat().st_size < LARGEST_INDEX_BYTES
    for page in pages(built):
        scripts = [Path(urlsplit(str(tag["src"])).path) for tag in soup(page).select("script[src]")]
        plotly = [script for script in scripts if script.name == "plotly.min.js"]
        assert len(plotly) == (1 if soup(page).select_one(".kit-plot") else 0), page
        sheets = [Path(urlsplit(str(tag["href"])).path) for tag in soup(page).select("link[rel=stylesheet]")]
        index = {script for script in scripts if script.name == "searchindex.js"}
        files = {*scripts, *sheets} - set(plotly) - index
        loaded = page.stat().st_size + sum((page.parent / file).stat().st_size for file in files)
        assert loaded < LARGEST_PAGE_BYTES, f"{page}: {loaded:,} bytes, scripts and styles included"


def test_every_figure_has_words_and_its_numbers(built: Path) -> None:
    figures = [figure for page in pages(built) for figure in soup(page).select("figure.kit-figure")]
    assert figures, "the book has no figure"
    for figure in figures:
        plot = figure.select_one(".kit-plot[role=img]")
        assert plot is not None
        assert len(str(plot["aria-label"])) > 20
        assert figure.select("details table td")


def test_every_image_has_alt_text(built: Path) -> None:
    assert [
        tag for page in pages(built) for tag in soup(page).select("img") if not str(tag.get("alt", "")).strip()
    ] == []


def test_no_page_shows_a_traceback_or_an_unresolved_word(built: Path) -> None:
    assert traceback_findings(built) == []
    for page in pages(built):
        text = soup(page).get_text()
        assert "Traceback (most recent call last)" not in text or soup(page).select(".tag_raises-exception"), page
        prose = _prose(page)
        for mark in ("{glue:", "{cite}", "{ref}", "{eq}", "[?]"):
            assert mark not in prose, f"{page}: {mark}"


def _prose(page: Path) -> str:
    """A page's text without its code."""
    article = BeautifulSoup(str(soup(page).select_one("article")), "html.parser")
    for tag in article.select("pre, code, script"):
        tag.decompose()
    return article.get_text()


def test_numbers_in_prose_came_from_cells(built: Path) -> None:
    """Every glued number arrived: Sphinx leaves an empty span where a key is missing."""
    for page in pages(built):
        assert [tag for tag in soup(page).select("span.pasted-text") if not tag.get_text(strip=True)] == [], page
