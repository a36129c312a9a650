"""The checks of what the generators are given: accounts, regions, instance types, tags, roles."""

from __future__ import annotations

import re
from collections.abc import Sequence

from course_lib.finops.iam.errors import PolicyError
from course_lib.finops.iam.variables import Variable, read_template

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d", re.ASCII)
_TYPE = re.compile(r"[a-z0-9][a-z0-9-]*\.(\*|[a-z0-9-]+)", re.ASCII)
_VOLUME_TYPE = re.compile(r"[a-z]{2,8}\d?", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9+=._:/@-]{1,128}", re.ASCII)
_IMAGE_OWNER = re.compile(r"amazon|aws-marketplace|\d{12}", re.ASCII)
_PERSONAL = ("aws:username", "aws:userid", "aws:sourceidentity", "aws:principaltag/")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+\*?", re.ASCII)


def check_account(account: str) -> None:
    """Refuse what is no account number."""
    if not isinstance(account, str) or not re.fullmatch(r"\d{12}", account, re.ASCII):
        raise PolicyError.of("account", account, "must be 12 digits, as a string", "write it as in '111122223333'")


def check_list(name: str, values: Sequence[str], pattern: re.Pattern[str], example: str, least: int = 1) -> list[str]:
    """Refuse a string in place of a list, too few values, a doubled one, and one that does not look right."""
    if isinstance(values, str):
        raise PolicyError.of(name, values, "must be a list, not one string", f"write [{example!r}]")
    found = list(values)
    if len(found) < least:
        raise PolicyError.of(name, values, f"must hold at least {least}", f"give one such as {example!r}")
    for value in found:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise PolicyError.of(name, value, "can't be read", f"write it as in {example!r}")
    if len({value.lower() for value in found}) < len(found):
        raise PolicyError.of(name, values, "names one twice, or two that differ only in case", "name each once")
    return found


def check_regions(regions: Sequence[str]) -> list[str]:
    """Regions by name; a wildcard is refused, because a region is where the money goes."""
    return check_list("regions", regions, _REGION, "us-east-1")


def check_types(types: Sequence[str]) -> list[str]:
    """Instance types, or a whole family such as "trn1.*"; a lone wildcard is refused."""
    return check_list("instance_types", types, _TYPE, "trn1.2xlarge")


def check_volume_types(types: Sequence[str]) -> list[str]:
    """EBS volume types by name."""
    return check_list("volume_types", types, _VOLUME_TYPE, "gp3")


def check_tags(name: str, tags: Sequence[str], least: int = 0) -> list[str]:
    """Tag keys; two that differ only in case are refused, because a condition can't tell them apart."""
    return check_list(name, tags, _TAG, "owner", least)


def check_unprotected(protected: str, tags: Sequence[str]) -> None:
    """Refuse the tag that puts an instance out of the reaper's reach among those that a launch must or may carry."""
    check_tags("protected_tag", [protected])
    if found := [tag for tag in tags if tag.lower() == protected.lower()]:
        raise PolicyError.of("tags", found[0], "would put an instance out of the reaper's reach", "leave it out")


def check_roles(name: str, roles: Sequence[str]) -> list[str]:
    """The ARNs of roles; a wildcard may stand at the end of a name only."""
    found = check_list(name, roles, _ROLE, "arn:aws:iam::111122223333:role/training", least=0)
    for role in found:
        if role.endswith("/*"):
            raise PolicyError.of(name, role, "names every role of the account", "name the roles, or a prefix of theirs")
    return found


def check_image_owners(owners: Sequence[str]) -> list[str]:
    """Owners of images: an alias of AWS, or accounts."""
    return check_list("image_owners", owners, _IMAGE_OWNER, "amazon")


def check_owner(owner: str) -> None:
    """The value of the owner tag: a policy variable that tells callers apart, without a default that they would share.

    A wildcard next to the variable would make one caller's name match another's.
    """
    try:
        parts = read_template(owner).parts
    except (TypeError, AttributeError, ValueError):
        parts = ()
    variables = [part for part in parts if isinstance(part, Variable)]
    personal = [part for part in variables if part.key.lower().startswith(_PERSONAL)]
    if not personal or any(part.default is not None for part in variables) or set(owner) & set("*?"):
        raise PolicyError.of(
            "owner",
            owner,
            "must hold a policy variable that tells callers apart, without a default value and without a wildcard",
            "write '${aws:username}', or '${aws:PrincipalTag/owner}' for roles",
        )


def check_name(name: str, value: str) -> None:
    """The name of a role or policy, or a prefix of names: short ones would cover things that they do not mean."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9+=,.@_-]{3,64}", value, re.ASCII):
        raise PolicyError.of(
            name, value, "must be 3 to 64 letters, digits or + = , . @ _ -", "write it as in 'guardrail-'"
        )


def check_services(services: Sequence[str]) -> list[str]:
    """Service prefixes, without wildcards."""
    return check_list("services", services, re.compile(r"[a-z0-9-]+", re.ASCII), "ec2")
