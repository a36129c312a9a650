"""How mixtures of experts refuse a value."""

from __future__ import annotations

from course_lib.catalog import InputError


class MoEError(InputError):
    """A mixture of experts can't be built or run as given."""


check_count = MoEError.check_count
check_not_negative = MoEError.check_not_negative
