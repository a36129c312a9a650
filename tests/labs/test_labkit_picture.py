"""Drawn arrays. Oracle: an XML parser and squares counted by hand."""

from xml.etree import ElementTree

import numpy as np
import pytest

from course_lib.labkit.picture import panels

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*args, **options):
    return ElementTree.fromstring(panels(*args, **options))


def texts(root):
    return ["".join(t.itertext()) for t in root.iter(f"{SVG}text")]


def test_titles_sizes_and_values_are_written():
    root = drawn([("before", np.array([[1, 2], [3, 4.5]])), ("after", np.array([7.0]))])
    assert {"before", "after", "2 × 2", "1", "2", "3", "4.5", "7"} <= set(texts(root))
    assert root.get("aria-label") == "before: 2 × 2; after: 1"


def test_larger_values_are_darker():
    root = drawn([("a", np.array([[0.0, 1.0, 2.0]]))])
    reds = [int(r.get("fill")[1:3], 16) for r in root.iter(f"{SVG}rect") if r.get("height") == "1"]
    assert reds == sorted(reds, reverse=True)
    assert len(set(reds)) == 3


def test_each_wrong_element_is_marked_in_the_last_panel():
    values = np.zeros((3, 4))
    wrong = np.zeros((3, 4), bool)
    wrong[0, 1] = wrong[2, 3] = True
    marks = [p.get("d") for p in drawn([("a", values), ("b", values)], wrong=wrong).iter(f"{SVG}path")]
    marked = [d for d in marks if "v.86" in d]
    assert len(marked) == 1
    assert marked[0].count("M") == 2


def test_one_wrong_element_of_a_large_array_is_still_seen():
    values = np.zeros((128, 512))
    wrong = np.zeros((128, 512), bool)
    wrong[77, 300] = True
    text = panels([("a", values)], wrong=wrong)
    assert "l.8 .8m" in text
    assert "drawn in blocks" in text
    assert len(text) < 100_000


def test_titles_cannot_bring_markup():
    assert "<script" not in panels([("<script>", np.ones((1, 1)))])


def test_memory_that_holds_nan_or_infinity_is_drawn():
    assert {"nan", "inf", "1"} <= set(texts(drawn([("a", np.array([[np.nan, np.inf, 1.0]]))])))
    assert "nan" in texts(drawn([("a", np.array([[np.nan]]))]))


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match=r"nothing to draw in \['empty'\]"):
        panels([("empty", np.ones((0, 3)))])
