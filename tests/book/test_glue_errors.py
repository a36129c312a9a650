"""A glued number that cannot be right is refused where it is glued. Oracle: the message names key and remedy."""

import pytest

from book.kit import glue


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="name the number"):
        glue(" ", 1)


def test_an_unknown_value_is_refused_for_prose_must_say_so() -> None:
    with pytest.raises(ValueError, match=r"'trn3-price': the value is None; say that it is unknown"):
        glue("trn3-price", None)


@pytest.mark.parametrize(("value", "pattern"), [(1.5, "{:d}"), (1, "{} {}"), (1, "{missing}")])
def test_a_pattern_that_does_not_fit_is_refused_with_both(value: float, pattern: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        glue("key", value, pattern)
