"""How a process finds the practice account: by its environment alone."""

from __future__ import annotations

import os


def practice_environment(url: str, region: str = "us-east-1") -> dict[str, str]:
    """The variables by which boto3 and the AWS CLI find the practice account, and nothing else.

    Args:
        url: of the account.
        region: for calls that name none.
    """
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "practice",
        "AWS_SECRET_ACCESS_KEY": "practice",
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }
