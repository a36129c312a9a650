"""A browser page that records requests to other hosts and errors on the console."""

from __future__ import annotations

from playwright.sync_api import Page

OWN = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")


class Watched:
    """A page with a record of what must not happen.

    Args:
        page: the page; `foreign` and `errors` fill as it works.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.foreign: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self._record(request.url))
        page.on("websocket", lambda socket: self._record(socket.url))
        page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _record(self, url: str) -> None:
        if not url.startswith(OWN):
            self.foreign.append(url)
