"""The book's colors: one colorblind-safe set, each at least 3:1 against both the light page and the dark one.

The hues follow Okabe and Ito's set (jfly.uni-koeln.de/color), with the light ones darkened until they pass on white;
tests/book/test_palette.py checks the contrast. Color never carries meaning alone: `DASHES` and `SYMBOLS` go with it.
"""

BLUE = "#1F78B4"
VERMILION = "#CF5A0A"
GREEN = "#0A8F6A"
PURPLE = "#B0609A"
OCHRE = "#A8780A"
GRAY = "#7A7F87"

COLORS: tuple[str, ...] = (BLUE, VERMILION, GREEN, PURPLE, OCHRE, GRAY)
DASHES: tuple[str, ...] = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS: tuple[str, ...] = ("circle", "square", "diamond", "triangle-up", "cross", "star")

LIGHT_PAGE = "#FFFFFF"
DARK_PAGE = "#14181E"
