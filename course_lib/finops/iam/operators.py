"""The comparisons of the condition operators: one value of a policy with one value of a request.

Each family has a check of what a policy may write and a comparison. Negation, sets and missing keys are the business
of `conditions.py`. Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from course_lib.finops.iam.context import Context
from course_lib.finops.iam.variables import Template
from course_lib.finops.iam.wildcards import matches

# The date forms of https://www.w3.org/TR/NOTE-datetime; a time of day always has a zone.
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-][01]\d:[0-5]\d))?)?)?", re.ASCII
)
_EPOCH = re.compile(r"\d{5,12}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)


@dataclass(frozen=True)
class Comparison:
    """How one family of operators reads and compares values.

    Attributes:
        readable: whether a policy may write this value.
        must_be: what it must write, for messages.
        variables: whether policy variables may stand in it.
        holds: compares the policy's value, the request's value and the context; never raises.
    """

    readable: Callable[[str], bool]
    must_be: str
    variables: bool
    holds: Callable[[Template, str, Context], bool]


def read_number(text: str) -> Decimal | None:
    """A decimal number, or None for any other text."""
    try:
        return Decimal(text) if _NUMBER.fullmatch(text) else None
    except InvalidOperation:  # longer than Decimal's limits
        return None


def read_date(text: str) -> Decimal | None:
    """Seconds since 1970 of an ISO 8601 date or of an epoch time, or None for any other text.

    Four digits are a year, five and more are epoch seconds.
    """
    if _EPOCH.fullmatch(text):
        return Decimal(text)
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    offset = timedelta()
    if zone and zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    try:
        moment = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC
        )
    except ValueError:  # the 30th of February
        return None
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC)) - offset
    return Decimal(seconds.days * 86400 + seconds.seconds) + Decimal(f"0.{fraction or 0}")


def read_bytes(text: str) -> bytes | None:
    """The bytes of a base64 text, or None for any other text."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def read_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An address range in CIDR form; a lone address is the range of that address. None for any other text."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def is_arn_pattern(text: str) -> bool:
    """Whether a text has the six components of an ARN; colons inside of ${...} separate nothing."""
    return re.sub(r"\$\{[^}]*\}", "", text).count(":") >= 5


def _string(wildcards: bool) -> Callable[[Template, str, Context], bool]:
    def holds(wanted: Template, value: str, context: Context) -> bool:
        tokens = wanted.tokens(context, wildcards)
        return tokens is not None and matches(tokens, value)

    return holds


def _ignoring_case(wanted: Template, value: str, context: Context) -> bool:
    text = wanted.filled(context)
    if text is None or len(text) != len(value):
        return False
    return all(a.lower() == b.lower() or a.upper() == b.upper() for a, b in zip(text, value, strict=True))


def _boolean(wanted: Template, value: str, context: Context) -> bool:
    text = wanted.filled(context)
    return text is not None and text.lower() == value.lower() and value.lower() in ("true", "false")


def _binary(wanted: Template, value: str, context: Context) -> bool:
    found = read_bytes(value)
    return found is not None and read_bytes(wanted.text) == found


def _address(wanted: Template, value: str, context: Context) -> bool:
    network = read_network(wanted.text)
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return network is not None and address.version == network.version and address in network


def _arn(wanted: Template, value: str, context: Context) -> bool:
    """Compare the six components one by one; the last may hold further colons."""
    tokens = wanted.tokens(context)
    if tokens is None:
        return False
    components = value.split(":", 5)
    patterns: list[list[object]] = [[]]
    for token in tokens:
        if token == ":" and len(patterns) < 6:
            patterns.append([])
        else:
            patterns[-1].append(token)
    if len(components) < 6 or len(patterns) < 6:
        return False
    return all(matches(pattern, component) for pattern, component in zip(patterns, components, strict=True))  # type: ignore[arg-type]


def _ordered(
    read: Callable[[str], Decimal | None], test: Callable[[Decimal, Decimal], bool]
) -> Callable[[Template, str, Context], bool]:
    def holds(wanted: Template, value: str, context: Context) -> bool:
        bound, found = read(wanted.text), read(value)
        return bound is not None and found is not None and test(found, bound)

    return holds


_TESTS: dict[str, Callable[[Decimal, Decimal], bool]] = {
    "Equals": lambda found, bound: found == bound,
    "NotEquals": lambda found, bound: found == bound,  # negated by its name
    "LessThan": lambda found, bound: found < bound,
    "LessThanEquals": lambda found, bound: found <= bound,
    "GreaterThan": lambda found, bound: found > bound,
    "GreaterThanEquals": lambda found, bound: found >= bound,
}


def _is_boolean(text: str) -> bool:
    return text.lower() in ("true", "false")


def _comparisons() -> dict[str, Comparison]:
    table: dict[str, Comparison] = {}
    for not_ in ("", "Not"):
        table[f"String{not_}Equals"] = Comparison(lambda text: True, "a string", True, _string(wildcards=False))
        table[f"String{not_}EqualsIgnoreCase"] = Comparison(lambda text: True, "a string", True, _ignoring_case)
        table[f"String{not_}Like"] = Comparison(lambda text: True, "a string", True, _string(wildcards=True))
        for word in ("Equals", "Like"):  # the two behave identically for ARNs
            table[f"Arn{not_}{word}"] = Comparison(is_arn_pattern, "an ARN with its six components", True, _arn)
    for word, test in _TESTS.items():
        table[f"Numeric{word}"] = Comparison(
            lambda text: read_number(text) is not None, "a number", False, _ordered(read_number, test)
        )
        table[f"Date{word}"] = Comparison(
            lambda text: read_date(text) is not None,
            "an ISO 8601 date with a zone, such as 2026-11-26T12:00:00Z, or epoch seconds",
            False,
            _ordered(read_date, test),
        )
    table["Bool"] = Comparison(lambda text: _is_boolean(text) or "${" in text, "true or false", True, _boolean)
    table["BinaryEquals"] = Comparison(lambda text: read_bytes(text) is not None, "base64", False, _binary)
    for name in ("IpAddress", "NotIpAddress"):
        table[name] = Comparison(
            lambda text: read_network(text) is not None, "an address or a CIDR range", False, _address
        )
    # Null looks at the key's presence alone, so that its comparison is never asked
    table["Null"] = Comparison(_is_boolean, "true or false", False, lambda wanted, value, context: False)
    return table


COMPARISONS = _comparisons()
