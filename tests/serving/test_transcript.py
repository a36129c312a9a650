"""Text while it comes. Oracle: the tokenizers package's decode of all tokens at once, and str.find for stop texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from course_lib.serving.transcript import Transcript, byte_alphabet, token_text


def written(tokenizer, tokens, stops=(), prompt=()):
    """The pieces of a text and the tokens that were told with them."""
    transcript = Transcript(tokenizer, stops, prompt)
    pieces, records = [], []
    for token in tokens:
        piece, told = transcript.add(token)
        pieces.append(piece)
        records += told
        if transcript.stopped:
            break
    piece, told = transcript.finish()
    return transcript, [*pieces, piece], records + told


TEXT = "the cat 🙂 sat über 日本語 STOP the end"


def test_pieces_add_up_to_the_text_and_no_piece_holds_half_a_character(tokenizer):
    """Oracle: the text that was encoded."""
    tokens = tokenizer.encode(TEXT).ids
    transcript, pieces, records = written(tokenizer, tokens)
    assert "".join(pieces) == transcript.text == TEXT
    assert not any("\ufffd" in piece for piece in pieces)
    assert [one.token for one in records] == tokens


@pytest.mark.parametrize(
    "stops",
    [["STOP"], ["end", "🙂"], ["日本", "never"], ["t"], ["the end", "the endless"], ["STOP the", "TOP"]],
    ids=str,
)
def test_a_text_ends_before_the_first_stop_text_wherever_tokens_split_it(tokenizer, stops):
    """Oracle: str.find; the first to be complete counts."""
    cut = min((place + len(stop), place) for stop in stops if (place := TEXT.find(stop)) >= 0)[1]
    transcript, pieces, records = written(tokenizer, tokenizer.encode(TEXT).ids, stops)
    assert "".join(pieces) == TEXT[:cut]
    assert transcript.stopped
    assert all(one.offset < cut for one in records)


def test_what_may_begin_a_stop_text_is_held_back_and_given_at_the_end(tokenizer):
    """Oracle: "the en" begins "the end!", so it is not settled until no token follows."""
    tokens = tokenizer.encode("so the en").ids
    transcript = Transcript(tokenizer, ["the end!"])
    before = "".join(transcript.add(token)[0] for token in tokens)
    assert before == "so "
    assert transcript.finish()[0] == "the en"
    assert not transcript.stopped


@given(st.lists(st.integers(1, 300), max_size=40), st.lists(st.integers(1, 300), max_size=12))
def test_any_tokens_give_the_text_of_decode(tokens, prompt):
    """Oracle: decode of prompt and tokens, of which half characters at the seam may read differently."""
    tokenizer = BYTES
    _, pieces, records = written(tokenizer, [t % 256 for t in tokens], prompt=[])
    assert "".join(pieces) == tokenizer.decode([t % 256 for t in tokens])
    assert len(records) == len(tokens)
    # after another prompt no token is lost either, whatever bytes it ends with
    assert len(written(tokenizer, [t % 256 for t in tokens], prompt=[t % 256 for t in prompt])[2]) == len(tokens)


def byte_tokenizer() -> Tokenizer:
    """Each byte a token, the hardest case for half characters."""
    made = Tokenizer(models.BPE(vocab={c: b for c, b in byte_alphabet().items()}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return made


BYTES = byte_tokenizer()


def test_the_byte_alphabet_is_that_of_the_tokenizers_package():
    """Oracle: tokenizers.pre_tokenizers.ByteLevel.alphabet and its encoding of every byte of a text."""
    assert set(byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())
    text = "aé日🙂 \n\x7f"
    assert BYTES.encode(text).ids == list(text.encode())


def test_a_token_that_is_half_a_character_is_named_by_its_bytes(tokenizer):
    """Oracle: the UTF-8 of the smiling face, and the way OpenAI's legacy completions write bytes."""
    names = [token_text(tokenizer, token) for token in tokenizer.encode("🙂").ids]
    assert "".join(names).replace("bytes:", "") == "".join(f"\\x{byte:02x}" for byte in "🙂".encode())
    assert token_text(tokenizer, tokenizer.get_vocab_size() + 5).startswith("token_id:")
