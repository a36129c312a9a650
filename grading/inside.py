"""Runs first inside the sandbox: takes the limits on, gives root up, then becomes the kernel.

It is mounted into the sandbox as a single file, so it uses the standard library alone.
"""

import json
import os
import resource
import shutil
import sys


def copy_files(source: str, destination: str) -> None:
    """Copies the learner's supporting files into the writable work folder."""
    for name in os.listdir(source) if os.path.isdir(source) else ():
        path = os.path.join(source, name)
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(destination, name))
        else:
            shutil.copyfile(path, os.path.join(destination, name))


def take_limits(limits: dict) -> None:
    """Sets the hard limits, so that nothing in the sandbox can raise them again."""
    for name, value in (
        # RLIMIT_AS would also count reserved addresses (torch reserves far more than it uses); DATA counts what is
        # private and writable, so that a MemoryError comes when the memory is really asked for.
        (resource.RLIMIT_DATA, limits["memory_bytes"]),
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 4096),
    ):
        _, ceiling = resource.getrlimit(name)
        if ceiling != resource.RLIM_INFINITY:
            value = min(value, ceiling)
        resource.setrlimit(name, (value, value))


def give_root_up(uid: int) -> None:
    """Becomes an unprivileged user for good (needed only where the grader itself runs as root)."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def main() -> None:
    settings = json.loads(sys.argv[1])
    command = sys.argv[2:]
    os.umask(0o022)
    # Nothing of the grader's is to be held open: bwrap passes inherited descriptors on.
    os.closerange(3, 4096)
    if settings["uid"] is not None:
        give_root_up(settings["uid"])
    copy_files(settings["files"], settings["work"])
    take_limits(settings["limits"])
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
