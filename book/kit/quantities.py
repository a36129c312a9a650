"""Quantities in the words of a reader: a time, a sum of money, a rate, a size.

Each takes the unit that its name says and returns text with three significant digits or so; nothing reads them back.
"""

HOUR, DAY, YEAR = 3600.0, 86400.0, 365.25 * 86400.0


def duration(seconds: float) -> str:
    """A time span: seconds, minutes, hours, days or years, whichever reads best."""
    for size, name in ((YEAR, "years"), (2 * DAY, "days"), (HOUR, "hours"), (60.0, "minutes")):
        if seconds >= size:
            unit = DAY if name == "days" else size
            return f"{_three(seconds / unit)} {name}"
    return f"{_three(seconds)} seconds"


def money(usd: float) -> str:
    """US dollars: cents below 100, millions from 1 million on."""
    if usd >= 1e9:
        return f"${_three(usd / 1e9)} billion"
    if usd >= 1e6:
        return f"${_three(usd / 1e6)} million"
    return f"${usd:,.2f}" if usd < 100 else f"${usd:,.0f}"


def rate(flops_per_s: float) -> str:
    """Operations per second, in TFLOP/s."""
    return f"{_three(flops_per_s / 1e12)} TFLOP/s"


def size(bytes_: float) -> str:
    """Bytes, in GB of 1e9 bytes."""
    return f"{_three(bytes_ / 1e9)} GB"


def count(number: float) -> str:
    """A large round number: 15 trillion, 300 billion, 8 million."""
    for unit, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if number >= unit:
            return f"{number / unit:g} {name}"
    return f"{number:,.0f}"


def _three(value: float) -> str:
    """Three significant digits, no exponent, thousands separated."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3g}"
