"""A learner's own copy of WikiText, or of any text in its format, in the place of the shipped one.

The format: `wiki.train.tokens`, `wiki.valid.tokens` and `wiki.test.tokens` (or `.raw`), one paragraph on each line,
" = Title = " above an article, " = = Section = = " within it, and "<unk>" for words that its authors found too rare.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from course_lib.moe.corpus.corpus import Corpus
from course_lib.moe.corpus.tokenizer import UNKNOWN, Ids, TextTokenizer, load_tokenizer
from course_lib.moe.errors import MoEError

NAMES = {"train": "train", "validation": "valid", "test": "test"}
ENDINGS = ("tokens", "raw")
TITLE = re.compile(r"^ ?= (?!=)[^\n]*(?<!=) = ?$", re.MULTILINE)


def load_wikitext(folder: str | Path, tokenizer: TextTokenizer | None = None) -> Corpus:
    """Read a folder in WikiText's format.

    The text stays as it is in the files, spaces before commas included. Perplexities are per token of the tokenizer,
    not per word as in papers about WikiText.

    Args:
        folder: with the three files.
        tokenizer: the shipped one when left out; `build_tokenizer(texts)` makes one that fits this text better.

    Returns:
        A corpus of one domain, "wikitext", whose documents are the articles.

    Raises:
        MoEError: for a missing folder or file, an empty file, or text that is no UTF-8.

    Source: Merity et al. 2016 (arXiv:1609.07843) section 4.3 for the data.
    """
    path = Path(folder)
    if not path.is_dir():
        raise MoEError.of("folder", str(folder), "is no folder", "unpack WikiText and give the folder of its files")
    used = tokenizer or load_tokenizer()
    texts = {split: {"wikitext": articles(_read(path, name))} for split, name in NAMES.items()}
    return Corpus("wikitext", texts, used, lambda documents: encode_with_unknown(used, documents))


def articles(text: str) -> list[str]:
    """Cut a file at its articles' titles; what stands above the first is a document too."""
    starts = [found.start() for found in TITLE.finditer(text)]
    edges = [0, *starts, len(text)]
    parts = (text[first:last].strip("\n") for first, last in itertools.pairwise(edges))
    return [part for part in parts if part.strip()]


def encode_with_unknown(tokenizer: TextTokenizer, documents: Sequence[str]) -> Ids:
    """`encode_documents` for text in which "<unk>" stands for a word: one id instead of five characters' ids."""
    ids: list[Ids] = []
    for document in documents:
        pieces = tokenizer.encode_documents(document.split(UNKNOWN))  # (tokens,), an end mark behind each piece
        ends = np.flatnonzero(pieces == tokenizer.end)
        pieces[ends[:-1]] = tokenizer.unknown
        ids.append(pieces)
    return np.concatenate(ids) if ids else np.empty(0, np.uint16)


def _read(folder: Path, name: str) -> str:
    paths = [folder / f"wiki.{name}.{ending}" for ending in ENDINGS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
        raise MoEError.of(
            "folder", str(folder), f"has no {paths[0].name} (there is: {there})", "give the folder of WikiText's files"
        )
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise MoEError.of(
            "file", str(path), f"is no UTF-8 from byte {error.start} on", "save it again in UTF-8"
        ) from error
    if not text.strip():
        raise MoEError.of("file", str(path), "is empty", "download it again")
    if "\0" in text:
        raise MoEError.of("file", str(path), "holds zero bytes: it is no UTF-8 text", "save it again in UTF-8")
    return text
