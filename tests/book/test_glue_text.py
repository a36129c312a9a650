"""Numbers for prose survive MyST-NB: what it prints is exactly what was formatted.

Oracle: MyST-NB's own renderer of glued text, fed with the representation that the kernel sends.
"""

import pytest
from myst_nb.core.variables import format_plain_text

from book.kit import glue as glue_number


@pytest.mark.parametrize(
    ("value", "pattern", "expected"),
    [
        (112_117, "{:,.0f}", "112,117"),
        (0.3, "{:.2f}", "0.30"),
        (0.405, "{:.1%}", "40.5%"),
        (1_044_335.0, "{:,.0f}", "1,044,335"),
        ("not known", "{}", "not known"),
        ("p5.48xlarge", "{}", "p5.48xlarge"),
    ],
)
def test_a_glued_number_reads_as_it_was_formatted(monkeypatch, value, pattern, expected) -> None:
    sent: dict[str, object] = {}
    monkeypatch.setattr("myst_nb.glue", lambda key, text, display: sent.update({key: text}))
    glue_number("some-key", value, pattern)
    assert format_plain_text(repr(sent["some-key"]), "") == expected
