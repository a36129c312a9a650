"""What a learner's page may hold. The oracle is the page's text itself, searched for what must not be there."""

from __future__ import annotations

import base64

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from grading.feedback import WITHHELD, clean, sections
from grading.hidden import messages, sentence, without_hidden
from tests.grading.conftest import SECRET, TESTS, nbgrader


def stream(text: str):
    return new_output("stream", name="stdout", text=text)


def test_a_hidden_region_is_left_out_even_when_it_is_never_closed():
    assert SECRET not in without_hidden(TESTS["double"])
    assert "double(7)" not in without_hidden(TESTS["double"])
    assert "double(2)" in without_hidden(TESTS["double"])
    assert "secret" not in without_hidden("a = 1\n### BEGIN HIDDEN TESTS\nsecret = 2")


def test_an_instructors_message_is_shown_and_a_learners_line_is_not():
    source = 'check.number("doubles seven", lambda: double(7), 14, hint="add it to itself")'
    report = ["  ✗ doubles seven\n      this is my own text\n      hint: add it to itself", "14 is the hidden value"]
    assert messages(source, report) == [("✗", "doubles seven"), ("hint", "add it to itself")]


def test_an_asserts_own_message_is_shown():
    assert messages(TESTS["square"], ["a negative number"]) == [("✗", "a negative number")]


def test_an_unknown_errors_name_is_not_repeated():
    assert sentence("TypeError") == "The code raised TypeError."
    assert sentence(SECRET) == "The code raised an error."


def page_text(*cells) -> str:
    return str(sections(new_notebook(cells=list(cells))))


def hidden_cell(*outputs):
    about = nbgrader("test-double", grade=True, locked=True, points=2, score=0)
    return new_code_cell(TESTS["double"], metadata=about, outputs=list(outputs))


@pytest.mark.parametrize(
    "disguise", [str, str.swapcase, lambda t: base64.b64encode(t.encode()).decode(), lambda t: t[::-1]]
)
def test_learners_code_cannot_carry_hidden_tests_out(disguise):
    loot = disguise(f"{SECRET} assert double(7) == 14")
    error = new_output("error", ename="AssertionError", evalue=loot, traceback=[loot])
    forged = new_output("error", ename=loot, evalue="", traceback=[])
    text = page_text(
        hidden_cell(stream(loot), error),
        hidden_cell(forged),
        new_code_cell("print(In[-2])", outputs=[stream(loot), new_output("display_data", data={"text/plain": loot})]),
    )
    assert loot not in text
    assert loot[:20] not in text
    assert WITHHELD in text


def test_output_from_before_any_hidden_test_is_shown():
    text = page_text(new_code_cell("print(6)", outputs=[stream("six")]), hidden_cell())
    assert "six" in text
    assert WITHHELD not in text


def test_what_the_grader_itself_noted_is_shown():
    cell = hidden_cell()
    cell.metadata["grading"] = {"name": "CellTimeoutError", "reason": "ran longer than 6 s and was stopped"}
    assert "ran longer than 6 s" in page_text(cell)


@pytest.mark.parametrize(
    "text",
    [
        '<img src="https://tracker.example/x.png">',
        "![x](https://tracker.example/x.png)",
        '<script src="https://tracker.example/x.js"></script>',
        '<iframe src="https://tracker.example"></iframe>',
        '<link rel="stylesheet" href="https://tracker.example/x.css">',
        '<p style="background: url(https://tracker.example/x)">',
        '<p onclick="alert(1)">',
    ],
)
def test_a_learners_markup_neither_loads_nor_acts(text):
    (section,) = sections(new_notebook(cells=[new_markdown_cell(text)]))
    for bad in ("<img", "<script", "<iframe", "<link", "style=", "onclick", "src="):
        assert bad not in section["html"]


def test_a_picture_leaves_its_description():
    (section,) = sections(new_notebook(cells=[new_markdown_cell('![x, 4 by 6 <b>"numbers"](copy.svg)')]))
    assert "[Picture: x, 4 by 6" in section["html"]
    assert "<b>" not in section["html"]


def test_plain_markup_stays():
    assert clean("<p><strong>b</strong> <code>x</code></p>") == "<p><strong>b</strong> <code>x</code></p>"
