"""The pictures of lab 05: each puzzle on a small matrix, from its formula in NumPy.

Run `python -m grading.pictures.lab05_nki_tiles` after a change; it writes solutions/lab05-nki-tiles/.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from course_lib.labkit import picture

FOLDER = Path(__file__).resolve().parents[2] / "solutions" / "lab05-nki-tiles"


def _ramp(rows: int, columns: int) -> np.ndarray:
    return np.arange(rows * columns, dtype=np.float64).reshape(rows, columns)


def _copy() -> list[picture.Panel]:
    x = _ramp(4, 6)
    return [("x, in HBM", x), ("tile, in SBUF", x), ("out, in HBM", x)]


def _fahrenheit() -> list[picture.Panel]:
    x = _ramp(4, 6) * 5 - 20
    return [("x", x), ("out", 1.8 * x + 32)]


def _blend() -> list[picture.Panel]:
    x = _ramp(4, 5)
    y = x[::-1] * 2
    return [("x", x), ("y", y), ("out", 0.75 * x + 0.25 * y)]


def _rectify() -> list[picture.Panel]:
    x = _ramp(12, 6) * 7 % 19 - 9
    tiles = [(f"tile {number + 1}", x[4 * number : 4 * number + 4]) for number in range(3)]
    return [("x", x), *tiles, ("out", np.maximum(x, 0))]


def _fold() -> list[picture.Panel]:
    x = _ramp(10, 4)
    total = x[:5] + x[5:]
    return [("x", x), ("tile 1 of out", total[:4]), ("tile 2 of out", total[4:]), ("out", total)]


def _calibrate() -> list[picture.Panel]:
    x, gain, offset = _ramp(4, 6), np.arange(1.0, 5).reshape(4, 1), np.arange(0.0, 60, 10).reshape(1, 6)
    return [("x", x), ("gain", gain), ("offset", offset), ("out", gain * x + offset)]


def _center() -> list[picture.Panel]:
    row, column = np.indices((4, 5))
    x = 10.0 * row + 2 * (row + 1) * column
    mean = x.mean(axis=1, keepdims=True)
    return [("x", x), ("mean", mean), ("out", x - mean)]


def _weighted_total() -> list[picture.Panel]:
    w, x = np.arange(1.0, 7).reshape(6, 1), _ramp(6, 5)
    return [("w", w), ("x", x), ("out", (w * x).sum(axis=0, keepdims=True))]


def _turn() -> list[picture.Panel]:
    x = _ramp(3, 7)
    return [("x", x), ("out", x.T)]


def _ahead() -> list[picture.Panel]:
    x, width = _ramp(5, 8), 4
    row, column = np.indices(x.shape)
    kept = np.where((column >= row) & (column < row + width), x, np.nan)
    return [("x", x), ("the band of x", kept), ("out", np.array([x[i, i : i + width] for i in range(5)]))]


def _known_by() -> list[picture.Panel]:
    x = _ramp(6, 6) + 1
    row, column = np.indices(x.shape)
    return [("x", x), ("out", np.where(column <= row, x, -10000))]


def _rain_so_far() -> list[picture.Panel]:
    x = _ramp(5, 4)
    return [("x", x), ("stationary", np.triu(np.ones((5, 5)))), ("out", x.cumsum(axis=0))]


PICTURES: dict[str, Callable[[], list[picture.Panel]]] = {
    "copy": _copy,
    "fahrenheit": _fahrenheit,
    "blend": _blend,
    "rectify": _rectify,
    "fold": _fold,
    "calibrate": _calibrate,
    "center": _center,
    "weighted_total": _weighted_total,
    "turn": _turn,
    "ahead": _ahead,
    "known_by": _known_by,
    "rain_so_far": _rain_so_far,
}


def draw(name: str) -> str:
    """One picture as SVG text."""
    return picture.panels(PICTURES[name]())


def main() -> None:
    """Write every picture into the lab's folder."""
    FOLDER.mkdir(exist_ok=True)
    for name in PICTURES:
        (FOLDER / f"{name}.svg").write_text(draw(name), encoding="utf-8")


if __name__ == "__main__":
    main()
