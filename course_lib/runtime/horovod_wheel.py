"""Build Horovod 0.28.1 once against the installed torch, and keep the wheel for every later set-up.

Horovod's last release asks its compiler for C++17 while torch 2.13's headers need C++20; a compiler wrapper that
appends the newer standard is the smallest remedy (the fix on Horovod's main branch was never released).
Standard library only: this runs before `.venv` is complete.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

VERSION = "0.28.1"
# torch with gloo only: the course needs no MPI, TensorFlow or MXNet, and each would have to be found and compiled in.
BUILD_OPTIONS = {
    "HOROVOD_WITH_PYTORCH": "1",
    "HOROVOD_WITH_GLOO": "1",
    "HOROVOD_WITHOUT_TENSORFLOW": "1",
    "HOROVOD_WITHOUT_MXNET": "1",
    "HOROVOD_WITHOUT_MPI": "1",
}


def cache_folder(python: Path) -> Path:
    """Where wheels for this interpreter, torch and processor are kept: a wheel built for others would not load."""
    words = "import sys, torch; print('py%d.%d-torch%s' % (*sys.version_info[:2], torch.__version__))"
    key = subprocess.run([python, "-c", words], capture_output=True, text=True, check=True).stdout.strip()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "training-at-scale" / "wheels" / f"{key}-{platform.machine()}"


def is_installed(python: Path) -> bool:
    """Whether this interpreter can load Horovod's torch binding (a wheel for another torch would fail here)."""
    return subprocess.run([python, "-c", "import horovod.torch"], capture_output=True, check=False).returncode == 0


def build(python: Path, folder: Path, say: Callable[[str], None]) -> Path | None:
    """Build the wheel into `folder`; return its path, or None with the log's path said when the build fails."""
    compiler = shutil.which("g++")
    if compiler is None or shutil.which("cmake") is None:
        say("Horovod is left out: it needs g++ and cmake; install them with: sudo apt-get install g++ cmake")
        return None
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    say(f"building Horovod {VERSION} (about 3 minutes, once; log in {log})")
    with tempfile.TemporaryDirectory() as scratch:
        wrapper = Path(scratch, "c++20")
        wrapper.write_text(f'#!/bin/sh\nexec {compiler} "$@" -std=gnu++20\n')
        wrapper.chmod(0o755)
        with log.open("w") as output:
            command = [str(python), "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", scratch]
            building = subprocess.Popen(
                [*command, f"horovod=={VERSION}"],
                env=os.environ | BUILD_OPTIONS | {"CXX": str(wrapper)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            started = time.monotonic()
            while building.poll() is None:
                try:
                    building.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    say(f"still building Horovod, {time.monotonic() - started:.0f} s so far")
        wheels = list(Path(scratch).glob("horovod-*.whl"))
        if building.returncode != 0 or not wheels:
            say(f"Horovod could not be built; everything else works. The compiler's words are in {log}")
            return None
        # Renamed into place, so that an interrupted copy is never taken for a wheel.
        partial = folder / f"{wheels[0].name}.part"
        shutil.copyfile(wheels[0], partial)
        return partial.rename(folder / wheels[0].name)


def install(python: Path, say: Callable[[str], None]) -> bool:
    """Install Horovod into the interpreter's environment, from the cache when it can.

    Args:
        python: the virtual environment's interpreter, with torch installed.
        say: called with each line of progress.

    Returns:
        Whether Horovod is installed and loads.
    """
    if is_installed(python):
        return True
    folder = cache_folder(python)
    wheel = next(iter(sorted(folder.glob(f"horovod-{VERSION}-*.whl"))), None) or build(python, folder, say)
    if wheel is None:
        return False
    say(f"installing Horovod {VERSION}")
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", str(wheel)]
    subprocess.run(command, check=False)
    if not is_installed(python):
        wheel.unlink()
        print("[setup] the cached Horovod wheel does not load and was deleted; run `make setup` again", file=sys.stderr)
        return False
    return True
