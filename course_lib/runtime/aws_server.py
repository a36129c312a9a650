"""The server half of `aws_local`: moto on a free loopback port, in a process of its own.

A process of its own gives each endpoint its own state, keeps moto away from the reader's AWS settings, and ends when
its parent does: it serves until its standard input closes. Start it with `local_aws()`, not by hand.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

GAP_HEADER = "x-local-aws-gap"  # tells the client side what moto could not do

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def tell_gaps(application: WsgiApp) -> WsgiApp:
    """Replace moto's failures, which reach boto3 as an unreadable HTML page, by a reply that names what is missing.

    Args:
        application: moto's WSGI application.

    Returns:
        The same application; where the inner one raises, it answers 501 with `GAP_HEADER`, which boto3 does not retry.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            return application(environ, start_response)
        except Exception as error:  # noqa: BLE001 - whatever moto raises is for the client to hear, not for a log
            # latin-1 and one line, because it travels in an HTTP header
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300].encode("latin-1", "replace")
            headers = [("Content-Type", "text/plain"), (GAP_HEADER, reason.decode("latin-1"))]
            start_response("501 Not Implemented", headers)
            return [reason]

    return answer


def main() -> None:
    """Serve on 127.0.0.1, print the port as the first line of standard output, stop when standard input closes."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    application = tell_gaps(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.buffer.read()  # returns when the parent closes the pipe, or dies
    os._exit(0)  # nothing is worth saving, and taking moto's tables apart takes seconds


if __name__ == "__main__":
    main()
