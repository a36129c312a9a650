"""Read the built book in a browser: `python -m book.kit.serve`, which is what `make serve` runs."""

import argparse
import errno
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"


class ServeError(ValueError):
    """The book cannot be served; the message says what to do about it."""


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and logs only what went wrong."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Keep the terminal free of one line a request; errors still reach `log_error`."""


def server(html: Path, port: int) -> ThreadingHTTPServer:
    """A server for the built book on loopback, not yet running.

    Args:
        html: The folder that `make book` wrote.
        port: Port to listen on; 0 picks a free one.

    Raises:
        ServeError: No book has been built there, or the port is taken.
    """
    if not (html / "index.html").is_file():
        raise ServeError(f"no book in {html}: run `make book` first")
    try:
        return ThreadingHTTPServer((HOST, port), partial(QuietHandler, directory=str(html)))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServeError(f"port {port} is taken: stop what listens there, or choose another with --port") from error
        raise


def main() -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m book.kit.serve", description="Serve the built book on loopback.")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html", help="the built book")
    options = parser.parse_args()
    try:
        httpd = server(options.html, options.port)
    except ServeError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The book is at http://{HOST}:{httpd.server_address[1]}/ (Ctrl-C stops it)", flush=True)
    try:
        httpd.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        httpd.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
