"""AWS's failures in one line each, with what to do; secrets in them are not repeated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from course_lib.finops.errors import FinopsError

# Code of an error → what to do. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
REMEDIES = {
    "UnauthorizedOperation": "ask for this permission, or use a role that has it",
    "AccessDenied": "ask for this permission, or use a role that has it",
    "AccessDeniedException": "ask for this permission, or use a role that has it",
    "AuthFailure": "look at the region's name, or log in again: these credentials belong to nobody there",
    "InvalidClientTokenId": "log in again: these credentials belong to nobody",
    "SignatureDoesNotMatch": "log in again, and look at this machine's clock",
    "ExpiredToken": "log in again: the session has ended",
    "ExpiredTokenException": "log in again: the session has ended",
    "RequestExpired": "set this machine's clock: AWS takes requests of the last minutes only",
    "RequestTimeTooSkewed": "set this machine's clock: AWS takes requests of the last minutes only",
    "RequestLimitExceeded": "wait a minute; the call was throttled again and again",
    "Throttling": "wait a minute; the call was throttled again and again",
    "ThrottlingException": "wait a minute; the call was throttled again and again",
    "SlowDown": "wait a minute; the call was throttled again and again",
    "InsufficientInstanceCapacity": "try another Availability Zone, another instance type, or a Capacity Block",
    "VcpuLimitExceeded": "ask for a higher quota in Service Quotas, or launch fewer or smaller instances",
    "MaxSpotInstanceCountExceeded": "ask for a higher spot quota; it counts vCPUs and is 0 for Trn in new accounts",
    "OperationNotPermitted": "the instance is protected; take the protection away first if you mean it",
    "InvalidInstanceID.NotFound": "look at the id and the region",
    "IdempotentInstanceTerminated": "choose another end: this launch was made before, and what it made has ended",
    "InvalidParameterValue": "look at the value that is named",
    "NoSuchBucket": "look at the bucket's name, or make it first",
    "404": "look at the bucket's name and the key, or make it first",
    "403": "ask for this permission, or use a role that has it",
    "InternalError": "try again in a minute; the fault is AWS's",
    "OptInRequired": "enable the region or service for this account first",
}
OTHERWISE = "look the code up in the service's API reference"


class AwsError(FinopsError):
    """A call to AWS failed.

    Attributes:
        code: AWS's word for it, such as "InsufficientInstanceCapacity"; "" when no answer came.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def in_words(error: Exception, doing: str) -> AwsError:
    """One line for a failure of boto3: what was being done, what AWS said, and the remedy.

    Args:
        error: what boto3 raised.
        doing: such as "launching trn1.2xlarge in us-east-1".
    """
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    if isinstance(error, exceptions.ClientError):
        told = error.response.get("Error", {})
        code = str(told.get("Code", ""))
        remedy = REMEDIES.get(code, OTHERWISE)
        return AwsError(f"{doing}: {code}: {str(told.get('Message', '')).rstrip('.')}. Remedy: {remedy}.", code)
    for kind, remedy in (
        (exceptions.NoCredentialsError, "log in first (aws sso login), or practise with `course cloud up`"),
        (exceptions.PartialCredentialsError, "set both the access key id and the secret access key"),
        (exceptions.TokenRetrievalError, "log in again (aws sso login)"),
        (exceptions.SSOTokenLoadError, "log in first (aws sso login)"),
        (exceptions.ProfileNotFound, "name a profile that `aws configure list-profiles` shows"),
        (exceptions.NoRegionError, "set AWS_DEFAULT_REGION, or give a region"),
        (exceptions.InvalidRegionError, "give a region's code, such as us-east-1"),
        (exceptions.EndpointConnectionError, "look at the region's name and at the network"),
        (exceptions.HTTPClientError, "look at the network; AWS did not answer"),
        (exceptions.ParamValidationError, "mend the request's parameters"),
        (ResponseParserError, "look at the region's name: what answered there is not this service of AWS"),
    ):
        if isinstance(error, kind):
            return AwsError(f"{doing}: {' '.join(str(error).split()).rstrip('.')}. Remedy: {remedy}.")
    return AwsError(f"{doing}: {type(error).__name__}: {' '.join(str(error).split())}. Remedy: {OTHERWISE}.")


@contextmanager
def one_line(doing: str) -> Iterator[None]:
    """Turn boto3's exceptions in the block into an `AwsError`; other exceptions pass.

    Raises:
        AwsError: see `in_words`.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        raise in_words(error, doing) from error
