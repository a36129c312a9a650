"""Handwritten digits that come with the course, as pixels and labels; `data/README.md` says where they are from."""

from __future__ import annotations

import functools
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from course_lib.moe.errors import MoEError

FILE = Path(__file__).parent / "data" / "digits.csv.gz"
SIDE, INK = 8, 16  # pixels of a side; the value of black
TRAINED_ON = 1_397  # the first images; the 400 behind them are held back
SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class Digits:
    """Images and what they show.

    Args:
        pixels: (images, 1, 8, 8) of fp32, 0 for paper to 1 for ink.
        labels: (images,) of int64, 0 to 9.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def load_digits(split: str) -> Digits:
    """The images of a split: "train" the first 1,397 of the file, "test" the last 400.

    The file is cut, not shuffled, since images that stand together in it may be of one hand.

    Raises:
        MoEError: for an unknown split.
    """
    if split not in SPLITS:
        raise MoEError.of("split", split, "is not known", f"use one of {', '.join(SPLITS)}")
    rows = slice(TRAINED_ON) if split == "train" else slice(TRAINED_ON, None)
    table = _table()[rows]
    pixels = torch.from_numpy(table[:, :-1].astype(np.float32)) / INK
    return Digits(pixels.reshape(-1, 1, SIDE, SIDE), torch.from_numpy(table[:, -1].astype(np.int64)))


@functools.cache
def _table() -> np.ndarray:
    """(images, 65) of int: 64 pixels and the digit."""
    with gzip.open(FILE, "rt", encoding="ascii") as file:
        return np.loadtxt(file, delimiter=",", dtype=np.int64)
