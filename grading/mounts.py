"""What the sandbox shows of this machine, as bubblewrap's options: programs, libraries and the Python environment.

Everything here is read-only; what neither this file nor `grading.sandbox` lists isn't there for the learner's code.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from grading.errors import SandboxUnavailableError

REPOSITORY = Path(__file__).resolve().parent.parent
WORK = "/home/learner"
TOOLS = "/opt/grading"
FILES = "/opt/grading/files"
_HERE = Path(__file__).resolve().parent
# Configuration that programs expect; none of it says anything about the people on this machine.
_ETC = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "alternatives",
    "fonts",
    "nsswitch.conf",
    "mime.types",
)


def system_mounts() -> list[str]:
    """Programs and libraries, read-only; links such as /bin -> usr/bin are made again, not followed."""
    options: list[str] = []
    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    for name in _ETC:
        options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    options += ["--ro-bind", str(_HERE / "sandbox_etc" / "passwd"), "/etc/passwd"]
    options += ["--ro-bind", str(_HERE / "sandbox_etc" / "group"), "/etc/group"]
    options += ["--ro-bind", str(_HERE / "sandbox_etc" / "hosts"), "/etc/hosts"]
    python = [path for path in python_folders() if not path.is_relative_to("/usr")]
    outside = [path for path in python if not path.is_relative_to(REPOSITORY)]
    inside = [path for path in python if path.is_relative_to(REPOSITORY)]
    for path in outside:
        options += ["--ro-bind", str(path), str(path)]
    if any(REPOSITORY.is_relative_to(shown) for shown in [Path("/usr"), *outside]):
        options += ["--perms", "0755", "--size", "65536", "--tmpfs", str(REPOSITORY)]
    for path in [*inside, course_lib_folder()]:
        options += ["--ro-bind", str(path), str(path)]
    return options


def open_parents(paths: Sequence[Path]) -> list[str]:
    """Makes the folders that lead to a mount point passable; bubblewrap makes them for their owner alone."""
    parents = {parent for path in paths for parent in path.parents}
    parents |= {Path("/etc"), Path("/var"), Path("/home"), *Path(FILES).parents}
    private = {Path("/"), Path("/tmp"), Path(WORK)}
    wanted = [parent for parent in sorted(parents - private) if not parent.is_relative_to("/usr")]
    return [option for parent in wanted for option in ("--perms", "0755", "--dir", str(parent))]


def python_folders() -> list[Path]:
    """Where this interpreter and its packages live, with the links on the way resolved too."""
    executable = Path(sys.executable).resolve().parent.parent
    folders = {
        Path(sys.prefix),
        Path(sys.prefix).resolve(),
        Path(sys.base_prefix),
        Path(sys.base_prefix).resolve(),
        executable,
    }
    return sorted(folder for folder in folders if folder != Path("/"))


def course_lib_folder() -> Path:
    spec = importlib.util.find_spec("course_lib")
    if spec is None or not spec.submodule_search_locations:
        raise SandboxUnavailableError("the package course_lib is not installed in this environment (run make setup)")
    return Path(next(iter(spec.submodule_search_locations))).resolve()
