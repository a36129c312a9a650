"""Text in splits and domains, and its way into a run: batches by number for training, every window once to evaluate."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from course_lib.distributed import TokenBatches
from course_lib.moe.corpus.tokenizer import Ids, TextTokenizer
from course_lib.moe.corpus.windows import Windows, cut_windows
from course_lib.moe.errors import MoEError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class TokenArrays:
    """Tokens in memory, one shard for each domain: what `TokenBatches` reads from.

    Args:
        arrays: (tokens,) each.
    """

    arrays: tuple[Ids, ...]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens in each shard."""
        return tuple(len(array) for array in self.arrays)

    @property
    def fingerprint(self) -> str:
        """Equal for equal tokens in equal order."""
        digest = hashlib.sha256()
        for array in self.arrays:
            digest.update(len(array).to_bytes(8, "little") + array.tobytes())
        return digest.hexdigest()

    def read(self, shard: int, start: int, stop: int) -> Ids:
        """Tokens [start, stop) of one shard  # (stop - start,)."""
        return self.arrays[shard][start:stop]


@dataclass(frozen=True, eq=False)
class Corpus:
    """A body of text.

    Args:
        name: where it comes from.
        texts: split → domain → documents.
        tokenizer: turns them into ids.
        encode: documents → ids in a row, where the tokenizer's own `encode_documents` is not the right way.
    """

    name: str
    texts: Mapping[str, Mapping[str, Sequence[str]]] = field(repr=False)
    tokenizer: TextTokenizer = field(repr=False)
    encode: Callable[[Sequence[str]], Ids] | None = field(default=None, repr=False)
    _kept: dict[tuple[str, str], Ids] = field(default_factory=dict, repr=False)

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains, in the order of their numbers."""
        return tuple(self.texts["train"])

    @property
    def vocab_size(self) -> int:
        """What a model for this text must have as its vocabulary."""
        return self.tokenizer.vocab_size

    def tokens(self, split: str, domain: str) -> Ids:
        """The ids of one domain's documents in a row, an end mark behind each; encoded once  # (tokens,).

        Raises:
            MoEError: for an unknown split or domain.
        """
        check_split(split)
        if domain not in self.domains:
            raise MoEError.of("domain", domain, f"is not in corpus {self.name!r}", f"use one of {self.domains}")
        if (split, domain) not in self._kept:
            encode = self.encode or self.tokenizer.encode_documents
            self._kept[split, domain] = encode(self.texts[split][domain])
        return self._kept[split, domain]

    def batches(self, split: str, global_batch: int, sequence_length: int, *, seed: int = 0) -> TokenBatches:
        """Batches by step number, of all domains shuffled together in proportion to their size.

        Args:
            split: "train", "validation" or "test".
            global_batch: sequences per step, all ranks together.
            sequence_length: tokens per sequence that the model predicts.
            seed: of the order.

        Returns:
            Batch i is the same text on any number of ranks; `row_domains(batches, i)` says where its rows are from.

        Raises:
            MoEError: for an unknown split.
            TrainingSetupError: for a number out of range, or windows longer than the text.
        """
        arrays = tuple(self.tokens(split, domain) for domain in self.domains)
        return TokenBatches(TokenArrays(arrays), global_batch, sequence_length, seed, mixed_shards=len(arrays))

    def windows(self, split: str, sequence_length: int, *, most: int | None = None) -> Windows:
        """Every window of a split once, for a perplexity that does not depend on an order.

        Args:
            split: "train", "validation" or "test".
            sequence_length: tokens per window that the model predicts.
            most: take at most so many of each domain, evenly spaced; all when left out.

        Raises:
            MoEError: for an unknown split, a number out of range, or windows longer than the text.
        """
        return cut_windows([self.tokens(split, domain) for domain in self.domains], sequence_length, most)


def row_domains(batches: TokenBatches, step: int) -> Tensor:
    """Number of the domain of each row of a global batch  # (global_batch,) of int64."""
    first: int = batches.state(step)["position"]
    places = batches.order.take(first, first + batches.global_batch)
    return torch.from_numpy(np.array([shard for shard, _ in places], np.int64))


def check_split(split: str) -> None:
    """Raise `MoEError` unless a split of this name exists."""
    if split not in SPLITS:
        raise MoEError.of("split", split, "is not known", f"use one of {', '.join(SPLITS)}")
