"""Box-and-arrow diagrams: geometry checked against the boxes drawn, markup against an XML parser."""

import xml.etree.ElementTree as ET

import pytest

from book.kit.diagram import BOX_H, BOX_W, Arrow, Box, diagram, edge_point

BOXES = {"a": Box("first", 0, 0), "b": Box("second & <third>", 1, 1.5, "strong")}


def svg_of(html: str) -> ET.Element:
    return ET.fromstring(html[html.index("<svg") : html.rindex("</svg>") + 6])


def test_an_arrow_touches_both_boxes_borders() -> None:
    """Oracle: the rectangles as drawn; an end lies on a border when it is inside the box and on one of its sides."""
    root = svg_of(diagram(BOXES, [Arrow("a", "b")], alt="a leads to b").data)
    line = root.find("line")
    rects = [group.find("rect") for group in root.findall("g")]
    assert line is not None
    for rect, x_name, y_name in zip(rects, ("x1", "x2"), ("y1", "y2"), strict=True):
        assert rect is not None
        dx = abs(float(line.attrib[x_name]) - float(rect.attrib["x"]) - BOX_W / 2)
        dy = abs(float(line.attrib[y_name]) - float(rect.attrib["y"]) - BOX_H / 2)
        assert dx <= BOX_W / 2 + 1
        assert dy <= BOX_H / 2 + 1
        assert dx == pytest.approx(BOX_W / 2, abs=1) or dy == pytest.approx(BOX_H / 2, abs=1)


def test_text_is_escaped_and_read_back_unchanged() -> None:
    """Oracle: an XML parser returns the text that went in."""
    root = svg_of(diagram(BOXES, [Arrow("a", "b", "x < y")], alt='quotes " and <tags>').data)
    texts = [text.text for text in root.iter("text")]
    assert "second & <third>" in texts
    assert "x < y" in texts
    title = root.find("title")
    assert title is not None
    assert title.text == 'quotes " and <tags>'


def test_every_line_of_text_stays_inside_its_box() -> None:
    """Oracle: the box's own top and bottom."""
    root = svg_of(diagram({"a": Box("a fairly long label that needs three lines", 0, 0)}, [], alt="one box").data)
    group = root.find("g")
    assert group is not None
    rect = group.find("rect")
    assert rect is not None
    top = float(rect.attrib["y"])
    baselines = [float(text.attrib["y"]) for text in group.findall("text")]
    assert len(baselines) >= 2
    assert top + 10 <= min(baselines)
    assert max(baselines) <= top + BOX_H - 3


def test_vertical_and_horizontal_neighbors_meet_mid_side() -> None:
    """Oracle: for boxes in one row the arrow leaves at half height, for one column at half width."""
    left, right, below = Box("", 0, 0), Box("", 1, 0), Box("", 0, 1)
    assert edge_point(left, right) == (6 + BOX_W, 6 + BOX_H / 2)
    assert edge_point(left, below) == (6 + BOX_W / 2, 6 + BOX_H)


@pytest.mark.parametrize(
    ("boxes", "arrows", "alt", "message"),
    [
        (BOXES, [], " ", "alt text"),
        (BOXES, [Arrow("a", "z")], "x", "'z'"),
        ({"a": Box("t", 0, 0, "loud")}, [], "x", "loud"),
        ({"a": Box("t", 0, 0), "b": Box("t", 0, 0)}, [Arrow("a", "b")], "x", "one place"),
    ],
)
def test_a_diagram_that_cannot_be_read_is_refused(boxes, arrows, alt, message) -> None:
    with pytest.raises(ValueError, match=message):
        diagram(boxes, arrows, alt=alt)
