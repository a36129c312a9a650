"""`course doctor --deep`: prove that the distributed stacks work here, by running them on two processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from course_lib.runtime.findings import Finding

TIME_LIMIT_SECONDS = 240  # starting Ray took 40 s on two busy cores

# Each rank contributes rank + 1; the mean over 2 ranks is 1.5 only if the processes really talked.
HOROVOD_PROGRAM = """
import torch, horovod.torch as hvd
hvd.init()
mean = hvd.allreduce(torch.tensor([hvd.rank() + 1.0])).item()
assert (hvd.size(), mean) == (2, 1.5), (hvd.size(), mean)
"""
RAY_PROGRAM = """
import os, ray
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", _node_ip_address="127.0.0.1")
worker_pid = ray.remote(lambda: os.getpid())
pids = ray.get([worker_pid.remote() for _ in range(4)])
assert os.getpid() not in pids, pids
"""


def _prove(name: str, command: list[str], proof: str, remedy: str) -> Finding:
    """Run a program that fails unless the stack works."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Finding(name, "wrong", f"did not finish within {TIME_LIMIT_SECONDS} s", remedy)
    if done.returncode == 0:
        return Finding(name, "OK", proof)
    last = ((done.stderr or done.stdout).strip().splitlines() or ["no output"])[-1]
    return Finding(name, "wrong", f"exit code {done.returncode}: {last[:200]}", remedy)


def check_horovod_runs() -> Finding:
    """Average a number over two Horovod processes with gloo."""
    runner = Path(sys.executable).with_name("horovodrun")
    if not runner.exists():
        return Finding("horovod, 2 processes", "missing", "horovodrun is not installed", "run `make setup`")
    command = [str(runner), "--gloo", "-np", "2", "-H", "localhost:2", sys.executable, "-c", HOROVOD_PROGRAM]
    if shutil.which("ssh") is None:  # horovodrun looks for it even when every rank is local
        return Finding("horovod, 2 processes", "missing", "no ssh client", "sudo apt-get install openssh-client")
    return _prove("horovod, 2 processes", command, "allreduce over gloo agrees", "run `make setup FORCE=1`")


def check_ray_runs() -> Finding:
    """Run tasks in Ray workers."""
    command = [sys.executable, "-c", RAY_PROGRAM]
    return _prove("ray, tasks", command, "tasks ran in worker processes", "run `make setup FORCE=1`")
