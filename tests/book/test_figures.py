"""Figures carry words and numbers. Oracle: the HTML, read by another parser, against the data put in."""

import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from bs4 import BeautifulSoup

from book.kit.figures import figure, figure_html
from book.kit.series import MOST_ROWS, data_frame


def line() -> go.Figure:
    fig = figure(x="tokens (billion)", y="loss (nats)")
    fig.add_scatter(x=[1, 2, 3], y=[3.0, 2.5, 2.25], name="GPT")
    return fig


@pytest.mark.parametrize("alt", ["", "   ", "\n"])
def test_a_figure_without_alt_text_is_refused(alt: str) -> None:
    with pytest.raises(ValueError, match="alt text"):
        figure_html(line(), alt)


def test_an_axis_without_a_title_is_refused() -> None:
    with pytest.raises(ValueError, match="x axis has no title"):
        figure(x=" ", y="loss (nats)")


def test_an_empty_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="no traces"):
        figure_html(figure(x="a", y="b"), "nothing")


def test_a_figure_too_large_for_a_page_is_refused_with_its_size() -> None:
    fig = figure(x="a", y="b").add_scatter(x=list(range(200_000)), y=list(range(200_000)))
    with pytest.raises(ValueError, match=r"takes [\d,]+ bytes, the limit is 400,000"):
        figure_html(fig, "too many points")


def test_the_page_gets_the_words_the_caption_and_the_numbers() -> None:
    soup = BeautifulSoup(figure_html(line(), 'Loss "falls" <fast>.', "Loss against tokens.", "fig-loss"), "html.parser")
    plot = soup.select_one("figure#fig-loss > div.kit-plot[role=img]")
    assert plot is not None
    assert plot["aria-label"] == 'Loss "falls" <fast>.'
    assert soup.figcaption is not None
    assert soup.figcaption.get_text() == "Loss against tokens."
    cells = [[cell.get_text() for cell in row.select("th, td")] for row in soup.select("details tbody tr")]
    assert cells == [["1", "3"], ["2", "2.5"], ["3", "2.25"]]


def test_arrays_reach_the_page_as_plain_numbers_and_no_template_travels() -> None:
    fig = figure(x="a", y="b").add_scatter(x=np.array([1.0, 2.0]), y=np.array([0.1234567, 2.0]))
    script = BeautifulSoup(figure_html(fig, "Two points."), "html.parser").script
    assert script is not None
    document = json.loads(script.get_text())
    assert document["data"][0]["y"] == [0.12346, 2.0]
    assert "template" not in document["layout"]


def test_text_in_a_figure_cannot_close_its_script() -> None:
    fig = line()
    fig.data[0].name = "</script><b>"
    html = figure_html(fig, "A line.")
    assert html.count("</script>") == 1


def test_a_heat_map_becomes_one_row_a_cell() -> None:
    fig = figure(x="rank", y="step").add_heatmap(x=["a", "b"], y=[1, 2], z=[[5, 6], [7, 8]])
    assert data_frame(fig).to_numpy().tolist() == [[1, "a", 5], [1, "b", 6], [2, "a", 7], [2, "b", 8]]


def test_a_long_line_is_thinned_and_keeps_its_ends() -> None:
    fig = figure(x="x", y="y").add_scatter(x=list(range(1000)), y=list(range(1000)))
    rows = data_frame(fig)
    assert len(rows) == MOST_ROWS
    assert rows["x"].iloc[[0, -1]].tolist() == [0, 999]


def test_several_lines_are_told_apart_by_a_column() -> None:
    fig = line().add_scatter(x=[1], y=[9], name="MoE")
    assert data_frame(fig)["series"].tolist() == ["GPT", "GPT", "GPT", "MoE"]


def test_another_kind_of_trace_must_bring_its_numbers() -> None:
    fig = go.Figure(go.Pie(labels=["a"], values=[1]))
    with pytest.raises(ValueError, match="data=frame"):
        figure_html(fig, "A pie.")
    assert "<td" in figure_html(fig, "A pie.", data=pd.DataFrame({"part": ["a"], "share": [1.0]}))
