"""Checks of what the whole world can reach: buckets, security groups, and an instance's credentials.

The rules are those that AWS Config documents: s3-bucket-level-public-access-prohibited,
vpc-sg-open-only-to-authorized-ports, ec2-imdsv2-check.
Source: https://docs.aws.amazon.com/config/latest/developerguide/managed-rules-by-aws-config.html
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import collapse_addresses, ip_network
from typing import Any

from course_lib.finops.compliance.facts import Bucket, Region, listed
from course_lib.finops.compliance.results import Finding, verdict

FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
# What counts as the whole world: half of the addresses that the internet has. 2000::/3 is all of IPv6's that are given
# out: https://www.iana.org/assignments/ipv6-address-space/
WORLD = (ip_network("0.0.0.0/0"), ip_network("2000::/3"))


def bucket_private(bucket: Bucket) -> Iterator[Finding]:
    """The bucket's own block of public access is on, all four parts: nothing written later can open it."""
    told = bucket.ask("get_public_access_block", "NoSuchPublicAccessBlockConfiguration") or {}
    flags = told.get("PublicAccessBlockConfiguration", {})
    lacking = [flag for flag in FLAGS if not flags.get(flag)]
    yield verdict(
        not lacking,
        bucket.name,
        f"off: {', '.join(lacking)}" if lacking else "public access is blocked in all four ways",
        f"aws s3api put-public-access-block --bucket {bucket.name} --public-access-block-configuration "
        + ",".join(f"{flag}=true" for flag in FLAGS),
    )


def security_groups(region: Region) -> Iterator[Finding]:
    """No security group opens more to the whole world than the allowed ports."""
    allowed = set(region.settings.open_ports)
    for group in listed(region.ec2, "describe_security_groups", "SecurityGroups"):
        opened = [_ports(rule) for rule in group.get("IpPermissions", ()) if _to_world(rule)]
        wrong = [words for words, ports in opened if ports is None or not ports <= allowed]
        yield verdict(
            not wrong,
            group["GroupId"],
            f"{group['GroupName']} opens {', '.join(wrong)} to the world" if wrong else f"{group['GroupName']}",
            "take 0.0.0.0/0 and ::/0 out of its rules; log in through Session Manager, which needs no open port",
        )


def imdsv2(region: Region) -> Iterator[Finding]:
    """Each instance asks for a token before it tells its role's credentials: a page fetched by mistake gets none."""
    for instance in region.instances:
        options = instance.get("MetadataOptions", {})
        off, tokens = options.get("HttpEndpoint") == "disabled", options.get("HttpTokens", "optional")
        yield verdict(
            off or tokens == "required",
            instance["InstanceId"],
            "its metadata service is off" if off else f"HttpTokens is {tokens}",
            f"aws ec2 modify-instance-metadata-options --region {region.name} "
            f"--instance-id {instance['InstanceId']} --http-tokens required",
        )


def _to_world(rule: dict[str, Any]) -> bool:
    """Whether a rule's ranges together hold at least half of the world: 0.0.0.0/1 and 128.0.0.0/1 are 0.0.0.0/0."""
    ranges = [ip_network(one["CidrIp"], strict=False) for one in rule.get("IpRanges", ())]
    ranges += [ip_network(one["CidrIpv6"], strict=False) for one in rule.get("Ipv6Ranges", ())]
    for world in WORLD:
        near = [one for one in ranges if one.version == world.version and one.overlaps(world)]
        held: list[Any] = [world if world.prefixlen >= one.prefixlen else one for one in near]
        if 2 * sum(one.num_addresses for one in collapse_addresses(held)) >= world.num_addresses:
            return True
    return False


def _ports(rule: dict[str, Any]) -> tuple[str, set[int] | None]:
    """The ports of a rule in words, and as a set; None stands for what no list of TCP ports can allow."""
    protocol = str(rule.get("IpProtocol", "-1"))
    if protocol == "-1":
        return "everything", None
    first, last = int(rule.get("FromPort", 0)), int(rule.get("ToPort", 65535))
    words = f"{protocol} {first}" if first == last else f"{protocol} {first} to {last}"
    return words, set(range(first, last + 1)) if protocol in ("tcp", "6") else None
