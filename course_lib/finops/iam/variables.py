"""Policy variables such as ${aws:username}, with default values and the three escapes.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from course_lib.finops.iam.context import Context
from course_lib.finops.iam.wildcards import Token, tokens_of

# ${*} ${?} ${$} are escapes; the rest is a key, perhaps followed by a default in single quotes
_VARIABLE = re.compile(r"\$\{(?:([*?$])|([^{}',*?$]+)(?:, '([^']*)')?)\}")


@dataclass(frozen=True)
class Literal:
    """Text as it is written; in an operator that knows wildcards, its `*` and `?` are wildcards."""

    text: str


@dataclass(frozen=True)
class Fixed:
    """A character written as ${*}, ${?} or ${$}: it always stands for itself."""

    text: str


@dataclass(frozen=True)
class Variable:
    """A context key whose value takes this place; `default` is used where the request has no such key."""

    key: str
    default: str | None


Part = Literal | Fixed | Variable


@dataclass(frozen=True)
class Template:
    """A string of a policy, read once.

    Attributes:
        text: as written in the document.
        parts: the pieces, in order.
    """

    text: str
    parts: tuple[Part, ...]

    @property
    def has_variables(self) -> bool:
        """Whether a value of the request takes part in it."""
        return any(isinstance(part, Variable) for part in self.parts)

    def tokens(self, context: Context, wildcards: bool = True) -> tuple[Token, ...] | None:
        """Fill in the variables.

        Args:
            context: the request's keys.
            wildcards: whether `*` and `?` in the written text are wildcards; in a variable's value they never are.

        Returns:
            The pattern, or None where a variable has no value: such a string equals nothing and is like nothing.
        """
        found: list[Token] = []
        for part in self.parts:
            if isinstance(part, Variable):
                value = context.single(part.key)
                value = value or part.default  # a key with an empty value has no value
                if value is None:
                    return None
                found += value
            elif isinstance(part, Literal) and wildcards:
                found += tokens_of(part.text)
            else:
                found += part.text
        return tuple(found)

    def filled(self, context: Context) -> str | None:
        """The string with its variables filled in and without wildcards, or None where a variable has no value."""
        tokens = self.tokens(context, wildcards=False)
        return None if tokens is None else "".join(str(token) for token in tokens)


def plain(text: str) -> Template:
    """A template without variables: what every string is in a policy of version 2008-10-17."""
    return Template(text, (Literal(text),))


def read_template(text: str) -> Template:
    """Read a string of a policy of version 2012-10-17.

    Args:
        text: the string, such as "home/${aws:username}/*".

    Returns:
        Its template.

    Raises:
        ValueError: a `${` without a readable variable after it; the message shows the piece.
    """
    parts: list[Part] = []
    position = 0
    while (start := text.find("${", position)) >= 0:
        found = _VARIABLE.match(text, start)
        if found is None:
            raise ValueError(text[start : start + 40])
        if start > position:
            parts.append(Literal(text[position:start]))
        escape, key, default = found.groups()
        parts.append(Fixed(escape) if escape else Variable(key, default))
        position = found.end()
    if position < len(text) or not parts:
        parts.append(Literal(text[position:]))
    return Template(text, tuple(parts))
