"""What counts as a number. Oracle: Python's own conversion to a float."""

import pytest

from course_lib.catalog import is_number
from course_lib.finops.errors import FinopsError


@pytest.mark.parametrize("value", [0, -1, 1.5, 10**308])
def test_numbers_that_a_float_can_hold(value):
    assert is_number(value)
    float(value)


@pytest.mark.parametrize("value", [True, "1", None, float("nan"), float("inf"), 10**309, -(10**400)])
def test_no_numbers(value):
    assert not is_number(value)


def test_a_number_of_four_hundred_digits_is_refused_with_a_remedy():
    with pytest.raises(FinopsError, match=r"^budget=1000.*finite number.*Remedy: "):
        FinopsError.check_not_negative("budget", 10**400, "give a smaller one")
