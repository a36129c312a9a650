"""`python -m course_lib.moe.corpus` makes the tokenizer's file again from the shipped text."""

from __future__ import annotations

from course_lib.moe.corpus.shipped import shipped_documents
from course_lib.moe.corpus.tokenizer import TOKENIZER_FILE, build_tokenizer

if __name__ == "__main__":
    TOKENIZER_FILE.write_text(build_tokenizer(shipped_documents("train")).to_json(), encoding="utf-8")
