"""Where code runs: what this machine has, what is missing from it, and a loopback stand-in for a cloud account.

Set-up runs parts of this package before anything is installed, so importing it loads the standard library alone.
"""

from course_lib.runtime.aws_local import (
    Call,
    LocalAws,
    NotEmulatedError,
    NotLoopbackError,
    local_aws,
    private_session,
    require_loopback,
    server_environment,
)
from course_lib.runtime.aws_server import tell_gaps
from course_lib.runtime.deep import check_horovod_runs, check_ray_runs
from course_lib.runtime.doctor import examine, exit_code
from course_lib.runtime.findings import Finding
from course_lib.runtime.graph_cache import GraphCache
from course_lib.runtime.graph_captures import CapturedGraph, GraphCounter
from course_lib.runtime.graph_text import graph_key, graph_text
from course_lib.runtime.hardware import Hardware, HardwareError, hardware
from course_lib.runtime.horovodrun import LOOPBACK_HOSTS, ElasticJob, elastic_job, write_hosts
from course_lib.runtime.kinship import adopt_orphans, end_with_parent
from course_lib.runtime.launch import Launcher, launch
from course_lib.runtime.launch_errors import LaunchError, RankFailed, RankFailure, RanksTimedOut
from course_lib.runtime.lazy_graphs import LazyGraphs, lazy_device, lazy_graphs, mark_step
from course_lib.runtime.nki_environment import nki_settings
from course_lib.runtime.packages import is_stub
from course_lib.runtime.rendezvous import host_store, join_group
from course_lib.runtime.seeds import seed_everything
from course_lib.runtime.whole_files import sync_folder, whole_file

__all__ = [
    "LOOPBACK_HOSTS",
    "Call",
    "CapturedGraph",
    "ElasticJob",
    "Finding",
    "GraphCache",
    "GraphCounter",
    "Hardware",
    "HardwareError",
    "LaunchError",
    "Launcher",
    "LazyGraphs",
    "LocalAws",
    "NotEmulatedError",
    "NotLoopbackError",
    "RankFailed",
    "RankFailure",
    "RanksTimedOut",
    "adopt_orphans",
    "check_horovod_runs",
    "check_ray_runs",
    "elastic_job",
    "end_with_parent",
    "examine",
    "exit_code",
    "graph_key",
    "graph_text",
    "hardware",
    "host_store",
    "is_stub",
    "join_group",
    "launch",
    "lazy_device",
    "lazy_graphs",
    "local_aws",
    "mark_step",
    "nki_settings",
    "private_session",
    "require_loopback",
    "seed_everything",
    "server_environment",
    "sync_folder",
    "tell_gaps",
    "whole_file",
    "write_hosts",
]
