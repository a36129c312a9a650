"""Oracle: the profile that each figure draws; plotly's own data is read back."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import course_lib.nki.isa as nisa
import course_lib.nki.language as nl
from course_lib.nki import figures, profile

from .profiled import add, naive_matmul


@pytest.fixture(scope="module")
def made():
    a = np.ones((512, 4096), np.float32)
    return profile(add, execute=False, target="gen3")(a, a)


@pytest.fixture(scope="module")
def product():
    a, b = np.zeros((512, 256), ml_dtypes.bfloat16), np.zeros((512, 1024), ml_dtypes.bfloat16)
    return profile(naive_matmul, execute=False, target="gen3")(a, b)


def trace(figure, name):
    return next(one for one in figure.data if one.name == name)


def test_every_figure_has_axis_titles_and_alt_text_with_its_numbers(made):
    for figure, alt in (made.timeline(), made.memory_map(), made.memory_map("psum"), made.roofline()):
        assert figure.layout.xaxis.title.text
        assert figure.layout.yaxis.title.text
        assert len(alt) > 40
        assert any(character.isdigit() for character in alt)


def test_bars_of_the_timeline_add_up_to_the_busy_time(made):
    figure, alt = made.timeline()
    bar = trace(figure, "tensor_tensor")
    unit = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3}[figure.layout.xaxis.title.text.split("(")[1].rstrip(")")]
    assert sum(bar.x) * unit == pytest.approx(made.engines["vector"].seconds)
    assert set(bar.y) == {"Vector"}
    assert made.bottleneck in alt


def test_bars_of_one_row_never_overlap(made):
    rows: dict[str, list[tuple[float, float]]] = {}
    for bar in made.timeline()[0].data:
        for row, start, width in zip(bar.y, bar.base, bar.x, strict=True):
            rows.setdefault(row, []).append((start, start + width))
    for spans in rows.values():
        spans.sort()
        assert all(spans[at][1] <= spans[at + 1][0] + 1e-9 for at in range(len(spans) - 1))


def test_the_timeline_of_a_long_kernel_stays_small():
    a = np.ones((2048, 4096), np.float32)
    figure, _ = profile(add, execute=False, target="gen3")(a, a, 64).timeline()
    assert sum(len(bar.x) for bar in figure.data) < 4096


def boxes(figure):
    """(left, right, low, high) of each tile drawn."""
    for one in figure.data:
        if one.fill == "toself":
            x, y = list(one.x), list(one.y)
            for at in range(0, len(x), 6):
                yield x[at], x[at + 2], y[at], y[at + 1]


def test_tiles_of_the_memory_map_neither_overlap_nor_leave_sbuf(made):
    figure, alt = made.memory_map()
    found = list(boxes(figure))
    assert len(found) == 16
    assert "16 tiles" in alt
    assert max(high for *_, high in found) <= trace(figure, "capacity").y[0] == 224 * 1024
    for at, (left, right, low, high) in enumerate(found):
        for left2, right2, low2, high2 in found[:at]:
            assert right <= left2 + 1e-9 or right2 <= left + 1e-9 or high <= low2 or high2 <= low


def test_a_tile_with_an_address_is_drawn_there():
    def placed(a):
        tile = nl.ndarray((128, 64), dtype=a.dtype, buffer=nl.sbuf, address=(0, 8192))
        nisa.dma_copy(dst=tile, src=a)
        nisa.dma_copy(dst=a, src=tile)

    figure, _ = profile(placed, target="gen3")(np.ones((128, 64), np.float32)).memory_map()
    assert [(low, high) for _, _, low, high in boxes(figure)] == [(8192, 8192 + 256)]


def test_more_kinds_than_colors_still_look_different():
    def many(a):
        tile = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.sbuf)
        row = nl.ndarray((128, 1), dtype=a.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=a)
        nisa.tensor_copy(dst=tile, src=tile)
        nisa.activation(dst=tile, op=nl.exp, data=tile)
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)
        nisa.tensor_tensor(dst=tile, data1=tile, data2=tile, op=nl.add)
        nisa.tensor_reduce(dst=row, op=nl.add, data=tile, axis=1)
        nisa.reciprocal(dst=row, data=row)
        nisa.memset(dst=tile, value=0.0)
        nisa.dma_copy(dst=a, src=tile)

    figure, _ = profile(many, target="gen3")(np.ones((128, 64), np.float32)).timeline()
    looks = [(bar.marker.color, bar.marker.pattern.shape) for bar in figure.data]
    assert len(looks) == len(set(looks)) == 8


def test_a_row_of_transfers_is_not_called_an_engine(made):
    rows = {row for bar in made.timeline()[0].data for row in bar.y}
    assert rows - {"Vector"} == {f"transfers {number}" for number in range(1, len(rows))} or rows == {
        "Vector",
        "transfers",
    }


def test_the_memory_map_is_scaled_to_the_tiles_when_they_are_few():
    a = np.ones((128, 256), np.float32)
    small = profile(add, execute=False, target="gen3")(a, a, 256).memory_map()[0]
    highest = max(high for *_, high in boxes(small))
    assert highest < small.layout.yaxis.range[1] < 2 * highest
    assert list(small.layout.yaxis.ticktext)[1] == f"{small.layout.yaxis.tickvals[1] / 1024:g}"

    def full(a):
        tile = nl.ndarray((128, 40_000), dtype=nl.float32, buffer=nl.sbuf)
        nisa.memset(dst=tile, value=0.0)
        nisa.dma_copy(dst=a, src=tile[:, 0:64])

    large = profile(full, target="gen3")(np.ones((128, 64), np.float32)).memory_map()[0]
    assert large.layout.yaxis.range[1] > 224 * 1024


def test_the_roofline_point_is_the_kernel_and_lies_under_the_roof(product):
    figure, alt = product.roofline()
    point, roof = trace(figure, "naive_matmul"), figure.data[0]
    assert (point.x[0], point.y[0]) == pytest.approx((product.arithmetic_intensity, product.tflops))
    assert roof.y[-1] == 79
    assert roof.x[1] == pytest.approx(79e12 / 368e9)
    assert point.y[0] <= min(79, point.x[0] * 368e9 / 1e12)
    assert "the DMA rate" in alt


def test_another_memory_is_refused(made):
    with pytest.raises(ValueError, match="choose 'sbuf' or 'psum'"):
        made.memory_map("hbm")


def test_every_colour_is_one_of_the_books():
    """Oracle: the book's palette, whose contrast on both pages tests/book/test_palette.py checks."""
    from book.kit import palette

    assert set(figures._COLORS) == set(palette.COLORS)
