"""Matching with * and ?, in time proportional to pattern times text however the pattern is built.

A pattern is a tuple of tokens, not a string, because the value of a policy variable may hold a `*` that stands for
itself. Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
("Using wildcards in resource ARNs").
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum


class Wild(Enum):
    """A wildcard: `*` is any run of characters, the empty one included; `?` is exactly one character."""

    ANY = "*"
    ONE = "?"


Token = str | Wild  # one character that stands for itself, or a wildcard


def tokens_of(pattern: str) -> tuple[Token, ...]:
    """Read a pattern in which every `*` and `?` is a wildcard."""
    return tuple(Wild(character) if character in "*?" else character for character in pattern)


def matches(pattern: Sequence[Token], text: str) -> bool:
    """Whether a pattern covers the whole of a text, case-sensitively.

    The last `*` seen is the only one worth going back to, so that no pattern takes exponential time.

    Args:
        pattern: tokens, from `tokens_of`.
        text: the text to cover.

    Returns:
        True if the pattern matches from the first character to the last.
    """
    at = position = 0
    star = resume = -1
    while position < len(text):
        if at < len(pattern) and pattern[at] is Wild.ANY:
            star, resume = at, position
            at += 1
        elif at < len(pattern) and (pattern[at] is Wild.ONE or pattern[at] == text[position]):
            at += 1
            position += 1
        elif star >= 0:
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return all(token is Wild.ANY for token in pattern[at:])


def matches_text(pattern: str, text: str) -> bool:
    """Whether a written pattern, `*` and `?` being wildcards, covers a text; case-sensitive."""
    return pattern == "*" or matches(tokens_of(pattern), text)
