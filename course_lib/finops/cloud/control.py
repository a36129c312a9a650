"""The account's back door: its clock, faults and records, as JSON over HTTP under /_course/, beside AWS's interface."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from course_lib.finops.cloud.application import Account
from course_lib.finops.cloud.faults import Fault
from course_lib.finops.cloud.instances import bury
from course_lib.finops.errors import FinopsError

PREFIX = "/_course/"


class Control:
    """The application that serves the back door, and hands everything else to the account."""

    def __init__(self, account: Account, reset: Callable[[], None]) -> None:
        self.account = account
        self._reset = reset

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        path = str(environ.get("PATH_INFO", ""))
        if not path.startswith(PREFIX):
            return self.account(environ, start_response)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        try:
            asked = json.loads(environ["wsgi.input"].read(length) or b"{}")
            query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
            status, answer = "200 OK", self.answer(environ["REQUEST_METHOD"], path[len(PREFIX) :], asked, query)
        except (FinopsError, ValueError, TypeError, KeyError, OverflowError) as error:
            status, answer = "400 Bad Request", {"error": str(error)}
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer, default=str).encode()]

    def answer(self, method: str, what: str, asked: dict[str, Any], query: dict[str, str]) -> Any:
        """What a request to the back door gets.

        Raises:
            FinopsError: for a request that isn't one, or a value out of range.
        """
        account = self.account
        match method, what:
            case "GET", "clock":
                account.catch_up()
            case "POST", "clock":
                if "speed" in asked:
                    account.clock.run_at(float(asked["speed"]))
                seconds = float(asked.get("advance_seconds", 0))
                if not 0 <= seconds < float("inf"):
                    raise FinopsError.of("advance_seconds", seconds, "must be 0 or more", "time runs forward only")
                account.advance_to(account.clock.now() + timedelta(seconds=seconds))
            case "GET", "calls":
                account.catch_up()
                return [asdict(record) for record in account.ledger.since(int(query.get("since", 0)))]
            case "DELETE", "calls":
                account.ledger.erase()
                return []
            case "POST", "bury":
                bury(account.clock.now())
                return {}
            case "GET", "faults":
                return [asdict(rule) for rule in account.faults.rules()]
            case "POST", "faults":
                account.faults.inject([Fault(**asked)])
                return [asdict(rule) for rule in account.faults.rules()]
            case "DELETE", "faults":
                account.faults.clear()
                return []
            case "POST", "asleep":
                account.guests.asleep = bool(asked.get("guests", account.guests.asleep))
                account.schedules.asleep = bool(asked.get("schedules", account.schedules.asleep))
                return {"guests": account.guests.asleep, "schedules": account.schedules.asleep}
            case "POST", "quotas":
                account.quotas.set(str(asked["region"]), str(asked["code"]), float(asked["vcpus"]))
            case "POST", "reset":
                start = datetime.fromisoformat(asked["start"]) if "start" in asked else None
                self._reset()
                if start is not None:
                    account.clock.restart(start)
                account.forget()
                return {}
            case _:
                raise FinopsError.of(
                    "request", f"{method} {PREFIX}{what}", "is not served", "see course_lib.finops.cloud"
                )
        return {"now": account.clock.now().isoformat(), "speed": account.clock.speed}
