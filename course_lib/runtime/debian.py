"""Debian packages that pip cannot bring: the grading sandbox, a C++ compiler, CMake, Python's headers, a browser.

What is missing is installed when this process may (root, or sudo without a password); otherwise the exact command is
printed and set-up goes on with what works. Standard library only: this runs before `.venv` exists.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Need:
    """One Debian package, how to see that it is there, and what does not work without it."""

    package: str
    present: Callable[[], bool]
    without_it: str


def _command(name: str) -> Callable[[], bool]:
    return lambda: shutil.which(name) is not None


def _has_headers() -> bool:
    return Path(sysconfig.get_paths()["include"], "Python.h").exists()


def _has_ensurepip() -> bool:
    return importlib.util.find_spec("ensurepip") is not None


# Debian splits venv and the headers off its own Python; a Python from elsewhere (pyenv, conda) brings them along.
_VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
NEEDS = (
    Need(f"{_VERSION}-venv", _has_ensurepip, "no virtual environment can be made"),
    Need("bubblewrap", _command("bwrap"), "`course grade` refuses to run learners' code"),
    Need("g++", _command("g++"), "Horovod cannot be built"),
    Need("cmake", _command("cmake"), "Horovod cannot be built"),
    Need(f"{_VERSION}-dev", _has_headers, "Horovod cannot be built"),
    Need("chromium", _command("chromium"), "the browser tests of `make test` are skipped"),
)


def missing_needs() -> list[Need]:
    """The needs that this machine does not meet, in the order of NEEDS."""
    return [need for need in NEEDS if not need.present()]


def _apt_prefix() -> list[str] | None:
    """The words that let this process run apt-get, or None when it may not."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    return None


def install_missing(say: Callable[[str], None]) -> list[Need]:
    """Install what is missing if this process may; return what is still missing, after saying how to get it.

    Args:
        say: called with each line of progress.
    """
    missing = missing_needs()
    if not missing:
        return []
    packages = [need.package for need in missing]
    prefix = _apt_prefix()
    if prefix is not None:
        say(f"installing Debian packages: {' '.join(packages)}")
        quiet = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
        subprocess.run([*quiet, "update"], stdout=subprocess.DEVNULL, check=False)
        for package in packages:  # one by one, so that a package this Debian lacks does not stop the others
            subprocess.run(
                [*quiet, "install", "--no-install-recommends", package], stdout=subprocess.DEVNULL, check=False
            )
        missing = missing_needs()
    for need in missing:
        say(f"missing: {need.package} ({need.without_it}); install it with: sudo apt-get install {need.package}")
    return missing
