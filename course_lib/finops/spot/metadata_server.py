"""An instance metadata service on this machine's loopback address, for tests and labs.

It answers as the real service of an instance that insists on version 2: a token first, with a life of its own. What it
can't show is the hop limit: the real service sends its tokens with an IP time-to-live of 1, so that they never arrive
behind one more hop, such as a container's bridge, and the request there times out.
Source: "Use IMDSv2", "Retrieve instance metadata" and "Instance metadata categories", Amazon EC2 User Guide.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from course_lib.finops.spot.errors import SpotError, check_count, check_utc
from course_lib.finops.spot.job import NOTICE_SECONDS
from course_lib.finops.spot.metadata import LONGEST_TOKEN_SECONDS, TOKEN_HEADER, TOKEN_PATH, TTL_HEADER

ACTIONS = ("terminate", "stop", "hibernate")


@dataclass(frozen=True)
class Request:
    """One request as the server saw it."""

    method: str
    path: str
    status: int


class LocalMetadataServer:
    """A metadata service for one made-up instance. Use it as a context manager, or call `close()`.

    Args:
        instance_id: its id.
        instance_type: its type.
        availability_zone: its zone; the region is the zone without its letter.
        tags: tag keys and values that the instance may read.
        role: name of an IAM role for which made-up credentials are served; None serves none.
        clock: monotonic seconds, by which tokens expire.
        now: the time of day, in UTC, from which notices count.

    Attributes:
        url: what to pass to `MetadataClient`.
        requests: every request, oldest first.
    """

    def __init__(
        self,
        *,
        instance_id: str = "i-0123456789abcdef0",
        instance_type: str = "trn1.2xlarge",
        availability_zone: str = "us-east-1a",
        tags: Mapping[str, str] | None = None,
        role: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.requests: list[Request] = []
        self._clock, self._now = clock, now
        self._lock = threading.Lock()
        self._tokens: dict[str, float] = {}
        self._faults: list[int] = []
        self._items = {
            "instance-id": instance_id,
            "instance-type": instance_type,
            "instance-life-cycle": "spot",
            "placement/availability-zone": availability_zone,
            "placement/region": availability_zone[:-1],
        }
        self._items |= {f"tags/instance/{key}": value for key, value in (tags or {}).items()}
        if role is not None:
            self._items[f"iam/security-credentials/{role}"] = json.dumps(
                {
                    "Code": "Success",
                    "Type": "AWS-HMAC",
                    "AccessKeyId": "local-only",
                    "SecretAccessKey": "local-only",
                    "Token": "local-only",
                    "LastUpdated": _utc(now()),
                    "Expiration": _utc(now() + timedelta(hours=6)),
                }
            )
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def interrupt(self, at: datetime | None = None, action: str = "terminate") -> datetime:
        """Announce that EC2 will take the instance.

        Args:
            at: when, in UTC; two minutes from now by default.
            action: "terminate", "stop" or "hibernate".

        Returns:
            The announced moment, in whole seconds.

        Raises:
            SpotError: for another action, or a moment without UTC.
        """
        if action not in ACTIONS:
            raise SpotError.of("action", action, "is no interruption", f"use one of {', '.join(ACTIONS)}")
        moment = check_utc("at", at or self._now() + timedelta(seconds=NOTICE_SECONDS)).replace(microsecond=0)
        with self._lock:
            self._items["spot/instance-action"] = json.dumps({"action": action, "time": _utc(moment)})
            if action == "terminate":
                self._items["spot/termination-time"] = _utc(moment)
        return moment

    def rebalance(self, at: datetime | None = None) -> datetime:
        """Recommend to move: the instance is at elevated risk.

        Args:
            at: the moment of the recommendation, in UTC; now by default.

        Returns:
            That moment, in whole seconds.
        """
        moment = check_utc("at", at or self._now()).replace(microsecond=0)
        with self._lock:
            self._items["events/recommendations/rebalance"] = json.dumps({"noticeTime": _utc(moment)})
        return moment

    def all_clear(self) -> None:
        """Take notice and recommendation back, as on a fresh instance."""
        with self._lock:
            for path in ("spot/instance-action", "spot/termination-time", "events/recommendations/rebalance"):
                self._items.pop(path, None)

    def fail_next(self, status: int, times: int = 1) -> None:
        """Answer the next requests with an error status: 503 for a busy service, 403 for one that is turned off."""
        check_count("times", times)
        if not 400 <= status <= 599:
            raise SpotError.of("status", status, "is no error", "use a status from 400 to 599")
        with self._lock:
            self._faults += [status] * times

    def close(self) -> None:
        """Stop serving; closing again changes nothing."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> LocalMetadataServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, method: str, path: str, header: Callable[[str], str | None]) -> tuple[int, str]:
        with self._lock:
            if self._faults:
                status, text = self._faults.pop(0), ""
            elif method == "PUT":
                status, text = self._new_token(path, header(TTL_HEADER), header("X-Forwarded-For"))
            else:
                status, text = self._item(path, header(TOKEN_HEADER))
            self.requests.append(Request(method, path, status))
        return status, text

    def _new_token(self, path: str, ttl: str | None, forwarded: str | None) -> tuple[int, str]:
        if path != TOKEN_PATH or forwarded is not None:
            return 403, ""  # a forwarded request comes from a proxy that should not reach this service
        if ttl is None or not ttl.isascii() or not ttl.isdigit() or not 1 <= int(ttl) <= LONGEST_TOKEN_SECONDS:
            return 400, ""
        token = secrets.token_urlsafe(40)
        self._tokens[token] = self._clock() + int(ttl)
        return 200, token

    def _item(self, path: str, token: str | None) -> tuple[int, str]:
        if token is None or self._clock() >= self._tokens.get(token, float("-inf")):
            return 401, ""
        root = "/latest/meta-data"
        if path != root and not path.startswith(f"{root}/"):
            return 404, ""
        name = path.removeprefix(root).strip("/")
        if name in self._items:
            return 200, self._items[name]
        folder = f"{name}/" if name else ""
        inside = [item.removeprefix(folder) for item in self._items if item.startswith(folder)]
        listed = dict.fromkeys(item.split("/")[0] + ("/" if "/" in item else "") for item in inside)
        return (200, "\n".join(sorted(listed))) if listed else (404, "")


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _handler_of(server: LocalMetadataServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5  # an idle connection does not keep its thread

        def _serve(self) -> None:
            status, text = server._answer(self.command, self.path.partition("?")[0], self.headers.get)
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            if self.command == "PUT" and status == 200:
                self.send_header(TTL_HEADER, str(self.headers.get(TTL_HEADER)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: `requests` is the log."""

    return Handler
