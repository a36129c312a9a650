"""The built book, built once a session, and a browser that reads it from loopback.

`built` runs the command of `make book`: on a book that is up to date that takes seconds, and every test below looks at
what a reader gets. Of several workers of pytest-xdist one builds and the others wait for it.
"""

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from book.kit.rendered import pages
from book.kit.serve import server

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
# Without these Chromium asks its maker's hosts for updates and settings.
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the book's HTML, up to date."""
    ours = tmp_path_factory.getbasetemp()
    shared = ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours
    finished = shared / "the-book-is-built"
    with (shared / "the-book.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            command = [sys.executable, "-m", "book.kit.build"]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
            assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
            finished.touch()
    return ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def page_paths(built: Path) -> list[str]:
    """Every page of the book, and the search page, as paths below the book's root."""
    return [page.relative_to(built).as_posix() for page in pages(built)] + ["search.html"]


@pytest.fixture(scope="session")
def site(built: Path) -> Iterator[str]:
    """The book's address on loopback, served as `make serve` serves it."""
    httpd = server(built, 0)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()
    thread.join(timeout=5)


# not a session's: two Playwrights cannot run at once in one process, and other folders' tests start their own
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, told not to call home."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()
