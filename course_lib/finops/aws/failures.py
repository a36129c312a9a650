"""AWS's failures in one line each, with what to do; secrets in them are not repeated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from course_lib.finops.errors import FinopsError

# Code of an error → what to do. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
REMEDIES = {
    "UnauthorizedOperation": "ask for this permission, or use a role that has it",
    "AccessDenied": "ask for this permission, or use a role that has it",
    "AccessDeniedException": "ask for this permission, or use a role that has it",
    "AuthFailure": "look at the region's name, or log in again: these credentials belong to nobody there",
    "InvalidClientTokenId": "log in again: these credentials belong to nobody",
    "SignatureDoesNotMatch": "log in again, and look at this machine's clock",
    "InvalidSignatureException": "log in again, and look at this machine's clock",
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
    "InvalidInstanceID.NotFound": "look at the id, the region and the account",
    "IdempotentInstanceTerminated": "choose another end: this launch was made before, and what it made has ended",
    "InvalidParameterValue": "look at the value that is named",
    "NoSuchBucket": "look at the bucket's name, or make it first",
    "404": "look at the bucket's name and the key, or make it first",
    "403": "ask for this permission, or use a role that has it",
    "InternalError": "try again in a minute; the fault is AWS's",
    "OptInRequired": "enable the region or service for this account first",
}
OTHERWISE = "look the code up in the service's API reference"
# What `course cloud env` sets beside NO_PROXY; see `practice_environment`.
SET_FOR_PRACTICE = (
    "AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_DEFAULT_REGION AWS_CONFIG_FILE "
    "AWS_SHARED_CREDENTIALS_FILE AWS_EC2_METADATA_DISABLED"
)


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
        # A wrong signature is answered with the whole request, the session's token in it.
        said = " ".join(str(told.get("Message", "")).partition("The Canonical String")[0].split())
        return AwsError(f"{doing}: {code}: {said.rstrip('.')}. Remedy: {remedy}.", code)
    if isinstance(error, exceptions.EndpointConnectionError) and _on_this_machine(error.kwargs["endpoint_url"]):
        where = error.kwargs["endpoint_url"]
        return AwsError(
            f"{doing}: the practice account at {where} is not running. Remedy: start it with `course cloud up` and "
            f'`eval "$(course cloud env)"`, or leave it in this shell with `unset {SET_FOR_PRACTICE}`.'
        )
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


def _on_this_machine(url: str) -> bool:
    """Whether an address is a loopback one: nothing but a stand-in for AWS is there."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


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
