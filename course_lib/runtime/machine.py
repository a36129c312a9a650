"""Checks of the machine itself: processor cores, memory, disk, and accelerators."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from course_lib.runtime.findings import Finding

GIB = 2**30
LEAST_MEMORY_GIB = 4.0  # building the book and a 2-process lab peaked below this on the machine that builds it
LEAST_DISK_GIB = 6.0  # .venv takes 2.5 GiB with a CPU build of torch, the book and caches the rest


def check_cores() -> Finding:
    """Cores this process may run on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores >= 2:
        return Finding("cores", "OK", str(cores))
    return Finding("cores", "note", f"{cores}; labs with 2 processes run, but slowly")


def check_memory() -> Finding:
    """Memory of the machine, in GiB."""
    import psutil

    total = psutil.virtual_memory().total / GIB
    if total >= LEAST_MEMORY_GIB:
        return Finding("memory", "OK", f"{total:.1f} GiB")
    detail = f"{total:.1f} GiB; the labs want {LEAST_MEMORY_GIB:.0f} GiB"
    return Finding("memory", "wrong", detail, "close other programs or use a larger machine")


def check_disk(folder: Path | None = None) -> Finding:
    """Free disk space where the course lies, in GiB."""
    free = shutil.disk_usage(folder or Path.cwd()).free / GIB
    if free >= LEAST_DISK_GIB:
        return Finding("disk", "OK", f"{free:.0f} GiB free")
    return Finding("disk", "wrong", f"{free:.1f} GiB free of {LEAST_DISK_GIB:.0f} GiB wanted", "free some disk space")


def _lines(command: list[str]) -> list[str]:
    """The lines that a vendor's tool prints; none when it is not there or fails."""
    if shutil.which(command[0]) is None:
        return []
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def find_accelerators(device_folder: Path = Path("/dev")) -> list[str]:
    """Accelerators that the drivers show: NVIDIA GPUs by name, Neuron and Gaudi devices by their device files.

    Not run on a real Trainium or Gaudi by the course's own tests, which feed a folder of made-up device files.
    """
    gpus = _lines(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    found = [f"NVIDIA {name.removeprefix('NVIDIA ')}" for name in gpus]  # "NVIDIA H200", but "Tesla T4"
    found += [f"Neuron device {path.name}" for path in sorted(device_folder.glob("neuron[0-9]*"))]
    # The driver's name since Linux 6.2 is accel/accelN; Gaudi's tool tells it from other makers' devices.
    gaudi = _lines(["hl-smi", "--query-aip=name", "--format=csv,noheader"])
    return found + [f"Gaudi {name}" for name in gaudi]


def check_accelerators() -> Finding:
    """The accelerators found; none is fine, the course runs on the CPU."""
    found = find_accelerators()
    if found:
        return Finding("accelerators", "OK", ", ".join(found))
    return Finding("accelerators", "note", "none found: labs run on the CPU and in the simulators")
