"""The building blocks of a row's schema: pydantic turns them into checks and messages.

Every row type has `source: Text` and `date: Date`: a fact that nobody can trace is not a fact.
"""

import datetime
import re
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

# For `pydantic.dataclasses.dataclass(frozen=True, config=ROW)`: a misspelled column is an error, and so is nan.
ROW = ConfigDict(extra="forbid", allow_inf_nan=False)


def _iso_date(value: object) -> object:
    # pydantic alone would also read 20260720 as seconds since 1970
    if isinstance(value, datetime.datetime):
        raise ValueError("must be a date without a time")
    if isinstance(value, datetime.date):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value.strip()):
        raise ValueError("must be a date written YYYY-MM-DD")
    try:
        return datetime.date.fromisoformat(value.strip())
    except ValueError as error:
        raise ValueError(f"must be a date that exists ({error})") from None


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Date = Annotated[datetime.date, BeforeValidator(_iso_date)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]

REMEDY_BY_FIELD = {
    "source": "say where the fact was read: a document, a page or a file with its version",
    "date": "write the day on which the source said so, as YYYY-MM-DD",
}
REMEDY_BY_PROBLEM = {
    "missing": "fill the field in, or delete the row if the fact is not known",
    "unexpected_keyword_argument": "correct the spelling or remove the field",
    "greater_than": "correct the number; leave an unknown optional number out and say why in the note",
    "greater_than_equal": "correct the number; leave an unknown price empty and say why in the note",
    "literal_error": "use one of the values listed, or extend the schema and its tests first",
}
