"""Set the course up on a fresh machine: `.venv`, pinned packages, the Horovod wheel, Debian's build tools.

`make setup` runs this with the system's Python, before anything is installed, so it uses the standard library alone.
Each stage is skipped when its inputs have not changed; a stage that fails says what to type and the rest goes on.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from course_lib.runtime import debian, horovod_wheel, python_version

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STAMP = VENV / "course-setup.sha256"
LOCK = ROOT / "requirements.lock"


class SetupError(RuntimeError):
    """A stage without which the course cannot run; the message says what to type."""


def inputs_digest() -> str:
    """Hash of all that decides what gets installed: pins, lock, these scripts and the interpreter."""
    digest = hashlib.sha256(sys.version.encode())
    for path in [ROOT / "pyproject.toml", LOCK, *sorted(Path(__file__).parent.glob("*.py"))]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def say(text: str) -> None:
    """Print one progress line at once, also when make's output goes to a file."""
    print(f"[setup] {text}", flush=True)


def run(*command: str | Path, **environment: str) -> None:
    """Run a command; raise SetupError naming it when it fails."""
    words = [str(word) for word in command]
    if subprocess.run(words, cwd=ROOT, env=os.environ | environment, check=False).returncode != 0:
        raise SetupError(f"this command failed: {' '.join(words)}\n        its output is above; run it again by hand")


def check_python() -> None:
    """Refuse an interpreter that the pins do not cover."""
    if not python_version.is_supported():
        raise SetupError(
            f"Python {python_version.running()} is not supported (3.11, 3.12 or 3.13 is): "
            "choose one with `make setup PYTHON=python3.11`"
        )


def make_venv(python: Path) -> None:
    """Create `.venv` unless a working one of this Python version is there; a broken one is made anew."""
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}"
    probe = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    if python.exists():
        found = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=False)
        if found.stdout.strip() == wanted:
            return
    say(f"making {VENV.name} with Python {wanted}")
    run(sys.executable, "-m", "venv", "--clear", VENV)


def pinned(name: str) -> str:
    """The lock file's line for one package, such as `torch==2.13.0`."""
    for line in LOCK.read_text().splitlines():
        if line.partition("==")[0].strip() == name:
            return line.strip()
    raise SetupError(f"{LOCK.name} has no line `{name}==...`: make it anew with `make lock`")


def install_packages(python: Path) -> None:
    """Install the lock file's exact versions, torch first, and the course itself in editable mode."""
    pip = (python, "-m", "pip", "--disable-pip-version-check", "-qq", "install", "--no-warn-script-location")
    say("installing pip and build tools at their pinned versions")
    run(*pip, pinned("pip"), pinned("setuptools"), pinned("wheel"))
    torch = pinned("torch")
    say(f"installing {torch}")
    # First and by itself: asked for together with packages that name a bare `torch`, pip may choose a CUDA build.
    run(*pip, torch, "--constraint", LOCK)
    say("installing the packages of requirements.lock")
    run(*pip, "--no-deps", "--requirement", LOCK)
    run(*pip, "--no-deps", "--no-build-isolation", "--editable", ".")
    switch_off_news(python)


def switch_off_news(python: Path) -> None:
    """Keep JupyterLab from greeting each new learner with a question about its makers' news."""
    settings = VENV / "etc" / "jupyter" / "labconfig" / "page_config.json"
    plugin = "@jupyterlab/apputils-extension:announcements"
    command = [str(python.with_name("jupyter")), "labextension", "disable", "--level=sys_prefix", plugin]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0 or not settings.exists():
        say("JupyterLab will ask about news at its first start: its setting could not be written")


def main(arguments: list[str] | None = None) -> int:
    """Run the stages; return 0 when the course can run, 1 when it cannot."""
    force = "--force" in (arguments if arguments is not None else sys.argv[1:])
    started = time.monotonic()
    python = VENV / "bin" / "python"
    try:
        check_python()
        digest = inputs_digest()
        debian.install_missing(say)
        if not force and STAMP.exists() and STAMP.read_text() == digest and python.exists():
            say("nothing changed: .venv is up to date (`make setup FORCE=1` installs anew)")
            return 0
        make_venv(python)
        STAMP.unlink(missing_ok=True)
        install_packages(python)
        horovod = horovod_wheel.install(python, say)
    except SetupError as error:
        print(f"[setup] error: {error}", file=sys.stderr)
        return 1
    if horovod:  # without it the next run tries again
        STAMP.write_text(digest)
    say(f"done in {time.monotonic() - started:.0f} s; `.venv/bin/course doctor` shows what this machine has")
    return 0


if __name__ == "__main__":
    sys.exit(main())
