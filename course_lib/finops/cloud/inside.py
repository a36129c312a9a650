"""boto3 clients for what acts inside the account: its scheduler, its alarms, its budgets.

They carry keys that mark the actor and hand their requests to the application directly, in the thread that asks: the
account may be holding its clock for a moment at which several things are due, and a request over the socket would
wait for it.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
# Access keys of actors inside: nobody outside has them, and the ledger writes the actor's name instead of "caller".
MARK = "INSIDE"
CALLER = "caller"


def key_of(actor: str) -> str:
    """The access key of an actor inside the account, such as "scheduler"."""
    return MARK + actor.upper()


def actor_of(access_key: str) -> str:
    """Who made a call: "caller", or the actor inside whose key it is."""
    return access_key.removeprefix(MARK).lower() if access_key.startswith(MARK) else CALLER


def client(application: WsgiApp, service: str, region: str, actor: str, session: Any) -> Any:
    """A boto3 client that calls `application` without a socket.

    Args:
        application: the account's WSGI application.
        service: boto3's name of a service.
        region: its region.
        actor: recorded as who called.
        session: the boto3 session that makes it, which must read nobody's settings.
    """
    from botocore.config import Config

    key = key_of(actor)
    made = session.client(
        service,
        region_name=region,
        endpoint_url="http://127.0.0.1:9",  # nothing listens there, and nothing is sent there
        aws_access_key_id=key,
        aws_secret_access_key=key,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, proxies={}),
    )
    made.meta.events.register("before-send", lambda request, **_: _answer(application, request))
    return made


def _answer(application: WsgiApp, request: Any) -> Any:
    from botocore.awsrequest import AWSResponse
    from werkzeug.test import EnvironBuilder, run_wsgi_app

    url = urlsplit(request.url)
    body = request.body.read() if hasattr(request.body, "read") else request.body
    builder = EnvironBuilder(
        method=request.method,
        path=url.path or "/",
        query_string=url.query,
        base_url=f"{url.scheme}://{url.netloc}",
        headers={
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        },
        data=body or b"",
    )
    chunks, status, headers = run_wsgi_app(application, builder.get_environ(), buffered=True)
    raw = _Body(b"".join(chunks))
    return AWSResponse(request.url, int(status.split()[0]), dict(headers), raw)


class _Body(io.BytesIO):
    """A body as botocore reads it from a socket."""

    def stream(self, **_: Any) -> Iterable[bytes]:
        yield self.read()
