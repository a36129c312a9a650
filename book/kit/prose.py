"""Numbers for prose: a cell glues a formatted value, the text quotes it with {glue:text}`key`.

A chapter's number then comes from `course_lib` at every build and cannot go stale.
"""

from typing import Any

import myst_nb


def glue(key: str, value: Any, fmt: str = "{:,.0f}") -> None:
    """Register `value`, formatted, under `key` for {glue:text}`key`; the cell shows nothing.

    Args:
        key: Name used in the text; unique in its chapter, kebab-case by custom.
        value: A number, or a string that is taken as it is.
        fmt: A `str.format` pattern with one field, such as "{:,.1f}" or "{:.0%}".

    Raises:
        ValueError: The key is empty, the value is None, or the pattern does not fit the value.
    """
    if not key.strip():
        raise ValueError(f"glue key {key!r} is empty: name the number, for instance 'llama3-8b-usd'")
    if value is None:
        raise ValueError(f"glue {key!r}: the value is None; say that it is unknown, or glue a word such as 'unknown'")
    if isinstance(value, str):
        text = value
    else:
        try:
            text = fmt.format(value)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise ValueError(f"glue {key!r}: the pattern {fmt!r} does not fit {value!r} ({error})") from error
    # A plain str, whose repr has quotation marks: MyST-NB reads the repr as a Python literal, so that a bare 112,117
    # would come out as the tuple (112, 117), and a bare 0.30 as 0.3.
    myst_nb.glue(key, text, display=False)
