"""Student's t without SciPy: the quantile that widens an interval when few measurements stand behind it."""

import math

from course_lib.arithmetic.errors import check_count, check_fraction


def two_sided_t(confidence: float, degrees: int) -> float:
    """The t with `confidence` of the distribution between -t and t.

    Args:
        confidence: share, such as 0.95; below 1.
        degrees: of freedom.

    Returns:
        The quantile.

    Raises:
        ArithmeticInputError: for a number outside of its domain.

    Source: Abramowitz & Stegun, 26.7.3 and 26.7.4, solved for t by bisection.
    """
    check_fraction("confidence", confidence)
    check_count("degrees", degrees)
    low, high = 0.0, math.pi / 2  # of atan(t / sqrt(degrees))
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_within(middle, degrees) < confidence else (low, middle)
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _share_within(angle: float, degrees: int) -> float:
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for i in range(2 + odd, degrees - 1, 2):
        term *= cosine * cosine * (i - 1) / i
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
