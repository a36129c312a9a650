"""Text to numbers and back: byte-level BPE, which no text is foreign to.

The tokenizer comes with the course as `data/tokenizer.json`; `build_tokenizer` makes the same file from the same text.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from course_lib.moe.errors import MoEError, check_count

TOKENIZER_FILE = Path(__file__).parent / "data" / "tokenizer.json"
VOCABULARY = 2048
END = "<|endoftext|>"
UNKNOWN = "<unk>"  # of WikiText, whose authors put it in the place of rare words; this tokenizer needs none
BYTES = 256
AT_ONCE = 512  # documents that are encoded together
Ids = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class TextTokenizer:
    """A byte-level BPE tokenizer with two marks, the end of a document and WikiText's unknown word.

    Marks stand for themselves only where the loader puts them: "<|endoftext|>" in a user's text is plain text.

    Args:
        core: of the `tokenizers` package.
    """

    core: Tokenizer

    @property
    def vocab_size(self) -> int:
        """Number of tokens; ids are below it."""
        return int(self.core.get_vocab_size())

    @property
    def end(self) -> int:
        """Id of the mark behind each document."""
        return self._mark(END)

    @property
    def unknown(self) -> int:
        """Id of WikiText's <unk>."""
        return self._mark(UNKNOWN)

    def encode(self, text: str) -> list[int]:
        """The ids of a text; `decode` gives back exactly this text."""
        ids: list[int] = self.core.encode(text, add_special_tokens=False).ids
        return ids

    def encode_documents(self, documents: Sequence[str]) -> Ids:
        """The ids of all documents in a row, each with the end mark behind it  # (tokens,)."""
        parts: list[Ids] = []
        for start in range(0, len(documents), AT_ONCE):
            for found in self.core.encode_batch_fast(list(documents[start : start + AT_ONCE])):
                parts.append(np.array([*found.ids, self.end], np.uint16))
        return np.concatenate(parts) if parts else np.empty(0, np.uint16)

    def decode(self, ids: Iterable[int], *, marks: bool = False) -> str:
        """The text of some ids; bytes that are no UTF-8 become replacement characters.

        Args:
            ids: each below `vocab_size`.
            marks: show the end and unknown marks instead of leaving them out.

        Raises:
            MoEError: for an id outside of the vocabulary.
        """
        text: str = self.core.decode(self._checked(ids), skip_special_tokens=not marks)
        return text

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Each id's own text, for figures; a piece of a character is shown as replacement characters.

        Raises:
            MoEError: for an id outside of the vocabulary.
        """
        return [self.decode([one], marks=True) for one in self._checked(ids)]

    def to_json(self) -> str:
        """The tokenizer in the format of `tokenizer.json`, which Hugging Face's libraries read as well."""
        return str(self.core.to_str(pretty=True)) + "\n"

    def _mark(self, mark: str) -> int:
        found = self.core.token_to_id(mark)
        if found is None:
            raise MoEError.of("tokenizer", mark, "is not among its tokens", "make it by build_tokenizer(texts)")
        return found

    def _checked(self, ids: Iterable[int]) -> list[int]:
        listed = [int(one) for one in ids]
        for one in listed:
            if not 0 <= one < self.vocab_size:
                raise MoEError.of("id", one, f"is not in the vocabulary of {self.vocab_size}", "decode its own ids")
        return listed


def build_tokenizer(documents: Iterable[str], vocab_size: int = VOCABULARY) -> TextTokenizer:
    """Learn a byte-level BPE tokenizer; the same documents give the same tokenizer.

    Args:
        documents: the text to learn merges from.
        vocab_size: tokens in all: 256 bytes, 2 marks, and as many merges as fit.

    Raises:
        MoEError: for a vocabulary that bytes and marks alone would fill, or that 16 bits can't number.

    Source: Sennrich et al. 2016 (arXiv:1508.07909) for BPE; Radford et al. 2019 for bytes as its alphabet and the
        pattern that keeps merges within words.
    """
    check_count("vocab_size", vocab_size)
    if not BYTES + 2 < vocab_size <= 2**16:
        raise MoEError.of("vocab_size", vocab_size, f"must be from {BYTES + 3} to {2**16}", f"use {VOCABULARY}")
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END, UNKNOWN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(documents, trainer)
    return _ready(core)


@functools.cache
def load_tokenizer() -> TextTokenizer:
    """The tokenizer of the shipped text, read once."""
    return _ready(Tokenizer.from_file(str(TOKENIZER_FILE)))


def _ready(core: Tokenizer) -> TextTokenizer:
    core.encode_special_tokens = True  # else text that happens to spell a mark would turn into it
    return TextTokenizer(core)
