"""From tokens to text while they come: whole characters only, and nothing that may turn out to begin a stop text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


@dataclass(frozen=True)
class TokenRecord:
    """One token of a text, as `logprobs` tells it.

    Args:
        token: its id.
        offset: characters of the completion before it.
        logprob: of the token, in nats; None for a prompt's first token, which nothing comes before.
        likeliest: (token id, logprob) of the likeliest tokens at its place.
    """

    token: int
    offset: int
    logprob: float | None
    likeliest: tuple[tuple[int, float], ...] = ()


class Transcript:
    """One completion's text, piece by piece.

    A byte-level token may hold part of a character, and a stop text may spread over several tokens. What could still
    become either is held back until it is settled, so that the pieces add up to the final text.

    Args:
        tokenizer: turns ids into text.
        stops: generation ends before the first of these to be complete.
        prompt: ids that come before; some tokenizers write a token differently at the start of a text.
    """

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = (), prompt: Sequence[int] = ()) -> None:
        self._tokenizer, self._stops = tokenizer, tuple(stops)
        # The last few ids settle how a token is written; a long prompt need not be decoded for it.
        self._before = list(prompt[-8:])
        self._stream = DecodeStream(ids=self._before, skip_special_tokens=True)
        self._tokens: list[int] = []
        self._text, self._given = "", 0
        self._held: list[TokenRecord] = []
        self.stopped = False

    @property
    def text(self) -> str:
        """What has been settled and given out so far."""
        return self._text[: self._given]

    @property
    def length(self) -> int:
        """Characters of whole characters so far, held back or not."""
        return len(self._text)

    def add(
        self, token: int, logprob: float | None = None, likeliest: tuple[tuple[int, float], ...] = ()
    ) -> tuple[str, list[TokenRecord]]:
        """Take the next token.

        Returns:
            The text that is settled by it, often "" or more than one token's, and the records of its tokens.
        """
        self._tokens.append(token)
        self._held.append(TokenRecord(token, len(self._text), logprob, likeliest))
        self._text += self._stream.step(self._tokenizer, token) or ""
        return self._give(self._settled())

    def finish(self) -> tuple[str, list[TokenRecord]]:
        """The rest, when no token follows; half a character becomes U+FFFD."""
        if not self.stopped:
            before = self._tokenizer.decode(self._before, skip_special_tokens=True)
            whole = self._tokenizer.decode(self._before + self._tokens, skip_special_tokens=True)[len(before) :]
            if len(whole) > len(self._text) and whole.startswith(self._text):
                self._text = whole
            self._settled()  # the last character may complete a stop text
        piece, records = self._give(len(self._text))
        if not self.stopped:
            records, self._held = [*records, *self._held], []
        return piece, records

    def _settled(self) -> int:
        """How many characters can't change any more; cuts the text when a stop text is complete."""
        places = [(self._text.find(stop, self._given), stop) for stop in self._stops]
        found = [(place + len(stop), place) for place, stop in places if place >= 0]
        if found:
            # The one that was complete first decides, as if characters came one by one.
            self._text, self.stopped = self._text[: min(found)[1]], True
            return len(self._text)
        for place in range(self._given, len(self._text)):
            rest = self._text[place:]
            if any(stop.startswith(rest) for stop in self._stops):
                return place
        return len(self._text)

    def _give(self, until: int) -> tuple[str, list[TokenRecord]]:
        piece, self._given = self._text[self._given : until], until
        out = [record for record in self._held if record.offset < until]
        self._held = [record for record in self._held if record.offset >= until]
        return piece, out


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """A token by itself, as `logprobs` names it; one that is no whole text is named by its bytes, as OpenAI does."""
    text = tokenizer.decode([token], skip_special_tokens=False)
    if "\ufffd" not in text and text:
        return text
    raw = tokenizer.id_to_token(token)
    if raw is None:
        return f"token_id:{token}"
    alphabet = byte_alphabet()
    if all(character in alphabet for character in raw):
        return "bytes:" + "".join(f"\\x{alphabet[character]:02x}" for character in raw)
    return raw


def byte_alphabet() -> dict[str, int]:
    """The characters that byte-level tokenizers write bytes as.

    Source: Radford et al. 2019 (GPT-2), `bytes_to_unicode`: printable bytes stand for themselves, the others are
        numbered from U+0100.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(b): b for b in printable} | {chr(0x100 + i): b for i, b in enumerate(others)}
