"""The tokenizer: reproducible, lossless, and deaf to marks in a user's text."""

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.moe import MoEError
from course_lib.moe.corpus import build_tokenizer, load_tokenizer
from course_lib.moe.corpus.shipped import shipped_documents
from course_lib.moe.corpus.tokenizer import TOKENIZER_FILE, VOCABULARY


def test_the_shipped_file_is_what_the_shipped_text_gives():
    """Oracle: the file in the repository."""
    assert build_tokenizer(shipped_documents("train")).to_json() == TOKENIZER_FILE.read_text(encoding="utf-8")


def test_the_file_is_read_by_the_tokenizers_package_alone():
    """Oracle: `tokenizers`, without our code."""
    plain = tokenizers.Tokenizer.from_file(str(TOKENIZER_FILE))
    text = "def forward(self, x): return x  # 'It is a truth universally acknowledged'"
    assert plain.encode(text).ids == load_tokenizer().encode(text)
    assert plain.get_vocab_size() == VOCABULARY


@settings(max_examples=50)
@given(st.text())
def test_any_text_comes_back_exactly(text):
    """Oracle: the text itself; what has no UTF-8 form is no text."""
    encodable = text.encode("utf-8", "ignore").decode("utf-8")
    assert load_tokenizer().decode(load_tokenizer().encode(encodable)) == encodable


@pytest.mark.parametrize("mark", ["<|endoftext|>", "<unk>"])
def test_a_mark_in_a_text_is_text(mark):
    """Oracle: the ids that stand for the marks; a user's text must not be able to end a document."""
    tokenizer = load_tokenizer()
    ids = tokenizer.encode(f"say {mark} again")
    assert not {tokenizer.end, tokenizer.unknown} & set(ids)
    assert tokenizer.decode(ids) == f"say {mark} again"
    row = tokenizer.encode_documents([f"say {mark}", "again"])
    assert (row == tokenizer.end).sum() == 2


def test_documents_in_a_row_are_the_documents_one_by_one():
    """Oracle: `encode` of each."""
    tokenizer = load_tokenizer()
    documents = ["first", "", "zweiter Satz, größer"] * 300
    expected = [one for text in documents for one in [*tokenizer.encode(text), tokenizer.end]]
    row = tokenizer.encode_documents(documents)
    assert row.dtype == np.uint16
    assert row.tolist() == expected
    assert tokenizer.encode_documents([]).shape == (0,)


def test_pieces_put_together_are_the_text():
    tokenizer = load_tokenizer()
    assert "".join(tokenizer.pieces(tokenizer.encode("the expert's router"))) == "the expert's router"
    assert tokenizer.pieces([tokenizer.end]) == ["<|endoftext|>"]
    assert tokenizer.decode([tokenizer.end]) == ""
    assert tokenizer.decode([tokenizer.end], marks=True) == "<|endoftext|>"


def test_it_compresses_the_text_it_was_made_for():
    """Oracle: bytes of UTF-8; words of English and code repeat, so that a token is worth at least 2.5 of them."""
    for domain, least in [("novels", 2.9), ("jargon", 2.5), ("code", 2.9)]:
        text = shipped_documents("validation", [domain])[0]
        assert len(text.encode()) / len(load_tokenizer().encode(text)) > least


@pytest.mark.parametrize("bad", [-1, VOCABULARY])
def test_an_id_outside_of_the_vocabulary_is_refused(bad):
    with pytest.raises(MoEError, match=f"id={bad} is not in the vocabulary of {VOCABULARY}"):
        load_tokenizer().decode([5, bad])


@pytest.mark.parametrize("size", [258, 2**16 + 1])
def test_a_vocabulary_that_can_t_be_is_refused(size):
    with pytest.raises(MoEError, match=f"vocab_size={size} must be from 259 to 65536"):
        build_tokenizer(["text"], size)
