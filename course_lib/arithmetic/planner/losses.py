"""What failures cost a long run: checkpoints, repeated work and restarts, from rates that were published."""

from dataclasses import dataclass

from course_lib.arithmetic.checkpointing import checkpoint_interval, time_per_useful_time
from course_lib.arithmetic.errors import check_not_negative, check_positive
from course_lib.arithmetic.failures import mean_seconds_between_failures
from course_lib.arithmetic.planner.workload import Workload

# Llama 3 405B: 419 unexpected interruptions in 54 days on 16,384 H100, so 2,048 nodes (arXiv:2407.21783 Table 5)
FAILURES_PER_1000_NODE_DAYS = 419 / (16_384 / 8 * 54) * 1000
# Llama 3's file system sustained 2 TB/s for 2,048 nodes (section 3.3.1)
CHECKPOINT_BYTES_PER_S_PER_NODE = 2e12 / 2048
# MegaScale finds a failure, tests the nodes and starts again in 10 minutes at most (arXiv:2402.15627 section 4)
RESTART_SECONDS = 600.0
BYTES_PER_PARAMETER_SAVED = 14  # the 16-bit weights, the fp32 master copy and Adam's two moments
ACCELERATORS_PER_NODE = 8  # of the nodes on which the rate was counted


@dataclass(frozen=True)
class Reliability:
    """Rates that decide what failures cost.

    Args:
        failures_per_1000_node_days: of a node of 8 accelerators; Llama 3's unless given.
        checkpoint_bytes_per_s_per_node: what one node can write, all nodes writing at once.
        restart_seconds: from a failure until training goes on, repeated work not counted.
    """

    failures_per_1000_node_days: float = FAILURES_PER_1000_NODE_DAYS
    checkpoint_bytes_per_s_per_node: float = CHECKPOINT_BYTES_PER_S_PER_NODE
    restart_seconds: float = RESTART_SECONDS

    def __post_init__(self) -> None:
        check_positive("failures_per_1000_node_days", self.failures_per_1000_node_days)
        check_positive("checkpoint_bytes_per_s_per_node", self.checkpoint_bytes_per_s_per_node)
        check_not_negative("restart_seconds", self.restart_seconds)


@dataclass(frozen=True)
class ExpectedLosses:
    """What failures add to a run.

    Args:
        mtbf_seconds: mean time between failures of the whole job.
        checkpoint_seconds: time to write one checkpoint, training waiting.
        interval_seconds: useful work between two checkpoints that loses least (Daly).
        time_per_useful_time: expected wall time over useful time, at least 1.
    """

    mtbf_seconds: float
    checkpoint_seconds: float
    interval_seconds: float
    time_per_useful_time: float

    @property
    def added_share(self) -> float:
        """Time and money that failures add, as a share of a run without any."""
        return self.time_per_useful_time - 1


def expected_losses(w: Workload, reliability: Reliability) -> ExpectedLosses:
    """Expected losses of a run; they depend on the model and the cluster, not on the layout.

    Args:
        w: the planning problem.
        reliability: the rates.

    Returns:
        The losses.

    Raises:
        ArithmeticInputError: when failures come so often that the job never ends.

    Source: Daly 2006, Future Generation Computer Systems 22(3), eq. 13 and 37.
    """
    mtbf = mean_seconds_between_failures(
        w.cluster.devices,
        failures_per_1000_node_days=reliability.failures_per_1000_node_days,
        accelerators_per_node=ACCELERATORS_PER_NODE,
    )
    bytes_ = BYTES_PER_PARAMETER_SAVED * w.counts.total
    write = bytes_ / (reliability.checkpoint_bytes_per_s_per_node * w.cluster.nodes)
    interval = float(checkpoint_interval(write, mtbf, "daly"))
    ratio = time_per_useful_time(interval, write, mtbf, restart_seconds=reliability.restart_seconds)
    return ExpectedLosses(mtbf, write, interval, ratio)
