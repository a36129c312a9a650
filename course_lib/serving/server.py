"""Runs an application on a port with uvicorn: in the foreground for the command, in a thread for a chapter."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from course_lib.serving.errors import ServingError

BACKLOG = 4096  # connections that wait to be accepted: a burst of clients isn't turned away before the queue sees it
PATIENCE_SECONDS = 60.0


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A socket that listens.

    Args:
        host: address.
        port: 0 picks a free one.

    Raises:
        ServingError: when the port is taken, or the address isn't this machine's.
    """
    if not 0 <= port < 2**16:
        raise ServingError.of("port", port, "must be from 0 to 65535", "use 8000")
    try:
        return socket.create_server((host, port), backlog=BACKLOG)
    except OSError as error:
        raise ServingError.of("port", port, f"on {host} can't be had: {error.strerror}", "choose another") from error


def make_server(app: FastAPI, *, finish_seconds: int = 300) -> uvicorn.Server:
    """A server that finishes the requests it has when it is told to end.

    Args:
        app: of `create_app`.
        finish_seconds: it takes for that at most; then connections are cut.
    """
    config = uvicorn.Config(
        app, log_level="warning", backlog=BACKLOG, lifespan="on", timeout_graceful_shutdown=finish_seconds
    )
    return uvicorn.Server(config)


@contextmanager
def serving(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a thread for as long as the block runs; requests under way are finished at its end.

    Args:
        app: of `create_app`.
        host: address.
        port: 0 picks a free one.

    Yields:
        The URL, such as "http://127.0.0.1:41234".

    Raises:
        ServingError: when the port is taken, or the server does not start.
    """
    sock = listen(host, port)
    server = make_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="http", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise ServingError("the server did not start. Remedy: read what it printed.", status=500)
            time.sleep(0.005)
        yield f"http://{host}:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        sock.close()
