"""Answers in pages, for the calls that this account answers itself."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from course_lib.finops.cloud.wire import ApiCall, ApiError

MOST = 100  # items on a page, unless the caller asks for fewer
WRONG_TOKEN = {
    "budgets": "InvalidNextTokenException",
    "service-quotas": "InvalidPaginationTokenException",
}


def page_of(items: list[Any], call: ApiCall, name: str, token: str = "NextToken") -> dict[str, Any]:
    """The page that a call asks for.

    Args:
        items: all of them.
        call: gives MaxResults and NextToken.
        name: of the list in the answer.
        token: of the next page's token in the answer.
    """
    size = int(call.parameters.get("MaxResults") or MOST)
    if not 1 <= size <= MOST:
        raise ApiError("InvalidParameterException", f"MaxResults must be between 1 and {MOST}.")
    try:
        start = int(base64.b64decode(call.parameters.get("NextToken") or "MA==", validate=True))
    except (binascii.Error, ValueError):
        raise ApiError(WRONG_TOKEN.get(call.service, "ValidationException"), "The token is not valid.") from None
    answer: dict[str, Any] = {name: items[start : start + size]}
    if start + size < len(items):
        answer[token] = base64.b64encode(str(start + size).encode()).decode()
    return answer
