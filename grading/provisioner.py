"""A Jupyter kernel provisioner that launches the kernel inside bubblewrap.

jupyter_client hands the launch of a kernel to a provisioner; this one changes how the process starts and how it is
signalled, and nothing else: nbclient, nbconvert and nbgrader stay as they are. The kernel has no network to share with
its client, so the two talk through Unix sockets in a folder that both see.

Source: https://jupyter-client.readthedocs.io/en/latest/provisioning.html
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.provisioning import LocalProvisioner
from traitlets import Dict, Unicode

if TYPE_CHECKING:
    from grading.watchdog import Watchdog

# Kernel variables that mean something to the code in the cells; everything else of the grader's environment stays out.
_HANDED_ON = ("NBGRADER_EXECUTION",)
_SOCKETS = "sockets"


class SandboxProvisioner(LocalProvisioner):
    """Launches a kernel in a sandbox; see `grading.sandbox` for what it sees and `grading.limits` for what it gets."""

    limits: dict[str, int] = Dict(help="Ceilings by name, see grading.limits.Limits.").tag(config=True)
    files = Unicode("", help="Folder whose files (but no notebook) are copied into the kernel's work folder.").tag(
        config=True
    )

    watchdog: Watchdog | None = None
    last_words: str = ""  # what the kernel's process itself wrote last; says why a launch failed
    _folder: Path | None = None

    @property
    def reason(self) -> str | None:
        """Why the watchdog ended the kernel, None when it didn't."""
        return self.watchdog.reason if self.watchdog else None

    def look(self) -> str | None:
        """The same after a look at this moment: what a cell has just left behind is then that cell's."""
        return self.watchdog.look() if self.watchdog else None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Prepares the folder shared with the kernel and wraps the kernel's command."""
        from grading.limits import Limits
        from grading.sandbox import Sandbox, working_sandbox

        drop_root = working_sandbox()
        limits = Limits(**self.limits)
        # A Unix socket's path holds at most 107 bytes, so the folder goes where paths are short.
        self._folder = Path(tempfile.mkdtemp(prefix="kernel-", dir="/tmp"))
        self._folder.chmod(0o755)
        files = self._folder / "files"
        copy_supporting_files(Path(self.files or kwargs.get("cwd") or "."), files, limits.work_bytes)
        sockets = self._folder / _SOCKETS
        sockets.mkdir()
        # With root dropped, the kernel is another user than the folder's owner.
        sockets.chmod(0o1777 if drop_root else 0o700)
        km = self.parent
        km.transport = "ipc"
        km.ip = str(sockets / "k")
        km.connection_file = str(self._folder / "connection.json")
        environment = {name: value for name, value in kwargs.get("env", {}).items() if name in _HANDED_ON}
        kwargs = await super().pre_launch(**kwargs)
        connection_file = Path(km.connection_file)
        connection_file.chmod(0o644)
        sandbox = Sandbox(limits, files=files, shared=sockets, read_only=(connection_file,), drop_root=drop_root)
        command = [*kwargs["cmd"], "--IPKernelApp.outstream_class=bounded_output.BoundedOutStream"]
        kwargs["cmd"] = sandbox.command(command, environment)
        return kwargs

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Starts the sandbox with no environment and no terminal of the grader's, and sets the watchdog on it."""
        from grading.limits import Limits
        from grading.watchdog import Watchdog

        assert self._folder is not None, "pre_launch prepares the folder"
        with (self._folder / _SOCKETS / "kernel.log").open("wb") as log:
            kwargs.update(stdout=log, stderr=log, env={}, cwd="/")
            info = await super().launch_kernel(cmd, **kwargs)
        assert self.process is not None
        self.watchdog = Watchdog(self.process.pid, Limits(**self.limits), self._folder / _SOCKETS)
        self.watchdog.start()
        return info

    async def send_signal(self, signum: int) -> None:
        """Signals the kernel itself: bubblewrap hands nothing on, and an interrupt would end it."""
        from grading.processes import descendants

        if self.process is None:
            return
        if signum == 0:
            await super().send_signal(signum)
            return
        if signum in (signal.SIGKILL, signal.SIGTERM):
            self.end("was stopped by the grader")
            return
        # bubblewrap, the namespace's first process, then its first child: the kernel
        tree = descendants(self.process.pid)
        if len(tree) >= 2:
            os.kill(tree[1].pid, signum)

    def end(self, reason: str) -> None:
        """Ends the kernel and all that it started; `reason` is kept for the grader's summary."""
        if self.watchdog is not None:
            self.watchdog.kill(reason)

    async def cleanup(self, restart: bool = False) -> None:
        """Stops the watch and removes the shared folder."""
        if self.watchdog is not None:
            self.watchdog.stop()
        await super().cleanup(restart)
        if self._folder is not None:
            self.last_words = _tail(self._folder / _SOCKETS / "kernel.log")
            shutil.rmtree(self._folder, ignore_errors=True)


def copy_supporting_files(source: Path, destination: Path, limit_bytes: int) -> None:
    """Copies a lab's data files for the kernel, leaving out what it must not see.

    Args:
        source: the submission's folder; its notebooks hold the hidden tests by now and are left out.
        destination: new folder.
        limit_bytes: most that is copied; larger collections are cut off there, in name order.

    Links are left out as well: they could point at anything on the host.
    """
    destination.mkdir(parents=True)
    left = limit_bytes
    for folder, names, files in os.walk(source):
        names[:] = sorted(
            name for name in names if not Path(folder, name).is_symlink() and name != ".ipynb_checkpoints"
        )
        for name in sorted(files):
            path = Path(folder, name)
            if path.suffix == ".ipynb" or path.is_symlink() or not path.is_file():
                continue
            left -= path.stat().st_size
            if left < 0:
                return
            target = destination / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _tail(log: Path, limit_bytes: int = 2000) -> str:
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - limit_bytes))
        return file.read().decode(errors="replace").strip()
