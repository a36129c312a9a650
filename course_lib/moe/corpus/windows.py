"""Windows of a fixed length that cover a text once: what a perplexity is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from course_lib.models import Batch
from course_lib.moe.corpus.tokenizer import Ids
from course_lib.moe.errors import MoEError, check_count


@dataclass(frozen=True)
class Windows:
    """Windows and the domain of each.

    Args:
        tokens: (windows, seq) of int64.
        targets: (windows, seq): tokens shifted by one.
        domains: (windows,) of int64.
    """

    tokens: Tensor
    targets: Tensor
    domains: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def batches(self, size: int) -> Iterator[tuple[Batch, Tensor]]:
        """Batches of at most `size` windows, each with its rows' domains."""
        check_count("size", size)
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield Batch(self.tokens[rows], self.targets[rows]), self.domains[rows]


def cut_windows(arrays: Sequence[Ids], sequence_length: int, most: int | None = None) -> Windows:
    """Cut tokens into windows that follow each other, the few tokens after the last whole one left out.

    Args:
        arrays: (tokens,) of each domain.
        sequence_length: tokens per window that are predicted; a window's last target is the next one's first token.
        most: at most so many of each domain, evenly spaced.

    Raises:
        MoEError: for a number out of range, or when no array holds a window.
    """
    check_count("sequence_length", sequence_length)
    if most is not None:
        check_count("most", most)
    found, domains = [], []
    for domain, array in enumerate(arrays):
        whole = max(0, len(array) - 1) // sequence_length
        taken = whole if most is None else min(most, whole)
        for number in range(taken):
            start = number * whole // taken * sequence_length
            found.append(array[start : start + sequence_length + 1].astype(np.int64))
            domains.append(domain)
    if not found:
        raise MoEError.of("sequence_length", sequence_length, "is longer than the text", "use a shorter one")
    drawn = torch.from_numpy(np.stack(found))  # (windows, seq + 1)
    return Windows(drawn[:, :-1], drawn[:, 1:], torch.tensor(domains))
