"""Compilations before they happen: how many shapes a script will meet, and what it costs to wait for the compiler."""

from collections.abc import Mapping
from dataclasses import dataclass

from course_lib.arithmetic.errors import check_count, check_fraction, check_not_negative, check_positive

SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True)
class CompileBill:
    """What waiting for a compiler costs.

    Args:
        seconds: wall time until the last graph is compiled.
        instance_hours: hours billed meanwhile, all instances together.
        usd: their price.
    """

    seconds: float
    instance_hours: float
    usd: float


def compile_bill(
    graphs: int, seconds_per_graph: float, usd_per_hour: float, *, instances: int = 1, workers: int = 1
) -> CompileBill:
    """Price of the instances that wait while graphs are compiled.

    Args:
        graphs: graphs that no cache holds.
        seconds_per_graph: time of one compilation.
        usd_per_hour: price of one instance for one hour.
        instances: instances that wait; each pays for the whole time.
        workers: compilations at the same time; more graphs than that take turns.

    Returns:
        Time and money.

    Raises:
        ArithmeticInputError: for a number out of range.

    Source: definition; ceil(graphs / workers) rounds of equal length.
    """
    check_count("graphs", graphs, minimum=0)
    check_not_negative("seconds_per_graph", seconds_per_graph)
    check_not_negative("usd_per_hour", usd_per_hour)
    check_count("instances", instances)
    check_count("workers", workers)
    seconds = -(-graphs // workers) * seconds_per_graph
    hours = instances * seconds / SECONDS_PER_HOUR
    return CompileBill(seconds=seconds, instance_hours=hours, usd=hours * usd_per_hour)


def longest_of(shares: Mapping[int, float], batch: int) -> dict[int, float]:
    """How the longest of a batch is distributed, when a batch is padded to its longest input.

    Args:
        shares: length -> number or share of inputs that have it.
        batch: inputs drawn independently for one batch.

    Returns:
        length -> probability that it is the longest: F(l)**batch - F(l-1)**batch with F the share of inputs up to l.

    Raises:
        ArithmeticInputError: for no inputs, a share that is not positive, or an empty batch.

    Source: distribution of a maximum of independent draws.
    """
    check_count("batch", batch)
    total, reached, below, longest = sum(shares.values()), 0.0, 0.0, {}
    check_positive("inputs", total, "give length -> share of inputs")
    for length in sorted(shares):
        check_positive("share", shares[length], "leave out lengths that do not occur")
        reached += shares[length]
        up_to = (reached / total) ** batch
        longest[length] = up_to - below
        below = up_to
    return longest


def expected_shapes(probabilities: Mapping[int, float], steps: int) -> float:
    """How many different shapes a run of so many steps meets, on average.

    Args:
        probabilities: shape (such as a length) -> probability that a step has it.
        steps: steps, drawn independently.

    Returns:
        The expected number: sum over shapes of 1 - (1 - p)**steps.

    Raises:
        ArithmeticInputError: for no steps, or a probability outside (0, 1].

    Source: linearity of expectation; each shape is missed by all steps with probability (1 - p)**steps.
    """
    check_count("steps", steps)
    for probability in probabilities.values():
        check_fraction("probability", probability)
    return sum(1 - (1 - probability) ** steps for probability in probabilities.values())
