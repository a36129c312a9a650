"""The palette is legible on both pages. Oracle: WCAG 2.2's contrast formula, written out here."""

import pytest

from book.kit import palette


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_has_the_contrast_that_the_standard_names() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)


@pytest.mark.parametrize("page", [palette.LIGHT_PAGE, palette.DARK_PAGE])
@pytest.mark.parametrize("color", palette.COLORS)
def test_every_color_stands_out_from_both_pages(color: str, page: str) -> None:
    assert contrast(color, page) >= 3


def deuteranope(color: str) -> tuple[float, float, float]:
    """How the color looks without green cones: Machado, Oliveira and Fernandes 2009, severity 1, on linear light."""
    r, g, b = (luminance(f"#{color[i : i + 2]}{color[i : i + 2]}{color[i : i + 2]}") for i in (1, 3, 5))
    return (
        0.367322 * r + 0.860646 * g - 0.227968 * b,
        0.280085 * r + 0.672501 * g + 0.047413 * b,
        -0.011820 * r + 0.042940 * g + 0.968881 * b,
    )


def test_the_first_four_colors_stay_apart_for_a_deuteranope() -> None:
    seen = [deuteranope(color) for color in palette.COLORS[:4]]
    apart = [
        sum((x - y) ** 2 for x, y in zip(one, other, strict=True)) ** 0.5
        for i, one in enumerate(seen)
        for other in seen[i + 1 :]
    ]
    assert min(apart) > 0.05, [round(distance, 3) for distance in apart]


def test_each_color_has_a_dash_and_a_symbol_of_its_own() -> None:
    assert len(set(palette.DASHES)) == len(set(palette.SYMBOLS)) == len(set(palette.COLORS)) == len(palette.COLORS)
