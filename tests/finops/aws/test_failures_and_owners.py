"""What the room under all others refuses. Oracles: a port on which nobody listens, botocore's list of regions, and the
form of ARNs in AWS's guide, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html."""

import socket

import boto3
import pytest
from botocore.exceptions import ClientError

from course_lib.finops.aws import (
    AwsError,
    RealAccount,
    account_of_arn,
    aws_now,
    check_own,
    check_regions,
    in_words,
    practice_environment,
    who_calls,
)
from course_lib.finops.aws.failures import SET_FOR_PRACTICE
from course_lib.finops.errors import FinopsError

ME, OTHER = "123456789012", "210987654321"
ROLE = f"arn:aws:iam::{ME}:role/ends-leases"


def test_a_practice_account_that_is_down_is_named_as_such(monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and never listening: each connection is refused
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        for name, value in practice_environment(url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(AwsError) as found:
            aws_now(RealAccount())
    assert f"the practice account at {url}/ is not running. Remedy: start it with `course cloud up`" in str(found.value)
    assert "unset AWS_ENDPOINT_URL" in str(found.value)
    assert "region's name" not in str(found.value)


def test_leaving_unsets_what_practising_sets():
    assert set(SET_FOR_PRACTICE.split()) == set(practice_environment("http://127.0.0.1:1")) - {"NO_PROXY"}


@pytest.mark.parametrize(
    ("arn", "owner"),
    [
        (ROLE, ME),
        (f"arn:aws-us-gov:ec2:us-gov-west-1:{OTHER}:instance/i-0123456789abcdef0", OTHER),
        ("arn:aws:s3:::bucket/key", ""),
        ("ends-leases", None),
        ("arn:aws:iam::1234:role/x", None),
        ("", None),
    ],
)
def test_an_arn_names_its_owner(arn, owner):
    assert account_of_arn(arn) == owner


def test_another_accounts_resource_is_refused_with_both_numbers():
    check_own("role", ROLE, ME, ROLE)
    check_own("role", ROLE.replace(ME, OTHER), None, ROLE)  # nobody has asked whose account this is
    with pytest.raises(FinopsError) as found:
        check_own("role", ROLE.replace(ME, OTHER), ME, ROLE)
    assert f"belongs to account {OTHER}, and this is account {ME}. Remedy: " in str(found.value)
    for wrong in ("ends-leases", ROLE.replace(":role/", ":user/"), ROLE.replace(":iam:", ":sns:")):
        with pytest.raises(FinopsError, match=r"is no ARN such as belongs here. Remedy: write one like arn:aws:iam::"):
            check_own("role", wrong, ME, ROLE)


def test_who_calls_is_the_accounts_own_answer(account):
    told = account.client("sts").get_caller_identity()
    found = who_calls(account)
    assert (found.account, found.arn, found.partition) == (told["Account"], told["Arn"], "aws")
    assert found.now == account.now()


def test_a_region_is_looked_up(account):
    known = boto3.Session().get_available_regions("ec2")
    assert {"us-east-1", "ap-east-1"} <= set(known)
    check_regions(account, ["us-east-1"])
    for region, said in (
        ("us-esat-1", r"region='us-esat-1' is none of .*us-west-2. Remedy: did you mean .*us-east-1"),
        ("", r"region='' is none of .*Remedy: name one of them"),
        ("ap-east-1", r"region='ap-east-1' is not enabled for this account"),
    ):
        with pytest.raises(FinopsError, match=said):
            check_regions(account, [region])


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidSignatureException"])
def test_a_wrong_signature_is_one_line_without_the_sessions_token(code):
    """As AWS words it: the request that should have been signed, header by header, over many lines."""
    message = (
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this "
        "request should have been\n'POST\n/\n\nhost:ec2.us-east-1.amazonaws.com\nx-amz-date:20261201T080000Z\n"
        "x-amz-security-token:FwoGZXIvYXdzEXAMPLE\n\nhost;x-amz-date;x-amz-security-token\n'\n"
    )
    told = str(in_words(ClientError({"Error": {"Code": code, "Message": message}}, "RunInstances"), "launching"))
    assert "FwoGZXIvYXdz" not in told
    assert len(told.splitlines()) == 1
    assert told.startswith(f"launching: {code}: The request signature we calculated does not match")
    assert told.endswith("for details. Remedy: log in again, and look at this machine's clock.")
