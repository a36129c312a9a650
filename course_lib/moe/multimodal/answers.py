"""What a model answers to questions about images, and what one answers that has not seen them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from course_lib.moe.errors import check_count
from course_lib.moe.evaluate import evaluating
from course_lib.moe.multimodal.digits import Digits
from course_lib.moe.multimodal.examples import COMPARED, WORDS_IN_ROW, ImageTextBatch, rows_of
from course_lib.moe.multimodal.words import decode

ANSWER = -2  # place of the token at which the answer is predicted: the question mark


def answers(model: nn.Module, rows: ImageTextBatch, *, batch: int = 256) -> Tensor:
    """The word that a model finds most likely as the answer to each row  # (rows,) of int64.

    Args:
        model: an `ImageTextModel`.
        rows: of `quiz`; the right answers stand in them but behind the place that is looked at.
        batch: rows that go through the model at once.

    Raises:
        MoEError: when batch is not at least 1.
    """
    check_count("batch", batch)
    device = next(model.parameters()).device
    found = []
    with evaluating(model):
        for start in range(0, len(rows), batch):
            piece = rows.rows(start, start + batch)
            pixels = None if piece.pixels is None else piece.pixels.to(device)
            found.append(model(piece.tokens.to(device), pixels)[:, ANSWER].argmax(-1).cpu())
    return torch.cat(found)


def accuracy(model: nn.Module, rows: ImageTextBatch, kinds: Sequence[str]) -> dict[str, float]:
    """Share of right answers by kind of question.

    Args:
        model: an `ImageTextModel`.
        rows, kinds: of `quiz`.
    """
    right = (answers(model, rows) == rows.targets[:, ANSWER]).tolist()
    return _shares(right, kinds)


def blind_accuracy(digits: Digits, rows: ImageTextBatch, kinds: Sequence[str]) -> dict[str, float]:
    """What the best guess gets right that knows the question but not the image, by kind of question.

    Args:
        digits: the training images; each question's commonest answer among them is the guess.
        rows, kinds: of `quiz`.
    """
    every = [(i, kind, n) for i in range(len(digits)) for kind in dict.fromkeys(kinds) for n in COMPARED]
    known = rows_of(digits, every, None)
    seen: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for text, target in zip(known.tokens[:, :-1].tolist(), known.targets[:, ANSWER].tolist(), strict=True):
        seen[tuple(text)][target] += 1
    asked = rows.tokens[:, -known.tokens.shape[1] : -1].tolist()
    guess = [seen[tuple(text)].most_common(1)[0][0] for text in asked]
    right = [mine == target for mine, target in zip(guess, rows.targets[:, ANSWER].tolist(), strict=True)]
    return _shares(right, kinds)


def sample(model: nn.Module, rows: ImageTextBatch, number: int) -> tuple[str, str, str]:
    """One row in words: the question, the model's answer, the right one."""
    row = rows.rows(number, number + 1)
    places = 0 if row.pixels is None else row.tokens.shape[1] - WORDS_IN_ROW
    asked = decode(row.tokens[0, places:-1].tolist())
    return asked, decode(answers(model, row).tolist()), decode([int(row.targets[0, ANSWER])])


def _shares(right: Sequence[bool], kinds: Sequence[str]) -> dict[str, float]:
    counts: dict[str, list[bool]] = defaultdict(list)
    for hit, kind in zip(right, kinds, strict=True):
        counts[kind].append(hit)
    return {kind: sum(hits) / len(hits) for kind, hits in counts.items()}
