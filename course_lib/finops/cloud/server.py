"""The practice account as a process: serves on 127.0.0.1 until it is told to stop. Start it with `course cloud up`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

from course_lib.finops.cloud.application import Account
from course_lib.finops.cloud.clock import Clock
from course_lib.finops.cloud.control import Control
from course_lib.finops.cloud.faster import quicken
from course_lib.finops.cloud.functions import run_functions
from course_lib.runtime import tell_gaps

TICK = 0.2  # seconds between looks at the clock when nobody asks anything


def moto_application() -> Any:
    """moto's application, with failures in words."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    return tell_gaps(DomainDispatcherApplication(create_backend_app))


def reset_moto() -> None:
    """Empty moto's part of the account."""
    from moto.core.base_backend import BackendDict
    from moto.core.model_instances import reset_model_data

    BackendDict.reset()
    reset_model_data()


def follow(clock: Clock) -> None:
    """Let moto take the time from `clock`: launch times, creation times and dates of everything that it makes."""
    import moto.core.utils as utils

    real = utils.utcnow

    def utcnow() -> datetime:
        return clock.now().replace(tzinfo=None)

    utils.utcnow = utcnow
    for name, module in list(sys.modules.items()):
        if name.startswith("moto.") and getattr(module, "utcnow", None) is real:
            module.utcnow = utcnow  # type: ignore[attr-defined]


def main() -> None:
    """Serve; print the port as the first line of standard output."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    asked = _arguments()
    os.environ["MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS"] = "false"  # moto would open each bucket to each account
    clock = Clock(datetime.fromisoformat(asked.start) if asked.start else None, asked.speed)
    follow(clock)
    quicken()
    account = Account(moto_application(), clock, Path(asked.ledger) if asked.ledger else None, asked.seed)
    account.meter.watch()
    application = tell_gaps(Control(account, reset_moto))

    class Handler(MotoRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            """The Date header of every answer: whoever asks AWS for the time reads it, and here it is the account's."""
            return format_datetime(clock.now().replace(microsecond=0), usegmt=True)

    server = make_server("127.0.0.1", asked.port, application, threaded=True, request_handler=Handler)
    run_functions(f"http://127.0.0.1:{server.server_port}", lambda: partial(account._tell, "lambda"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    if asked.until_stdin_closes:
        threading.Thread(target=_end_with_stdin, args=(ended,), daemon=True).start()
    while not ended.wait(TICK):
        if clock.speed:
            account.catch_up()
    os._exit(0)  # nothing is worth saving, and taking moto's tables apart takes seconds


def _end_with_stdin(ended: threading.Event) -> None:
    sys.stdin.buffer.read()
    ended.set()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--start", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ledger", default="")
    parser.add_argument("--until-stdin-closes", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
