"""What a learner gets back: their work, each question's points, and a message for each test; never a hidden test.

nbgrader's feedback page shows the autograded notebook, hidden tests and all, and loads scripts from other hosts. This
preprocessor, named in nbgrader_config.py, prepares a page of plain text and pictures instead. Whatever was put out
after the first hidden test ran is withheld: by then the learner's code could have read the tests and printed them, in
any disguise.
"""

from __future__ import annotations

from html import escape
from typing import Any

import bleach
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution

from grading.hidden import has_hidden, messages, sentence, without_hidden

SHOWN_CHARACTERS = 20_000
WITHHELD = "Output not shown: it was made after hidden tests had run. Run the cell in your notebook to see it."
_TAGS = {*bleach.ALLOWED_TAGS, "p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "code", "table", "thead", "tbody", "tr"}
_TAGS |= {"th", "td", "hr", "br", "sub", "sup", "dl", "dt", "dd", "del"}


class LearnerView(NbGraderPreprocessor):
    """Puts `resources["learner"]`, a list of plain sections, where the page's template finds it."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        resources["learner"] = sections(nb)
        # Nothing else of the notebook may reach the page by another way.
        nb.cells = []
        nb.metadata = NotebookNode()
        return nb, resources


def sections(nb: NotebookNode) -> list[dict[str, Any]]:
    """The page's sections, one for each cell."""
    found: list[dict[str, Any]] = []
    safe = True
    for cell in nb.cells:
        if cell.cell_type == "code" and has_hidden(cell.source):
            safe = False
        found.append(_section(cell, safe))
    return found


def _section(cell: NotebookNode, safe: bool) -> dict[str, Any]:
    about = cell.metadata.get("nbgrader", {})
    section: dict[str, Any] = {
        "kind": _kind(cell),
        "name": about.get("grade_id", ""),
        "comment": about.get("comment") or "",
        "note": cell.metadata.get("grading", {}).get("reason", ""),
    }
    if is_grade(cell) or about.get("task"):
        section |= {"score": float(about.get("score") or 0), "points": float(about.get("points") or 0)}
    if cell.cell_type == "code":
        section["code"] = without_hidden(cell.source)
        if section["kind"] == "test":
            section["results"] = _results(cell)
        else:
            section["outputs"] = _outputs(cell) if safe else [{"text": WITHHELD}] if cell.outputs else []
    else:
        section["html"] = safe_markdown(cell.source)
    return section


def _kind(cell: NotebookNode) -> str:
    if is_grade(cell) and not is_solution(cell) and cell.cell_type == "code":
        return "test"
    if is_solution(cell):
        return "answer"
    return "text" if cell.cell_type != "code" else "code"


def _results(cell: NotebookNode) -> list[tuple[str, str]]:
    texts: list[str] = []
    errors: list[str] = []
    for output in cell.outputs:
        if output.output_type == "stream":
            texts.append(output.text)
        elif output.output_type == "error":
            texts.append(str(output.evalue))
            errors.append(output.ename)
    results = messages(cell.source, texts)
    if errors and not cell.metadata.get("grading") and not any(mark == "✗" for mark, _ in results):
        results.append(("✗", sentence(errors[-1])))
    return results


def _outputs(cell: NotebookNode) -> list[dict[str, str]]:
    shown: list[dict[str, str]] = []
    for output in cell.outputs:
        if output.output_type == "stream":
            shown.append({"text": _short(output.text)})
        elif output.output_type == "error":
            shown.append({"text": _short(f"{output.ename}: {output.evalue}")})
        elif "image/png" in output.get("data", {}):
            shown.append({"png": "".join(output.data["image/png"].split())})
        elif "text/plain" in output.get("data", {}):
            shown.append({"text": _short(output.data["text/plain"])})
    return shown


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "\n... cut ..."


def safe_markdown(source: str, *, links: bool = True) -> str:
    """Markdown as HTML, without anything that acts or loads.

    Args:
        source: Markdown from a learner's or an instructor's cell.
        links: keep links; else only their text.
    """
    # the renderer's links from each heading to itself would lose their target in the cleaning
    renderer = _Described(escape=False, exclude_anchor_links=True)
    return clean(MarkdownWithMath(renderer=renderer).render(source), links=links)


class _Described(IPythonRenderer):
    """Markdown whose pictures, files beside the notebook that the page does not have, leave their description."""

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return f"<em>[Picture: {escape(text)}]</em>" if text else ""


def clean(html: str, *, links: bool = True) -> str:
    """HTML from a learner's or an instructor's text, without anything that acts or loads."""
    tags = _TAGS if links else _TAGS - {"a"}
    return bleach.clean(html, tags=tags, attributes={"a": ["href", "title"], "th": ["scope"]}, strip=True)
