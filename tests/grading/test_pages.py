"""What the formgrader shows of a hostile submission. Oracle: HTML's own parser on the page that nbconvert makes."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import nbgrader
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from grading.layout import Layout
from grading.nbgrader_settings import course_config
from grading.pages import InstructorView, instructor_markdown

ACTING = {"script", "iframe", "meta", "img", "link", "object", "embed", "form", "svg", "base", "style", "a", "button"}
HOSTILE = [
    "<script>alert(1)</script>",
    '<meta http-equiv="refresh" content="0;url=/formgrader?path=submitted">',
    "<img src=x onerror=alert(1)>",
    "![picture](https://example.org/x.png)",
    "[click](javascript:alert(1))",
    "[click](/formgrader?path=submitted)",
    '<form action="/api/shutdown"><button>OK</button></form>',
    '<svg onload="alert(1)"></svg>',
]


class Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))


def acting(html: str) -> list[str]:
    """What acts, loads or leads elsewhere."""
    elements = Elements(html).found
    names = [tag for tag, _ in elements if tag in ACTING]
    return names + [name for _, attributes in elements for name, _ in attributes if name.startswith("on")]


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_that_acts_is_shown_as_text(text: str) -> None:
    assert acting(text if text.startswith("<") else f'<a href="{text}">')  # the oracle knows it for what it is
    assert acting(instructor_markdown(text)) == []


def test_markdown_that_only_formats_keeps_its_form() -> None:
    tags = [tag for tag, _ in Elements(instructor_markdown("## Why\n\n1. **so**\n\n| a |\n|---|\n| $x^2$ |")).found]
    assert tags == ["h2", "ol", "li", "strong", "table", "thead", "tr", "th", "tbody", "tr", "td"]


def view(cell: NotebookNode) -> NotebookNode:
    nb, _ = InstructorView().preprocess(new_notebook(cells=[cell], metadata={"title": "<script>"}), {})
    assert nb.metadata == {}
    return nb.cells[0]


def result(**data: str) -> NotebookNode:
    kinds = {name.replace("_", "/").replace("9", "+"): value for name, value in data.items()}
    return new_output("display_data", data=kinds, metadata={"text/html": {"isolated": True}})


def test_of_an_output_only_a_picture_or_text_is_left() -> None:
    shown = view(
        new_code_cell(
            "x",
            outputs=[
                result(text_html="<script>", text_plain="a table"),
                result(image_png="iVBORw0KGgo=", text_html="<b>"),
                result(image_png='"><script>', text_plain="a picture"),
                result(application_javascript="alert(1)"),
                new_output("stream", name="stdout", text="<script>"),
            ],
        )
    ).outputs
    assert [dict(output.get("data", {})) for output in shown] == [
        {"text/plain": "a table"},
        {"image/png": "iVBORw0KGgo="},
        {"text/plain": "a picture"},
        {"text/plain": "[application/javascript: open the notebook to see it]"},
        {},
    ]
    assert all(output.get("metadata", {}) == {} for output in shown)


def test_raw_cells_and_attachments_take_no_other_way() -> None:
    raw = view(new_raw_cell("<script>", metadata={"raw_mimetype": "text/html"}))
    assert (raw.cell_type, raw.metadata) == ("markdown", {})
    assert "attachments" not in view(new_markdown_cell("x", attachments={"a.png": {"image/png": "AA=="}}))


def test_the_configuration_gives_the_formgrader_its_own_template_and_the_feedback_ours(tmp_path: Path) -> None:
    config = course_config(Layout(tmp_path))
    exporter = config.GenerateFeedback.exporter_class(config=config)
    assert exporter.template_name == "learner"
    # as nbgrader's FormgradeExtension makes it
    config.HTMLExporter.setdefault("template_name", "formgrade")
    from nbconvert.exporters import HTMLExporter

    formgrade = HTMLExporter(config=config)
    assert formgrade.template_name == "formgrade"
    theirs = Path(nbgrader.__file__).parent / "server_extensions/formgrader/templates/formgrade/index.html.j2"
    assert Path(str(formgrade.template.filename)) == theirs
    nb = new_notebook(cells=[new_markdown_cell("\n\n".join(HOSTILE))])
    resources = {"base_url": "", "submission_id": "0", "index": 0, "total": 1, "notebook_path": ""}
    page, _ = formgrade.from_notebook_node(nb, resources=resources)
    assert "http://" not in page.split("<body>")[0].replace("http://www.w3.org", "")
    assert "https://" not in page
    assert acting(page.split('id="notebook-container"')[1]) == []
