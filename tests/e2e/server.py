"""JupyterLab on loopback, started with the options that the Makefile gives to `make lab` and `make formgrader`."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
START_LIMIT_SECONDS = 120
STOP_LIMIT_SECONDS = 30


@functools.cache
def makefile_options(variable: str) -> tuple[str, ...]:
    """A variable of the Makefile, such as LAB_OPTIONS, as it is on this machine."""
    rule = f"shown-by-a-test: ; @printf '%s\\n' $({variable})"
    command = ["make", "--no-print-directory", "-s", f"--eval={rule}", "shown-by-a-test"]
    shown = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return tuple(shown.splitlines())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def jupyterlab(folder: Path, home: Path, variable: str = "LAB_OPTIONS") -> Iterator[str]:
    """Serve a folder; the value is the address.

    Args:
        folder: what is served, and where the server runs.
        home: an empty folder in the place of the user's home: settings, workspaces, signatures and the log go there.
        variable: the Makefile's variable with the options.
    """
    binaries = Path(sys.executable).parent
    port = free_port()
    command = [
        str(binaries / "jupyter"), "lab", *makefile_options(variable), "--no-browser", f"--ServerApp.port={port}",
        "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    home.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(home)}
    # what the invoking shell says about Jupyter's folders must not lead the server back to the user's own
    environment = {name: value for name, value in environment.items() if not name.startswith(("JUPYTER_", "IPYTHON"))}
    log = home / "jupyterlab.log"
    with log.open("w") as output:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address + "/api/status", server, log)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(timeout=STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start within {START_LIMIT_SECONDS} s:\n{log.read_text()[-2000:]}")
