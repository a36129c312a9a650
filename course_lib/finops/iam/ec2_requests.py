"""The requests behind one EC2 call: IAM decides RunInstances for each resource that it touches, not once.

Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html (resource types and
condition keys of RunInstances) and https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
(tags at launch need ec2:CreateTags as well, with ec2:CreateAction).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from course_lib.finops.iam.callers import Caller, caller_of
from course_lib.finops.iam.context import Value
from course_lib.finops.iam.errors import RequestError
from course_lib.finops.iam.request import Request

TAGGED_AT_LAUNCH = ("instance", "volume", "network-interface", "spot-instances-request")


@dataclass(frozen=True)
class Launch:
    """One call of ec2:RunInstances, as far as IAM looks at it.

    Args:
        instance_type: such as "trn1.2xlarge".
        region: such as "us-east-1".
        tags: resource type (`TAGGED_AT_LAUNCH`) to its tags, as TagSpecifications do; a type that is not there gets
            no tags.
        market: "on-demand", "spot" or "capacity-block".
        image: an image id, and who owns it: "amazon", "aws-marketplace" or an account.
        image_owner: see image.
        volume_gib: size of the root volume, GiB.
        volume_type: such as "gp3".
        encrypted: whether the volume is.
        http_tokens: "required" for IMDSv2 only, "optional" to let IMDSv1 in.
        public_address: whether the network interface gets a public address.
        subnet: its id; vpc: the network that it lies in.
        vpc: see subnet.
        security_groups: their ids.
        key_pair: its name, if one is given.
        profile: the name of an instance profile; its role is passed, which is a request of its own.
        role: the ARN of that role.
    """

    instance_type: str
    region: str
    tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    market: str = "on-demand"
    image: str = "ami-0a0000000000000aa"
    image_owner: str = "amazon"
    volume_gib: int = 100
    volume_type: str = "gp3"
    encrypted: bool = True
    http_tokens: str = "required"
    public_address: bool = False
    subnet: str = "subnet-0a00000000000000a"
    vpc: str = "vpc-0a00000000000000a"
    security_groups: Sequence[str] = ("sg-0a00000000000000a",)
    key_pair: str = ""
    profile: str = ""
    role: str = ""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.tags) - set(TAGGED_AT_LAUNCH))
        if unknown:
            raise RequestError.of(
                "tags", unknown[0], f"is no resource that a launch creates: it must be one of {TAGGED_AT_LAUNCH}",
                'write tags={"instance": {...}, "volume": {...}}',
            )  # fmt: skip
        if bool(self.profile) != bool(self.role):
            raise RequestError.of(
                "profile", self.profile, "and role come together", "give the profile's name and its role's ARN"
            )


def tag_keys(tags: Mapping[str, str]) -> dict[str, Value]:
    """The context keys of tags that a request sets: aws:RequestTag/... for each, and aws:TagKeys with all of them."""
    if not tags:
        return {}
    keys: dict[str, Value] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    return keys | {"aws:TagKeys": list(tags)}


def requests_for_run_instances(caller: Caller | str, launch: Launch, partition: str = "aws") -> tuple[Request, ...]:
    """Everything that IAM is asked when somebody calls ec2:RunInstances.

    A policy that allows the instance and forgets the volume fails here as it does on AWS.

    Args:
        caller: who launches; the new resources belong to the caller's account.
        launch: the call.
        partition: "aws", "aws-cn" or "aws-us-gov".

    Returns:
        ec2:RunInstances on the image, instance, network interface, security groups, subnet, volume and key pair;
        ec2:CreateTags on each type that gets tags; iam:PassRole if there is an instance profile.

    Raises:
        RequestError: the caller belongs to no account.
    """
    who = caller_of(caller)
    if not who.account:
        raise RequestError.of("caller", who.arn, "has no account to launch in", "name a user, a role or a session")
    common: dict[str, Value] = {"aws:RequestedRegion": launch.region, "ec2:Region": launch.region}
    zone_free = f"arn:{partition}:ec2:{launch.region}:{who.account}"

    def run(resource: str, keys: Mapping[str, Value]) -> Request:
        return Request(who, "ec2:RunInstances", resource, {**common, **keys})

    found = [
        run(f"arn:{partition}:ec2:{launch.region}::image/{launch.image}", _image_keys(launch)),
        run(f"{zone_free}:instance/*", _instance_keys(launch, who.account, partition)),
        run(
            f"{zone_free}:network-interface/*",
            {
                "ec2:Subnet": f"{zone_free}:subnet/{launch.subnet}",
                "ec2:Vpc": f"{zone_free}:vpc/{launch.vpc}",
                "ec2:AssociatePublicIpAddress": launch.public_address,
                **tag_keys(launch.tags.get("network-interface", {})),
            },
        ),
        run(f"{zone_free}:subnet/{launch.subnet}", {"ec2:Vpc": f"{zone_free}:vpc/{launch.vpc}"}),
        run(f"{zone_free}:volume/*", _volume_keys(launch)),
    ]
    for group in launch.security_groups:
        found.append(run(f"{zone_free}:security-group/{group}", {"ec2:Vpc": f"{zone_free}:vpc/{launch.vpc}"}))
    if launch.key_pair:
        found.append(run(f"{zone_free}:key-pair/{launch.key_pair}", {"ec2:KeyPairName": launch.key_pair}))
    for kind, tags in launch.tags.items():
        if tags:
            keys = {**common, **tag_keys(tags), "ec2:CreateAction": "RunInstances"}
            found.append(Request(who, "ec2:CreateTags", f"{zone_free}:{kind}/*", keys))
    if launch.role:
        service = "ec2.amazonaws.com.cn" if partition == "aws-cn" else "ec2.amazonaws.com"
        found.append(Request(who, "iam:PassRole", launch.role, {"iam:PassedToService": service}))
    return tuple(found)


def _image_keys(launch: Launch) -> dict[str, Value]:
    return {"ec2:ImageID": launch.image, "ec2:Owner": launch.image_owner, "ec2:RootDeviceType": "ebs"}


def _instance_keys(launch: Launch, account: str, partition: str) -> dict[str, Value]:
    keys: dict[str, Value] = {
        "ec2:InstanceType": launch.instance_type,
        "ec2:InstanceMarketType": launch.market,
        "ec2:MetadataHttpTokens": launch.http_tokens,
        "ec2:RootDeviceType": "ebs",
        "ec2:Tenancy": "default",
        **tag_keys(launch.tags.get("instance", {})),
    }
    if launch.profile:
        keys["ec2:InstanceProfile"] = f"arn:{partition}:iam::{account}:instance-profile/{launch.profile}"
    return keys


def _volume_keys(launch: Launch) -> dict[str, Value]:
    return {
        "ec2:VolumeSize": launch.volume_gib,
        "ec2:VolumeType": launch.volume_type,
        "ec2:Encrypted": launch.encrypted,
        **tag_keys(launch.tags.get("volume", {})),
    }


def request_on_instance(
    caller: Caller | str,
    action: str,
    region: str,
    account: str,
    *,
    resource_tags: Mapping[str, str] | None = None,
    new_tags: Mapping[str, str] | None = None,
    removed_tags: Sequence[str] | None = None,
    instance: str = "i-0a000000000000001",
    instance_type: str = "",
    partition: str = "aws",
) -> Request:
    """A request on an instance that exists: terminate it, stop it, tag it, take tags away, change an attribute.

    Args:
        caller: who asks.
        action: such as "ec2:TerminateInstances".
        region: where the instance is.
        account: whose it is.
        resource_tags: the tags that it has.
        new_tags: for ec2:CreateTags, the tags to be set.
        removed_tags: for ec2:DeleteTags, the keys to be removed. A call that names no keys removes all tags, and its
            request has no aws:TagKeys: leave this out for it.
        instance: its id.
        instance_type: its type; AWS gives it with every request on an instance, here it is there if you name it.
        partition: "aws", "aws-cn" or "aws-us-gov".

    Returns:
        The request.
    """
    keys: dict[str, Value] = {"aws:RequestedRegion": region, "ec2:Region": region, **tag_keys(new_tags or {})}
    keys |= {f"aws:ResourceTag/{key}": value for key, value in (resource_tags or {}).items()}
    if removed_tags:
        keys["aws:TagKeys"] = list(removed_tags)
    if instance_type:
        keys["ec2:InstanceType"] = instance_type
    return Request(caller, action, f"arn:{partition}:ec2:{region}:{account}:instance/{instance}", keys)
