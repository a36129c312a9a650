"""Builds the bubblewrap command that shuts a learner's kernel in, and finds out whether this machine can run it.

What the sandbox shows is listed here and in `grading.mounts`, and nowhere else: the system's programs and the Python
environment, read-only; `course_lib`; a private work folder that holds the lab's supporting files. Everything else (the
gradebook, other submissions, the solutions, the notebook with this lab's hidden tests, the grader's environment and
network) simply isn't there.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grading.errors import SandboxUnavailableError
from grading.limits import MIB, Limits
from grading.mounts import (
    FILES,
    TOOLS,
    WORK,
    course_lib_folder,
    open_parents,
    python_folders,
    system_mounts,
)

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Sandbox:
    """One kernel's sandbox.

    Args:
        limits: what the kernel may use.
        files: folder on the host whose contents are copied into the work folder (never the graded notebook).
        shared: folder on the host for the kernel's sockets, writable, seen at the same path on both sides.
        read_only: further host files shown read-only at the same path (the kernel's connection file).
        drop_root: the grader is root: bubblewrap runs privileged and the kernel becomes an ordinary user; otherwise a
            user namespace does the same without any privilege.
    """

    limits: Limits
    files: Path | None = None
    shared: Path | None = None
    read_only: tuple[Path, ...] = ()
    drop_root: bool = False

    def command(self, program: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """The whole command line.

        Args:
            program: absolute path of the program and its arguments, as seen inside.
            environment: variables the program gets beside a small fixed set; nothing else is handed on.

        Returns:
            The argument vector; start it with an empty environment, because /proc/1 inside shows bubblewrap's own.
        """
        settings = {
            "limits": self.limits.as_dict(),
            "uid": unprivileged_uid() if self.drop_root else None,
            "files": FILES,
            "work": WORK,
        }
        return [
            _bwrap(),
            *self._namespaces(),
            *self._private_mounts(),
            *open_parents([*python_folders(), course_lib_folder(), *self._shown()]),
            *system_mounts(),
            *self._own_mounts(),
            *_environment_options({**_fixed_environment(self.limits), **environment}),
            "--chdir",
            WORK,
            "--",
            sys.executable,
            "-I",
            "-S",
            f"{TOOLS}/inside.py",
            json.dumps(settings),
            *program,
        ]

    def _namespaces(self) -> list[str]:
        own = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
        session = ["--hostname", "lab", "--die-with-parent", "--new-session"]
        if self.drop_root:
            return [*own, *session, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        return ["--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000", *own, *session]

    def _shown(self) -> list[Path]:
        return [path for path in (self.shared, *self.read_only) if path is not None]

    def _private_mounts(self) -> list[str]:
        """Empty places of its own. They come first, so that a course cloned below /tmp is still mounted over them."""
        room = str(self.limits.work_bytes)
        options = ["--proc", "/proc", "--dev", "/dev"]
        for place in ("/dev/shm", "/tmp", "/var/tmp", WORK):
            options += ["--perms", "1777", "--size", room, "--tmpfs", place]
        return options

    def _own_mounts(self) -> list[str]:
        options = []
        for tool in ("inside.py", "bounded_output.py"):
            options += ["--ro-bind", str(_HERE / tool), f"{TOOLS}/{tool}"]
        if self.files is not None:
            options += ["--ro-bind", str(self.files), FILES]
        if self.shared is not None:
            options += ["--bind", str(self.shared), str(self.shared)]
        for path in self.read_only:
            options += ["--ro-bind", str(path), str(path)]
        # The root and /dev are in-memory file systems without a ceiling of their own.
        return [*options, "--remount-ro", "/dev", "--remount-ro", "/"]


def unprivileged_uid() -> int:
    """A user id that no account has and that no other kernel of this machine has now.

    Processes are counted by user id: two kernels with one id would eat each other's ration.
    """
    return 50_000 + os.getpid() % 10_000


def _bwrap() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxUnavailableError("the program bwrap is not on PATH")
    return found


def _fixed_environment(limits: Limits) -> dict[str, str]:
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": WORK,
        "USER": "learner",
        "LOGNAME": "learner",
        "LANG": "C.UTF-8",
        "TMPDIR": "/tmp",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "IPYTHONDIR": "/tmp/ipython",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": TOOLS,
        "OMP_NUM_THREADS": "1",
        "COURSE_OUTPUT_BYTES": str(limits.output_bytes),
    }


def _environment_options(environment: Mapping[str, str]) -> list[str]:
    options = ["--clearenv"]
    for name, value in environment.items():
        options += ["--setenv", name, value]
    return options


@functools.lru_cache(maxsize=1)
def working_sandbox() -> bool:
    """Finds the kind of sandbox that works here by running one.

    Returns:
        Whether to drop root (see Sandbox); the value for `Sandbox.drop_root`.

    Raises:
        SandboxUnavailableError: naming what failed and the remedy.
    """
    _bwrap()
    reason = "bwrap did not run"
    for drop_root in (True, False) if os.geteuid() == 0 else (False,):
        probe = Sandbox(Limits(memory_bytes=512 * MIB, processes=64), drop_root=drop_root)
        check = "import os, socket; assert os.getpid() < 10; assert socket.if_nameindex() == [(1, 'lo')]"
        try:
            done = subprocess.run(
                probe.command([sys.executable, "-c", check], {}),
                env={},
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = str(error)
            continue
        if done.returncode == 0:
            return drop_root
        reason = (done.stderr.strip().splitlines() or [f"bwrap ended with status {done.returncode}"])[-1]
    raise SandboxUnavailableError(reason)
