"""A picture without words is a fault. Oracle: pieces of HTML with one fault each."""

import pytest

from book._ext.alt_text import picture_faults


@pytest.mark.parametrize(
    "html",
    [
        '<img src="a.png">',
        '<img src="a.png" alt=" ">',
        "<svg><path/></svg>",
        '<div class="kit-plot"></div>',
        '<div class="plotly-graph-div" id="x"></div>',
    ],
)
def test_a_picture_that_says_nothing_is_found(html: str) -> None:
    assert len(picture_faults(f"<p>text</p>{html}")) == 1


@pytest.mark.parametrize(
    "html",
    [
        '<img src="a.png" alt="A chip.">',
        '<img src="a.png" alt="" aria-hidden="true">',
        '<svg aria-hidden="true"></svg>',
        '<svg role="img" aria-label="A chip."></svg>',
        '<svg role="img" aria-labelledby="t"><title id="t">A chip.</title></svg>',
        '<div class="kit-plot" role="img" aria-label="Loss falls."></div>',
        "<p>no picture</p>",
    ],
)
def test_a_picture_with_words_or_a_decoration_passes(html: str) -> None:
    assert picture_faults(html) == []
