"""How often a large job fails: rates per node turned into a mean time between failures, and shares of causes."""

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_positive

SECONDS_PER_DAY = 86_400


def mean_seconds_between_failures(
    accelerators: int, *, failures_per_1000_node_days: float, accelerators_per_node: int = 8
) -> float:
    """Mean time between failures of a job, if nodes fail independently at a constant rate.

    Args:
        accelerators: accelerators of the job.
        failures_per_1000_node_days: rate of one node, times 1000 days.
        accelerators_per_node: accelerators that fail together with their node.

    Returns:
        Seconds. Failures that strike several nodes at once, or jobs of different sizes differently, are not in this
        model: on RSC-1 it says 28.8 h where 7.9 h was measured at 1,024 accelerators.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: Kokolis et al. 2024 (arXiv:2410.21680) section 4.
    """
    check_count("accelerators", accelerators)
    check_count("accelerators_per_node", accelerators_per_node)
    check_positive("failures_per_1000_node_days", failures_per_1000_node_days)
    nodes = accelerators / accelerators_per_node
    return SECONDS_PER_DAY / (nodes * failures_per_1000_node_days / 1000)


def observed_seconds_between_failures(failures: int, seconds: float) -> float:
    """Mean time between failures as counted in a log.

    Args:
        failures: how many were counted.
        seconds: how long the log is.

    Returns:
        Seconds.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: definition; Grattafiori et al. 2024 (arXiv:2407.21783) section 3.3.4 counts 419 in 54 days.
    """
    check_count("failures", failures)
    check_positive("seconds", seconds)
    return seconds / failures


def failure_share(count: int, total: int) -> float:
    """Share of all failures that one cause has.

    Args:
        count: failures of that cause.
        total: all failures.

    Returns:
        A fraction.

    Raises:
        ArithmeticInputError: when `count` is more than `total`, or a number is out of range.

    Source: definition; Grattafiori et al. 2024 (arXiv:2407.21783) Table 5.
    """
    check_count("count", count, minimum=0)
    check_count("total", total)
    if count > total:
        raise ArithmeticInputError.of("count", count, f"is more than total={total}", "swap the two, or correct one")
    return count / total
