"""An AWS-compatible endpoint on this machine's loopback address, for learning and for tests.

Real boto3 clients talk to a moto server on 127.0.0.1 with made-up credentials. Nothing here can reach a real account:
the reader's own profile is never read, and a request whose address is not loopback is refused before it is sent.
Source: moto's server mode, https://docs.getmoto.org/en/latest/docs/server_mode.html
"""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from course_lib.runtime.aws_server import GAP_HEADER

REGION = "us-east-1"


class NotLoopbackError(ValueError):
    """An address that is not on this machine was about to be used."""


class NotEmulatedError(NotImplementedError):
    """The local endpoint has no answer for a call that real AWS would answer."""


@dataclass(frozen=True)
class Call:
    """One request as it left boto3: which service, which operation, and the host that it went to."""

    service: str
    operation: str
    host: str


def require_loopback(url: str) -> str:
    """Return `url` unchanged if its host is this machine, by number; names are refused because they can be re-pointed.

    Args:
        url: An absolute URL such as "http://127.0.0.1:5000".

    Raises:
        NotLoopbackError: The host is anything but a loopback address such as 127.0.0.1 or [::1].
    """
    host = urlsplit(url).hostname or ""
    try:
        on_this_machine = ipaddress.ip_address(host).is_loopback
    except ValueError:
        on_this_machine = False
    if not on_this_machine:
        raise NotLoopbackError(
            f"{url!r} is not a loopback address: this endpoint only talks to 127.0.0.1, so that an exercise can never "
            "spend money in a real account. Leave endpoint_url out; for real AWS make your own boto3.client()."
        )
    return url


class LocalAws:
    """A running, empty endpoint. Use it as a context manager, or call `close()` when done.

    Attributes:
        url: The endpoint's address, for example "http://127.0.0.1:41873".
        region: The region that its clients use unless they say otherwise.
        calls: Every request that a client of this endpoint has sent, oldest first.
    """

    #: The module that serves: it prints its port and ends when its standard input closes.
    SERVER = "course_lib.runtime.aws_server"

    def __init__(self, region: str = REGION, arguments: Sequence[str] = ()) -> None:
        self.region = region
        self.calls: list[Call] = []
        self._started_by = os.getpid()
        with tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.SERVER, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=server_environment(),
            )
            assert self._process.stdout is not None
            port = self._process.stdout.readline().decode().strip()
            if not port:
                self.close()
                errors.seek(0)
                raise RuntimeError(
                    f"the local AWS endpoint did not start: {errors.read().decode()[-500:].strip()!r}. "
                    "Run `course doctor`; moto[server] may be missing from this environment."
                )
        self.url = require_loopback(f"http://127.0.0.1:{port}")

    def client(self, service: str, *, region: str | None = None, endpoint_url: str | None = None) -> Any:
        """Make a real boto3 client that is bound to this endpoint.

        Args:
            service: boto3's name of a service: "ec2", "s3", "sns", "budgets", ...
            region: The region whose resources it sees; the endpoint's own region by default.
            endpoint_url: Another loopback endpoint, such as a proxy in front of this one.

        Returns:
            A `botocore.client.BaseClient` with invented credentials. A call that the endpoint does not
            emulate raises `NotEmulatedError` at once instead of being retried.

        Raises:
            NotLoopbackError: `endpoint_url` is not on this machine.
            RuntimeError: The endpoint has been closed.
        """
        # In a fork nobody can wait for the server, and poll() would say that it has ended.
        if os.getpid() == self._started_by and self._process.poll() is not None:
            raise RuntimeError(f"the endpoint {self.url} is closed: start another with local_aws()")
        url = require_loopback(endpoint_url or self.url)

        from botocore.config import Config

        # proxies={} ignores HTTP_PROXY: a proxy would carry the request off this machine.
        # Path style keeps the bucket in the path; the virtual-host style would make "bucket.127.0.0.1" of it.
        config: Any = Config(proxies={}, s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=30)
        client = self._session.client(
            service,
            region_name=region or self.region,
            endpoint_url=url,
            aws_access_key_id="local-only",
            aws_secret_access_key="local-only",
            config=config,
        )
        name = client.meta.service_model.service_id.hyphenize()
        # "before-send" fires for each request after every rewrite of its address (regions, redirects), so it is the
        # last place where a request can be stopped.
        client.meta.events.register_first(f"before-send.{name}.*", self._check_and_record)
        client.meta.events.register_first(f"before-parse.{name}.*", _raise_gap)
        return client

    @cached_property
    def _session(self) -> Any:
        return private_session()  # kept, because a session reads boto3's service descriptions once, about 0.2 s each

    def _check_and_record(self, request: Any, event_name: str, **_: Any) -> None:
        require_loopback(request.url)
        service, operation = event_name.split(".")[1:]  # "before-send.ec2.RunInstances"
        self.calls.append(Call(service, operation, str(urlsplit(str(request.url)).hostname)))

    def close(self) -> None:
        """Stop the server and with it everything that was created in it; calling it again changes nothing."""
        self._process.communicate()  # closes its input, which tells it to stop, and waits for it

    def __enter__(self) -> LocalAws:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def local_aws(region: str = REGION) -> LocalAws:
    """Start an empty AWS-compatible endpoint on a free loopback port; it takes a second or two.

    Args:
        region: The region that its clients use unless they say otherwise.

    Returns:
        A running `LocalAws`; `with local_aws() as aws:` closes it at the end of the block. One that is never closed
        ends with the program that started it.

    Raises:
        RuntimeError: The server could not be started; the message holds its last words.
    """
    return LocalAws(region)


def server_environment() -> dict[str, str]:
    """The environment without AWS settings and proxies: moto asks boto3 for its lists, and boto3 would read them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MOTO_"))}
    kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
    nothing = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    # moto would fill each region with 1,301 sample images, and call their snapshots ours: slow, and no empty account
    return kept | nothing | {"MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}


def private_session() -> Any:
    """A boto3 session that reads no profile, credentials or settings of the person who runs it."""
    import boto3
    import botocore.session

    variables: Any = {  # name: (key in the profile, environment variable, default, conversion)
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
        "use_fips_endpoint": (None, None, False, None),
        "use_dualstack_endpoint": (None, None, False, None),
    }
    return boto3.Session(botocore_session=botocore.session.Session(session_vars=variables))


def _raise_gap(operation_model: Any, response_dict: dict[str, Any], **_: Any) -> None:
    reason = response_dict["headers"].get(GAP_HEADER)
    if reason is not None:
        service = operation_model.service_model.service_name
        raise NotEmulatedError(
            f"the local endpoint does not emulate {service}.{operation_model.name} ({reason}). Real AWS answers this "
            "call; here, leave it out or compute its answer from course_lib.catalog."
        )
