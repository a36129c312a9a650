"""An image, a question about it and the answer, as rows of tokens that a model learns from or is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from course_lib.distributed import TrainingSetupError
from course_lib.models import Batch
from course_lib.moe.errors import MoEError, check_count
from course_lib.moe.multimodal.digits import Digits
from course_lib.moe.multimodal.patches import ImageShape
from course_lib.moe.multimodal.words import DIGITS, IMAGE, NUMBER, encode

KINDS = ("name", "even", "larger")
COMPARED = (4,)  # half of the digits are larger: who can't see is right in half of the cases
QUESTION = 6  # words of every question
WORDS_IN_ROW = QUESTION + 1  # and its answer; the full stop is only predicted
IGNORED = -100  # a target that PyTorch's cross-entropy leaves out
STRIDE = 1_000_003  # a prime, so that the seeds of different runs' batches seldom meet


@dataclass(frozen=True)
class ImageTextBatch(Batch):
    """Rows of tokens and their images.

    Args:
        tokens: (rows, seq) of int64; the places of patches hold the id of `<image>`.
        targets: (rows, seq): tokens shifted by one, -100 where nothing is to be predicted.
        pixels: (rows, channels, height, width); None for text alone.
    """

    pixels: Tensor | None = None

    def rows(self, start: int, stop: int) -> ImageTextBatch:
        """The rows from `start` up to `stop`."""
        pixels = None if self.pixels is None else self.pixels[start:stop]
        return ImageTextBatch(self.tokens[start:stop], self.targets[start:stop], pixels)


def question(kind: str, than: int = 0) -> str:
    """The words of a question.

    Raises:
        MoEError: for an unknown kind, or a digit outside of 0 to 9.
    """
    if kind not in KINDS:
        raise MoEError.of("kind", kind, "is not known", f"use one of {', '.join(KINDS)}")
    if isinstance(than, bool) or not 0 <= than <= 9:
        raise MoEError.of("than", than, "is no digit", "use 0 to 9")
    if kind == "name":
        return "which digit do you see ?"
    return f"is it larger than {DIGITS[than]} ?" if kind == "larger" else "is it an even digit ?"


def answer(kind: str, label: int, than: int = 0) -> str:
    """What is right to answer when the image shows `label`."""
    if kind == "name":
        return DIGITS[label]
    return "yes" if (label > than if kind == "larger" else label % 2 == 0) else "no"


def rows_of(digits: Digits, asked: list[tuple[int, str, int]], image: ImageShape | None) -> ImageTextBatch:
    """One row for each question.

    Args:
        digits: the images.
        asked: number of the image, kind of the question, digit to compare with.
        image: how images are cut; None leaves them out, for a model that can't see.

    Returns:
        Of the targets, the answer and the full stop behind it count.
    """
    places = 0 if image is None else image.patches
    texts = []
    for number, kind, than in asked:
        texts.append(encode(f"{question(kind, than)} {answer(kind, int(digits.labels[number]), than)} ."))
    drawn = torch.tensor(texts)  # (rows, QUESTION + 2)
    tokens = torch.full((len(asked), places + WORDS_IN_ROW), NUMBER[IMAGE])
    tokens[:, places:] = drawn[:, :-1]
    targets = torch.full_like(tokens, IGNORED)
    targets[:, -2:] = drawn[:, -2:]
    pixels = None if image is None else digits.pixels[[number for number, _, _ in asked]]
    return ImageTextBatch(tokens, targets, pixels)


def sequence_length(image: ImageShape | None) -> int:
    """Tokens of a row."""
    return (0 if image is None else image.patches) + WORDS_IN_ROW


@dataclass(frozen=True)
class ImageTextBatches:
    """A run's batches by number: random images, and for each a question, half of them "which digit".

    Args:
        digits: the images to draw from.
        global_batch: rows of each batch.
        image: how images are cut; None leaves them out.
        seed: of the run.
    """

    digits: Digits
    global_batch: int
    image: ImageShape | None
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("global_batch", self.global_batch)
        check_count("seed", self.seed, minimum=0)

    def __getitem__(self, step: int) -> ImageTextBatch:
        """The global batch of one step."""
        if step < 0:
            raise TrainingSetupError.of("step", step, "is before the first", "use 0 or more")
        generator = torch.Generator().manual_seed(self.seed * STRIDE + step)
        rows = self.global_batch
        images = torch.randint(len(self.digits), (rows,), generator=generator).tolist()
        kinds = torch.randint(2 * len(KINDS) - 2, (rows,), generator=generator).tolist()
        than = drawn_from(COMPARED, (rows,), generator)
        names = [KINDS[max(0, kind - len(KINDS) + 2)] for kind in kinds]
        return rows_of(self.digits, list(zip(images, names, than, strict=True)), self.image)


def drawn_from(values: tuple[int, ...], shape: tuple[int, ...], generator: torch.Generator) -> list[Any]:
    """Nested lists of this shape, each entry one of `values`."""
    drawn: list[Any] = torch.tensor(values)[torch.randint(len(values), shape, generator=generator)].tolist()
    return drawn


def quiz(digits: Digits, image: ImageShape | None, *, seed: int = 0) -> tuple[ImageTextBatch, list[str]]:
    """Every image with one question of each kind, and the kind of each row.

    Args:
        digits: the images.
        image: how they are cut; None leaves them out.
        seed: of the digits to compare with.
    """
    than = drawn_from(COMPARED, (len(digits), len(KINDS)), torch.Generator().manual_seed(seed))
    asked = [(i, kind, than[i][k]) for i in range(len(digits)) for k, kind in enumerate(KINDS)]
    return rows_of(digits, asked, image), [kind for _, kind, _ in asked]
