"""A fault and its mending for each check that reads settings: nothing but boto3 calls, as a person would make them."""

import json

HERE = "us-east-1"
NAME = "records"
FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def bucket(account):
    account.client("s3").create_bucket(Bucket=NAME)
    return NAME


def instance(account, region=HERE, **options):
    ec2 = account.client("ec2", region=region)
    kind = {"ImageId": "ami-12c6146b", "InstanceType": "trn1.2xlarge", "MinCount": 1, "MaxCount": 1}
    return ec2.run_instances(**kind, **options)["Instances"][0]["InstanceId"]


def user(account, name="ada"):
    account.client("iam").create_user(UserName=name)
    return name


def trail(account, **options):
    bucket(account)
    client = account.client("cloudtrail")
    arn = client.create_trail(Name="everything", S3BucketName=NAME, **options)["TrailARN"]
    client.start_logging(Name=arn)
    return arn


def default_off(account):
    return f"EBS default of {HERE}"


def default_on(account, _):
    account.client("ec2").enable_ebs_encryption_by_default()


def plain_volume(account):
    return account.client("ec2").create_volume(AvailabilityZone=f"{HERE}a", Size=1)["VolumeId"]


def encrypt_volume(account, name):
    ec2 = account.client("ec2")
    ec2.delete_volume(VolumeId=name)
    ec2.create_volume(AvailabilityZone=f"{HERE}a", Size=1, Encrypted=True)


def public_snapshot(account):
    ec2 = account.client("ec2")
    name = ec2.create_snapshot(VolumeId=plain_volume(account))["SnapshotId"]
    _permit(account, name, "add")
    return name


def private_snapshot(account, name):
    _permit(account, name, "remove")


def _permit(account, name, how):
    account.client("ec2").modify_snapshot_attribute(
        SnapshotId=name, Attribute="createVolumePermission", OperationType=how, GroupNames=["all"]
    )


def set_encryption(account, name):
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    account.client("s3").put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})


def deny_plain(account, name):
    rule = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    account.client("s3").put_bucket_policy(Bucket=name, Policy=policy(rule))


def no_trail(account):
    return "CloudTrail"


def make_trail(account, _):
    trail(account, IsMultiRegionTrail=True)


def unvalidated(account):
    trail(account)
    return "trail everything"


def validate(account, _):
    account.client("cloudtrail").update_trail(Name="everything", EnableLogFileValidation=True)


def log_access(account, name):
    s3 = account.client("s3")
    s3.create_bucket(Bucket="logs")
    grant = {"Principal": {"Service": "logging.s3.amazonaws.com"}, "Resource": "arn:aws:s3:::logs/*"}
    s3.put_bucket_policy(Bucket="logs", Policy=policy({"Effect": "Allow", "Action": "s3:PutObject", **grant}))
    s3.put_bucket_logging(
        Bucket=name, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "a/"}}
    )


def network(account):
    return account.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]


def flow_log(account, name):
    bucket(account)
    account.client("ec2").create_flow_logs(
        ResourceIds=[name],
        ResourceType="VPC",
        TrafficType="ALL",
        LogDestinationType="s3",
        LogDestination=f"arn:aws:s3:::{NAME}",
    )


def expire(account, name):
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
    account.client("s3").put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})


def keep_versions(account, name):
    account.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})


def endless_logs(account):
    account.client("logs").create_log_group(logGroupName="/bert/training")
    return "/bert/training"


def keep_a_year(account, name):
    account.client("logs").put_retention_policy(logGroupName=name, retentionInDays=365)


def password(account):
    account.client("iam").create_login_profile(UserName=user(account), Password="not-Very-8ecret")
    return "user ada"


def second_factor(account, _):
    iam = account.client("iam")
    serial = iam.create_virtual_mfa_device(VirtualMFADeviceName="ada")["VirtualMFADevice"]["SerialNumber"]
    iam.enable_mfa_device(
        UserName="ada", SerialNumber=serial, AuthenticationCode1="123456", AuthenticationCode2="654321"
    )


def everything(account):
    rule = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    account.client("iam").put_user_policy(UserName=user(account), PolicyName="all", PolicyDocument=policy(rule))
    return "user ada"


def nothing(account, _):
    account.client("iam").delete_user_policy(UserName="ada", PolicyName="all")


def close_bucket(account, name):
    account.client("s3").put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=dict.fromkeys(FLAGS, True))


def open_group(account):
    ec2 = account.client("ec2")
    name = ec2.create_security_group(GroupName="lab", Description="lab")["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=name, IpPermissions=[_ssh()])
    return name


def close_group(account, name):
    account.client("ec2").revoke_security_group_ingress(GroupId=name, IpPermissions=[_ssh()])


def _ssh():
    return {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def require_tokens(account, name):
    account.client("ec2").modify_instance_metadata_options(InstanceId=name, HttpTokens="required")


# Check → the fault (gives the resource's name), and its mending.
PAIRS = {
    "ebs-default": (default_off, default_on),
    "volume-encryption": (plain_volume, encrypt_volume),
    "snapshot-private": (public_snapshot, private_snapshot),
    "bucket-encryption": (bucket, set_encryption),
    "bucket-tls": (bucket, deny_plain),
    "trail-everywhere": (no_trail, make_trail),
    "trail-validated": (unvalidated, validate),
    "bucket-access-log": (bucket, log_access),
    "flow-logs": (network, flow_log),
    "bucket-lifecycle": (bucket, expire),
    "bucket-versioning": (bucket, keep_versions),
    "log-retention": (endless_logs, keep_a_year),
    "console-mfa": (password, second_factor),
    "administrators": (everything, nothing),
    "bucket-private": (bucket, close_bucket),
    "security-groups": (open_group, close_group),
    "imdsv2": (instance, require_tokens),
}
