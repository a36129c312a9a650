"""Pictures of who holds what. Oracle: an XML parser, and the frames that were drawn."""

import xml.etree.ElementTree as ET

import pytest

from book.kit.holdings import holdings_picture
from course_lib.arithmetic.network import holdings, schedule

FRAMES = holdings(schedule("all_reduce", 3, "ring"))


def svg_of(html: str) -> ET.Element:
    return ET.fromstring(html[html.index("<svg") : html.rindex("</svg>") + 6])


def test_a_cell_has_a_slot_for_each_contribution_and_a_finished_one_is_outlined() -> None:
    """Oracle: the frames themselves."""
    for frame in FRAMES:
        root = svg_of(holdings_picture({"now": frame}, alt="a moment").data)
        slots = [text.text for text in root.findall("text") if text.get("class") == "slot"]
        wanted = [str(rank) for chunks in frame for chunk in sorted(chunks) for rank in sorted(chunks[chunk])]
        assert slots == wanted
        whole = [rect for rect in root.findall("rect") if rect.get("class") == "whole"]
        assert len(whole) == sum(len(given) == 3 for chunks in frame for given in chunks.values())


def test_nothing_is_drawn_outside_of_the_picture() -> None:
    """Oracle: the viewBox."""
    panels = {f"after step {number}": frame for number, frame in enumerate(FRAMES)}
    root = svg_of(holdings_picture(panels, alt="all moments", per_row=2).data)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for rect in root.findall("rect"):
        assert float(rect.attrib["x"]) + float(rect.attrib["width"]) <= width
        assert float(rect.attrib["y"]) + float(rect.attrib["height"]) <= height


def test_words_are_escaped_and_read_back() -> None:
    """Oracle: an XML parser returns the text that went in."""
    root = svg_of(holdings_picture({"a < b": FRAMES[0]}, alt='"quoted" & <tagged>').data)
    title = root.find("title")
    assert title is not None
    assert title.text == '"quoted" & <tagged>'
    assert "a < b" in [text.text for text in root.findall("text")]


@pytest.mark.parametrize(
    ("panels", "alt", "says"),
    [
        ({"now": FRAMES[0]}, " ", "alt text"),
        ({}, "nothing", "at least one panel"),
        ({"now": FRAMES[0], "then": FRAMES[0][:2]}, "two", "the 3 ranks"),
    ],
)
def test_a_picture_that_says_nothing_is_refused(panels, alt: str, says: str) -> None:
    """Oracle: the message."""
    with pytest.raises(ValueError, match=says):
        holdings_picture(panels, alt=alt)
