"""Answers in pages, for the calls that this account answers itself."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from course_lib.finops.cloud.wire import ApiCall, ApiError

MOST = 100  # items on a page, unless the caller asks for fewer
WRONG_TOKEN = {
    "ce": "InvalidNextTokenException",
    "budgets": "InvalidNextTokenException",
    "service-quotas": "InvalidPaginationTokenException",
}


def page_of(items: list[Any], call: ApiCall, name: str, token: str = "NextToken", most: int = MOST) -> dict[str, Any]:
    """The page that a call asks for.

    Args:
        items: all of them.
        call: gives MaxResults and the token.
        name: of the list in the answer.
        token: the token's name, in the call and in the answer.
        most: items on a page that a caller may ask for.
    """
    size = int(call.parameters.get("MaxResults") or MOST)
    if not 1 <= size <= most:
        raise ApiError("InvalidParameterException", f"MaxResults must be between 1 and {most}.")
    try:
        start = int(base64.b64decode(call.parameters.get(token) or "MA==", validate=True))
    except (binascii.Error, ValueError):
        raise ApiError(WRONG_TOKEN.get(call.service, "ValidationException"), "The token is not valid.") from None
    answer: dict[str, Any] = {name: items[start : start + size]}
    if start + size < len(items):
        answer[token] = base64.b64encode(str(start + size).encode()).decode()
    return answer
