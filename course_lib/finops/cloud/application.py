"""The practice account: moto behind a layer that gives it a clock, faults, a memory of calls, and what it lacks."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from course_lib.finops.cloud import inside
from course_lib.finops.cloud.alarms import Alarms
from course_lib.finops.cloud.allocation_tags import AllocationTags
from course_lib.finops.cloud.anomaly_watch import AnomalyWatch
from course_lib.finops.cloud.budgets import Budgets
from course_lib.finops.cloud.clock import Clock
from course_lib.finops.cloud.cost_explorer import DELAY
from course_lib.finops.cloud.exports import Exports
from course_lib.finops.cloud.faults import Faults
from course_lib.finops.cloud.guests import Guests
from course_lib.finops.cloud.instances import check_replay
from course_lib.finops.cloud.ledger import Ledger
from course_lib.finops.cloud.meter import Meter
from course_lib.finops.cloud.overlay import AFTER, BEFORE
from course_lib.finops.cloud.owners import check_owner
from course_lib.finops.cloud.quotas import Quotas
from course_lib.finops.cloud.regions import check_region
from course_lib.finops.cloud.schedules import Schedules
from course_lib.finops.cloud.tokens import Tokens
from course_lib.finops.cloud.wire import ApiCall, ApiError, as_text, read_call, write_result

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[int, dict[str, str], bytes]


class Account:
    """The state of the practice account around moto's, and the application that serves both.

    Args:
        moto: moto's WSGI application.
        clock: the account's time.
        ledger: where calls are written.
        seed: of faults that come by chance.
    """

    def __init__(self, moto: WsgiApp, clock: Clock, ledger_path: Path | None = None, seed: int = 0) -> None:
        self.moto = moto
        self.clock = clock
        self.ledger = Ledger(ledger_path)
        self.meter = Meter(clock.now)
        self._seed = seed
        self._local = threading.local()
        self._clients: dict[tuple[str, str, str], Any] = {}
        self.forget()

    def forget(self) -> None:
        """Begin anew: no tokens, timers, faults and records. moto's part is emptied by its owner; the clock runs on."""
        self.ledger.clear()
        self.faults = Faults(self._seed)
        self.tokens = Tokens()
        self.guests = Guests()
        self.quotas = Quotas()
        self.meter.clear()
        self.alarms = Alarms(partial(self.client, actor="alarms"), self.clock.now, partial(self._tell, "cloudwatch"))
        self.allocation_tags = AllocationTags()
        tell_anomaly = partial(self._tell, "ce")
        self.anomalies = AnomalyWatch(partial(self.client, actor="anomalies"), self.meter, tell_anomaly)
        tell_budget = partial(self._tell, "budgets")
        self.budgets = Budgets(partial(self.client, actor="budgets"), self.meter, self.clock.now(), tell_budget, DELAY)
        self.schedules = Schedules(partial(self.client, actor="scheduler"), self._tell_schedule)
        tell_export = partial(self._tell, "bcm-data-exports")
        self.exports = Exports(partial(self.client, actor="exports"), self.meter, tell_export, DELAY)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        call = read_call(environ)
        actor = inside.actor_of(call.access_key) if call else inside.CALLER
        if actor == inside.CALLER:  # a function that runs at a due moment must not wait for that moment to pass
            self.catch_up()
        if call is None:
            return self.moto(environ, start_response)
        status, headers, body = self._answer(call, actor, environ)
        error = headers.pop("x-course-error", "")
        self.ledger.add(
            self.clock.now(),
            actor,
            (call.service, call.operation, call.region),
            as_text(call.parameters),
            access_key=call.access_key,
            status=status,
            error=error,
        )
        start_response(f"{status} ", [(name, value) for name, value in headers.items()])
        return [body]

    def catch_up(self) -> int:
        """Let everything happen that is due by now."""
        if getattr(self._local, "busy", False):  # what happens inside calls the application again
            return 0
        return self.advance_to(self.clock.now())

    def advance_to(self, until: Any) -> int:
        """Turn the clock forward, letting things happen at their own moments; returns how many moments were visited."""
        self._local.busy = True
        try:
            return self.clock.reach(until, self._next_due, self._happen)
        finally:
            self._local.busy = False

    def client(self, service: str, region: str, actor: str) -> Any:
        """A boto3 client for something that acts inside the account."""
        key = (service, region, actor)
        if key not in self._clients:
            from course_lib.runtime import private_session

            self._clients[key] = inside.client(self, service, region, actor, private_session())
        return self._clients[key]

    def ask_moto(self, environ: dict[str, Any]) -> Answer:
        """moto's own answer to a request."""
        from werkzeug.test import run_wsgi_app

        chunks, status, headers = run_wsgi_app(self.moto, environ, buffered=True)
        return int(status.split()[0]), dict(headers), b"".join(chunks)

    def _answer(self, call: ApiCall, actor: str, environ: dict[str, Any]) -> Answer:
        failure = self.faults.strike(call, actor)
        if failure is not None:
            return _failed(call, failure)
        try:
            check_region(call)
            check_owner(call)
            with self.tokens.of(call) as remembered:
                if remembered.answer is None:
                    remembered.answer = self._work(call, environ)
                elif call.name == "ec2.RunInstances":
                    check_replay(call, remembered.answer[2])
                return remembered.answer[0], dict(remembered.answer[1]), remembered.answer[2]
        except ApiError as error:
            return _failed(call, error)

    def _work(self, call: ApiCall, environ: dict[str, Any]) -> Answer:
        before = BEFORE.get(call.name)
        result = before(self, call) if before else None
        status, headers, body = self.ask_moto(environ) if result is None else write_result(call, result)
        if status < 300:
            for after in AFTER.get(call.name, ()):
                after(self, call, status, headers, body)
        elif "x-course-error" not in headers:
            headers["x-course-error"] = error_code(headers, body)
        return status, headers, body

    def _next_due(self) -> Any:
        sources = (self.guests, self.schedules, self.alarms, self.budgets, self.exports, self.anomalies)
        return min((time for source in sources if (time := source.next_due()) is not None), default=None)

    def _happen(self, now: Any) -> None:
        for timer, what in self.guests.happen(now):
            told = {"InstanceId": timer.instance, "became": what}
            self.ledger.add(now, "guest", ("ec2", "shutdown", timer.region), told)
        self.schedules.happen(now)
        self.alarms.happen(now)
        self.budgets.happen(now)
        self.anomalies.happen(now)
        self.exports.happen(now)

    def _tell(self, service: str, region: str, what: str, told: dict[str, Any], status: int, error: str) -> None:
        actor = {"cloudwatch": "alarms", "ce": "anomalies", "lambda": "function"}.get(service, service)
        self.ledger.add(self.clock.now(), actor, (service, what, region), told, status=status, error=error)

    def _tell_schedule(self, schedule: Any, what: str, status: int, error: str) -> None:
        region = schedule.arn.split(":")[3]
        told = {"ScheduleArn": schedule.arn, "what": what}
        now, call = self.clock.now(), ("scheduler", "invoke", region)
        self.ledger.add(now, "scheduler", call, told, status=status, error=error)


def error_code(headers: dict[str, str], body: bytes) -> str:
    """The code of an AWS error in any of its formats, or "unknown"."""
    if code := {name.lower(): value for name, value in headers.items()}.get("x-amzn-errortype"):
        return code.split(":")[0]
    text = body[:4000].decode("utf-8", "replace")
    patterns = r"<Code>([^<]+)</Code>", r'"(?:__type|code)"\s*:\s*"(?:[^"#]*#)?([^"]+)"'
    found = next(filter(None, (re.search(pattern, text) for pattern in patterns)), None)
    return found[1] if found else "unknown"


def _failed(call: ApiCall, error: ApiError) -> Answer:
    status, headers, body = write_result(call, error)
    return status, {**headers, "x-course-error": error.code}, body
