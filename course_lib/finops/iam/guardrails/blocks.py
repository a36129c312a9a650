"""Statements that more than one guardrail needs: regions, tags at launch, tags that must not change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from course_lib.finops.iam.guardrails.launching import GLOBAL_SERVICES, IAM_KINDS

Block = dict[str, Any]


def word_of(text: str) -> str:
    """A text as a part of a Sid, which takes letters and digits only: "expires-at" becomes "ExpiresAt"."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", text))


def except_for(roles: Sequence[str]) -> Block:
    """The condition that leaves roles out of a Deny; empty where there are none."""
    return {"ArnNotLike": {"aws:PrincipalArn": list(roles)}} if roles else {}


def deny_other_regions(regions: Sequence[str], exempt: Sequence[str] = ()) -> Block:
    """Deny everything outside of these regions, services without regions left out.

    Source: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples_general.html
    ("Deny access to AWS based on the requested AWS Region").
    """
    return {
        "Sid": "DenyOtherRegions",
        "Effect": "Deny",
        "NotAction": list(GLOBAL_SERVICES),
        "Resource": "*",
        "Condition": {"StringNotEquals": {"aws:RequestedRegion": list(regions)}, **except_for(exempt)},
    }


def guard_identities(account: str, guard_prefix: str, partition: str) -> list[str]:
    """The ARNs of the guardrails' users, groups, roles, profiles and policies, with a path and without.

    One `*/` for all kinds would be shorter, but IAM's grammar wants the kind spelled out, and whether Organizations
    takes what IAM refuses is written nowhere.
    """
    return [f"arn:{partition}:iam::{account}:{kind}/{path}{guard_prefix}*" for kind in IAM_KINDS for path in ("", "*/")]


def deny_detaching(account: str, guard_prefix: str, partition: str, exempt: Sequence[str] = ()) -> Block:
    """Deny to take a guardrail's policy off anybody, such as the one that a budget action has attached.

    The resource of such a call is the user or role; the policy stands in the key iam:PolicyARN.
    """
    policies = f"arn:{partition}:iam::{account}:policy/{guard_prefix}*"
    return {
        "Sid": "DenyDetachingGuards",
        "Effect": "Deny",
        "Action": "iam:Detach*",
        "Resource": "*",
        "Condition": {"ArnLike": {"iam:PolicyARN": policies}, **except_for(exempt)},
    }


def deny_launch_without(tag: str, partition: str, exempt: Sequence[str] = ()) -> list[Block]:
    """Deny a launch whose instance or volume lacks a tag, has it with other capitals, or has it without a value.

    `aws:RequestTag/owner` also matches a tag `Owner`, which the reaper would not find; the values of `aws:TagKeys`
    are compared exactly. `ForAllValues` with a negated operator is true where no key is this one, and where there
    are no tags at all.
    """
    word = word_of(tag)
    resources = [f"arn:{partition}:ec2:*:*:instance/*", f"arn:{partition}:ec2:*:*:volume/*"]
    return [
        {
            "Sid": f"DenyLaunchWithout{word}",
            "Effect": "Deny",
            "Action": "ec2:RunInstances",
            "Resource": resources,
            "Condition": {"ForAllValues:StringNotEquals": {"aws:TagKeys": [tag]}, **except_for(exempt)},
        },
        {
            "Sid": f"DenyLaunchWithEmpty{word}",
            "Effect": "Deny",
            "Action": "ec2:RunInstances",
            "Resource": resources,
            "Condition": {"StringEquals": {f"aws:RequestTag/{tag}": ""}, **except_for(exempt)},
        },
    ]


def deny_protecting(tag: str, partition: str, exempt: Sequence[str] = ()) -> Block:
    """Deny to set the tag that puts an instance out of the reaper's reach, at the launch and after it.

    Tags of a launch are asked for as ec2:CreateTags, too. With other capitals the tag would still stop the reaper: the
    names of condition keys, aws:ResourceTag/protected among them, have none.
    """
    return {
        "Sid": "DenyProtecting",
        "Effect": "Deny",
        "Action": "ec2:CreateTags",
        "Resource": [f"arn:{partition}:ec2:*:*:instance/*", f"arn:{partition}:ec2:*:*:volume/*"],
        "Condition": {"ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": [tag]}, **except_for(exempt)},
    }


def deny_tag_changes(tags: Sequence[str], partition: str, exempt: Sequence[str] = ()) -> list[Block]:
    """Deny to change these tags after the launch, and to remove any tag of an instance or a volume.

    A DeleteTags call that names no keys removes every tag and its request has no aws:TagKeys, so that a condition on
    the keys would let it through: removal is denied as a whole.
    """
    resources = [f"arn:{partition}:ec2:*:*:instance/*", f"arn:{partition}:ec2:*:*:volume/*"]
    remove: Block = {"Sid": "DenyRemovingTags", "Effect": "Deny", "Action": "ec2:DeleteTags", "Resource": resources}
    if exempt:
        remove["Condition"] = except_for(exempt)
    return [
        {
            "Sid": "DenyChangingTags",
            "Effect": "Deny",
            "Action": "ec2:CreateTags",
            "Resource": resources,
            "Condition": {
                "ForAnyValue:StringEquals": {"aws:TagKeys": list(tags)},
                "Null": {"ec2:CreateAction": "true"},
                **except_for(exempt),
            },
        },
        remove,
    ]
