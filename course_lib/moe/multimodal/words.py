"""The few words in which the model is asked and answers, each a token."""

from __future__ import annotations

from collections.abc import Sequence

from course_lib.moe.errors import MoEError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
IMAGE = "<image>"  # stands where a patch is
WORDS = (
    *(IMAGE, *DIGITS, "yes", "no"),
    *("which", "digit", "do", "you", "see", "is", "it", "larger", "than", "an", "even", "?", "."),
)
NUMBER = {word: number for number, word in enumerate(WORDS)}


def encode(text: str) -> list[int]:
    """Ids of words that stand between spaces.

    Raises:
        MoEError: for a word that the model does not know.
    """
    strangers = [word for word in text.split() if word not in NUMBER]
    if strangers:
        raise MoEError.of("word", strangers[0], "is not known", f"use some of {', '.join(WORDS[1:])}")
    return [NUMBER[word] for word in text.split()]


def decode(ids: Sequence[int]) -> str:
    """The words of ids, between spaces.

    Raises:
        MoEError: for an id of no word.
    """
    strangers = [number for number in ids if not 0 <= number < len(WORDS)]
    if strangers:
        raise MoEError.of("id", strangers[0], "is no word's", f"use 0 to {len(WORDS) - 1}")
    return " ".join(WORDS[number] for number in ids)
