"""Ask the instance metadata service, version 2, about the instance that this code runs on.

Plain standard library, because what decides whether two minutes are enough should not depend on more. A token is
fetched first and sent with every question; the answer 404 to a question about interruptions is good news.
Source: "Use IMDSv2" and "Retrieve instance metadata", Amazon EC2 User Guide.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from course_lib.finops.spot.errors import MetadataError, SpotError, check_count, check_positive

ENDPOINT = "http://169.254.169.254"
LONGEST_TOKEN_SECONDS = 21_600
TOKEN_PATH = "/latest/api/token"
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"


@dataclass(frozen=True)
class InterruptionNotice:
    """EC2 is going to take this instance.

    Args:
        action: "terminate", "stop" or "hibernate".
        at: approximate moment, in UTC.
    """

    action: str
    at: datetime


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class MetadataClient:
    """Reads the metadata of the instance on which it runs.

    Args:
        endpoint: address of the service. The AWS command line and SDKs read AWS_EC2_METADATA_SERVICE_ENDPOINT; this
            class reads no environment, so pass it in: `LocalMetadataServer.url` for tests.
        token_ttl_seconds: life of a token, 1 to 21600; it is renewed when the service refuses it.
        timeout_seconds: for one request. The service answers within milliseconds or not at all.

    Raises:
        SpotError: for an endpoint that is no plain http://host[:port], or a time out of range.
    """

    def __init__(
        self, endpoint: str = ENDPOINT, *, token_ttl_seconds: int = LONGEST_TOKEN_SECONDS, timeout_seconds: float = 2.0
    ) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise SpotError.of("endpoint", endpoint, "must be http://host or http://host:port", f"use {ENDPOINT}")
        check_count("token_ttl_seconds", token_ttl_seconds)
        if token_ttl_seconds > LONGEST_TOKEN_SECONDS:
            raise SpotError.of("token_ttl_seconds", token_ttl_seconds, "must be at most 21600, six hours", "use 21600")
        check_positive("timeout_seconds", timeout_seconds)
        self.endpoint = endpoint.rstrip("/")
        self._ttl, self._timeout = token_ttl_seconds, timeout_seconds
        self._token: str | None = None
        # {}: a proxy of the environment would be handed the token and answer for another machine
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())

    def get(self, path: str) -> str | None:
        """Read one item.

        Args:
            path: below /latest/, such as "meta-data/instance-id".

        Returns:
            Its text; None when the service has no such item.

        Raises:
            MetadataError: when the service can't be reached, is turned off, or refuses a fresh token.
        """
        fresh = self._token is None
        status, text = self._get_with_token(path)
        if status == 401 and not fresh:  # the token is too old, or the instance was stopped and started
            self._token = None
            status, text = self._get_with_token(path)
        if status == 404:
            return None
        if status != 200:
            raise MetadataError(f"{self.endpoint} answered {status} to {path!r}. Remedy: {_remedy(status)}.")
        return text

    def interruption_notice(self) -> InterruptionNotice | None:
        """The notice that EC2 will take this instance, or None as long as there is none.

        Raises:
            MetadataError: as for `get`, or for an answer that is no notice.
        """
        path = "meta-data/spot/instance-action"
        item = self._json(path)
        if item is None:
            return None
        return InterruptionNotice(str(item.get("action")), _moment(item.get("time"), path))

    def rebalance_recommendation(self) -> datetime | None:
        """When EC2 said that this instance is at elevated risk, or None; it may come before the notice, or with it.

        Raises:
            MetadataError: as for `interruption_notice`.

        Source: "EC2 instance rebalance recommendations", Amazon EC2 User Guide.
        """
        path = "meta-data/events/recommendations/rebalance"
        item = self._json(path)
        return None if item is None else _moment(item.get("noticeTime"), path)

    def instance_id(self) -> str:
        """This instance's id."""
        return self._always_there("meta-data/instance-id")

    def instance_type(self) -> str:
        """This instance's type."""
        return self._always_there("meta-data/instance-type")

    def region(self) -> str:
        """The region in which it runs."""
        return self._always_there("meta-data/placement/region")

    def tag(self, key: str) -> str | None:
        """The value of one of this instance's tags; None without it, or where tags in metadata are not allowed."""
        return self.get(f"meta-data/tags/instance/{key}")

    def _always_there(self, path: str) -> str:
        if (text := self.get(path)) is None:
            raise MetadataError(f"{self.endpoint} has no {path!r}. Remedy: check that it is an EC2 metadata service.")
        return text

    def _json(self, path: str) -> dict[str, Any] | None:
        if (text := self.get(path)) is None:
            return None
        try:
            item = json.loads(text)
        except json.JSONDecodeError:
            item = None
        if not isinstance(item, dict):
            raise MetadataError(f"{path} holds {text[:80]!r}, which is no JSON object. Remedy: read it by hand.")
        return item

    def _get_with_token(self, path: str) -> tuple[int, str]:
        if self._token is None:
            status, token = self._request("PUT", TOKEN_PATH, {TTL_HEADER: str(self._ttl)})
            if status != 200:
                raise MetadataError(f"{self.endpoint} gave no token, but {status}. Remedy: {_remedy(status)}.")
            self._token = token
        return self._request("GET", f"/latest/{path.lstrip('/')}", {TOKEN_HEADER: self._token})

    def _request(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        request = urllib.request.Request(self.endpoint + path, method=method, headers=headers)
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""
        except (OSError, HTTPException) as error:  # refused, unreachable, timed out, cut off
            raise MetadataError(
                f"no metadata service at {self.endpoint} ({error}). Remedy: run this on an EC2 instance; in a "
                "container there, raise the instance's hop limit (HttpPutResponseHopLimit) from 1 to 2."
            ) from error


def _moment(text: object, path: str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise MetadataError(f"{path} names the time {text!r}, which is none. Remedy: read it by hand.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)  # old answers lack the Z


def _remedy(status: int) -> str:
    known = {
        401: "start a new client, and look for a proxy in between",
        403: "turn the instance's metadata service on (HttpEndpoint=enabled)",
        400: "report it: the request was malformed",
    }
    return known.get(status, "try again later, less often")
