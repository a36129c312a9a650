"""Real text to train on: three domains that come with the course, and a reader for WikiText-format files."""

from course_lib.moe.corpus.corpus import Corpus, row_domains
from course_lib.moe.corpus.shipped import HELD_BACK, TRAINED_ON, load_corpus
from course_lib.moe.corpus.tokenizer import TextTokenizer, build_tokenizer, load_tokenizer
from course_lib.moe.corpus.wikitext import load_wikitext
from course_lib.moe.corpus.windows import Windows

__all__ = [
    "HELD_BACK",
    "TRAINED_ON",
    "Corpus",
    "TextTokenizer",
    "Windows",
    "build_tokenizer",
    "load_corpus",
    "load_tokenizer",
    "load_wikitext",
    "row_domains",
]
