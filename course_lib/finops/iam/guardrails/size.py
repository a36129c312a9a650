"""How long a policy may be, and the last check of every generated one.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html (identity policies; white space does
not count) and https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html (service control
policies: 5,120 characters).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from course_lib.finops.iam.document import Kind, count_characters
from course_lib.finops.iam.errors import PolicyError, PolicyTooLargeError
from course_lib.finops.iam.parse import parse_policy

# where a policy is stored: most characters
LIMITS = {
    "managed policy": 6144,
    "inline policies of a user": 2048,
    "inline policies of a group": 5120,
    "inline policies of a role": 10240,
    "service control policy": 5120,
}


def check_size(document: Mapping[str, Any], store: str = "managed policy") -> int:
    """Refuse a policy that AWS would not store.

    Args:
        document: the policy.
        store: a key of `LIMITS`.

    Returns:
        Its length in characters, without white space between its elements.

    Raises:
        PolicyTooLargeError: it is longer than the limit; the message names both and its longest statement.
        PolicyError: the store is unknown.
    """
    if store not in LIMITS:
        raise PolicyError.of("store", store, "is unknown", f"give one of {sorted(LIMITS)}")
    characters = count_characters(document)
    if characters <= LIMITS[store]:
        return characters
    statements = document.get("Statement", [])
    blocks = [statements] if isinstance(statements, Mapping) else list(statements)
    longest = max(blocks, key=count_characters)
    raise PolicyTooLargeError.of(
        "policy",
        f"{characters} characters",
        f"is over the limit of {LIMITS[store]} for a {store}; its longest statement is {longest.get('Sid', '?')!r} "
        f"with {count_characters(longest)}",
        "name fewer instance types, roles or tags, write patterns such as 'trn1.*', or split it into two policies",
    )


def finished(statements: list[dict[str, Any]], kind: Kind, store: str = "managed policy") -> dict[str, Any]:
    """Make a document of statements, checked as AWS would check it.

    Args:
        statements: in reading order.
        kind: what it will be attached to.
        store: a key of `LIMITS`.

    Returns:
        The policy document.

    Raises:
        MalformedPolicyError: an argument of the generator made it malformed.
        PolicyTooLargeError: it is too long.
    """
    document: dict[str, Any] = {"Version": "2012-10-17", "Statement": statements}
    parse_policy(document, kind)
    check_size(document, store)
    return document
