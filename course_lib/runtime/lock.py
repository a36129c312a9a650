"""Write requirements.lock: the exact version of everything in `.venv` that pyproject.toml's pins pull in.

Run by `make lock` after a pin has changed. The versions come from pip's own resolver in an empty environment, never
from a working one, so that nothing installed by hand gets in.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = """\
# Exact versions of everything that `make setup` installs, made by `make lock` from pyproject.toml; do not edit.
# torch comes first and by itself, Horovod is built from source: see course_lib/runtime/.
"""
# setuptools 80 dropped what Horovod's build still uses.
BUILD_TOOLS = ("pip", "setuptools<80", "wheel")


def resolve(python: Path) -> list[str]:
    """Install the pins into the empty environment of `python`; return pip's sorted `name==version` lines."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = project["dependencies"] + project["optional-dependencies"]["dev"]
    torch = next(pin for pin in pins if pin.startswith("torch=="))
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-qq"]
    subprocess.run([*pip, "install", "--upgrade", *BUILD_TOOLS], check=True)
    # Horovod's own needs, which its build finds already there; its wheel is installed without dependencies.
    subprocess.run([*pip, "install", torch], check=True)
    subprocess.run([*pip, "install", *pins, "cloudpickle", "psutil", "pyyaml", "packaging", "cffi"], check=True)
    frozen = subprocess.run([*pip, "freeze", "--all"], capture_output=True, text=True, check=True).stdout
    # A local build is named `2.13.0+cpu`; the lock names the public version, which such a build satisfies.
    return sorted((line.partition("+")[0].strip() for line in frozen.splitlines() if "==" in line), key=str.lower)


def main() -> int:
    """Resolve in a throw-away environment and replace the lock file in one step."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        lines = resolve(Path(folder, "bin", "python"))
    target = ROOT / "requirements.lock"
    partial = target.with_suffix(".part")
    partial.write_text(HEADER + "\n".join(lines) + "\n")
    partial.rename(target)
    print(f"requirements.lock: {len(lines)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
