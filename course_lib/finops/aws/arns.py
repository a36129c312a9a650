"""ARNs: what they name, and in whose account it is.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html ("ARN format").
"""

from __future__ import annotations

import re

from course_lib.finops.errors import FinopsError

_ARN = re.compile(r"arn:(aws[a-z-]*):([a-z0-9-]+):([a-z0-9-]*):(\d{12}|aws)?:(\S+)", re.ASCII)


def account_of_arn(arn: str) -> str | None:
    """The number in an ARN of the account that owns what it names; "" where it has none, as a bucket's; None for text
    that is no ARN."""
    found = _ARN.fullmatch(arn)
    return None if found is None else found[4] or ""


def check_own(name: str, arn: str, account: str | None, example: str, error: type[FinopsError] = FinopsError) -> None:
    """Refuse the ARN of another account's resource, of another kind of thing, and what is no ARN.

    AWS would refuse it, too, but later, when something else may have been made already.

    Args:
        name: of the argument.
        arn: what was given.
        account: the number of the account that is worked in; None where nobody has asked for it yet.
        example: an ARN of the kind that is needed: the same service, and the same first word of the resource.
        error: what is raised.

    Raises:
        FinopsError: or the given `error`; names the account that was found, the expected one, and what to do.
    """
    owner = account_of_arn(arn)
    if owner is None or _kind(arn) != _kind(example):
        raise error.of(name, arn, "is no ARN such as belongs here", f"write one like {example}")
    if account is not None and owner not in ("", account):
        raise error.of(
            name,
            arn,
            f"belongs to account {owner}, and this is account {account}",
            f"name one of account {account}, or log in to account {owner}",
        )


def _kind(arn: str) -> tuple[str, str]:
    """The service, and the resource's first word where it is followed by a slash."""
    _, _, service, _, _, resource = arn.split(":", 5)
    word, slash, _ = resource.partition("/")
    return service, word if slash else ""
