"""The text that comes with the course: three domains to train on, and one that no model has seen.

`data/README.md` names the sources and their licenses.
"""

from __future__ import annotations

import functools
import lzma
from collections.abc import Sequence
from pathlib import Path

from course_lib.moe.corpus.corpus import SPLITS, Corpus, check_split
from course_lib.moe.corpus.tokenizer import TextTokenizer, load_tokenizer
from course_lib.moe.errors import MoEError

DATA = Path(__file__).parent / "data"
TRAINED_ON = ("novels", "jargon", "code")
HELD_BACK = ("satire",)  # for fine-tuning: the tokenizer has not seen it either
BETWEEN = "\n\f\n"  # what stands between two documents of a file
EVERY = 20  # of so many documents in a row, the last but one is for validation and the last for the test


@functools.cache
def read_domain(domain: str) -> tuple[str, ...]:
    """All documents of one domain: chapters, dictionary entries or source files."""
    text = lzma.decompress((DATA / f"{domain}.txt.xz").read_bytes()).decode("utf-8")
    return tuple(text.removesuffix("\n").split(BETWEEN))


def shipped_documents(split: str, domains: Sequence[str] = TRAINED_ON) -> list[str]:
    """The documents of some domains, in order.

    Args:
        split: "train", "validation" or "test": 18, 1 and 1 of every 20 documents of a domain.
        domains: some of `TRAINED_ON` and `HELD_BACK`.

    Raises:
        MoEError: for an unknown split or domain.
    """
    check_split(split)
    return [document for domain in domains for document in _part(domain, split)]


def load_corpus(domains: Sequence[str] = TRAINED_ON, tokenizer: TextTokenizer | None = None) -> Corpus:
    """The shipped text as tokens.

    Args:
        domains: some of `TRAINED_ON` and `HELD_BACK`, each once; a row's domain is its number in this order.
        tokenizer: the shipped one when left out.

    Raises:
        MoEError: for an unknown domain, one that is named twice, or none.
    """
    if isinstance(domains, str) or not domains or len(set(domains)) != len(domains):
        raise MoEError.of("domains", domains, "must name at least one domain, each once", f"use {TRAINED_ON!r}")
    for domain in domains:
        _check_domain(domain)
    return _corpus(tuple(domains), tokenizer or load_tokenizer())


@functools.cache
def _corpus(domains: tuple[str, ...], tokenizer: TextTokenizer) -> Corpus:
    texts = {split: {domain: _part(domain, split) for domain in domains} for split in SPLITS}
    return Corpus("shipped", texts, tokenizer)


def _part(domain: str, split: str) -> list[str]:
    _check_domain(domain)
    places = {"train": range(EVERY - 2), "validation": range(EVERY - 2, EVERY - 1), "test": range(EVERY - 1, EVERY)}
    return [text for number, text in enumerate(read_domain(domain)) if number % EVERY in places[split]]


def _check_domain(domain: str) -> None:
    known = TRAINED_ON + HELD_BACK
    if domain not in known:
        raise MoEError.of("domain", domain, "does not come with the course", f"use one of {', '.join(known)}")
