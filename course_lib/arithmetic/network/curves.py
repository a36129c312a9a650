"""Bus bandwidth over size, and the size at which one algorithm overtakes another: the numbers of a chapter's figure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from course_lib.arithmetic.errors import ArithmeticInputError, check_positive
from course_lib.arithmetic.network.message import Schedule
from course_lib.arithmetic.network.simulate import price
from course_lib.arithmetic.network.topology import Topology


@dataclass(frozen=True)
class CurvePoint:
    """One algorithm at one size.

    Args:
        name: of the algorithm, as the caller calls it.
        bytes_: size of the buffer.
        seconds: time.
        algorithm_bandwidth_gb_per_s: size over time, 1e9 bytes per second.
        bus_bandwidth_gb_per_s: what compares with a link's rate, 1e9 bytes per second.
    """

    name: str
    bytes_: float
    seconds: float
    algorithm_bandwidth_gb_per_s: float
    bus_bandwidth_gb_per_s: float


def bandwidth_curves(
    schedules: Mapping[str, Schedule], topology: Topology, sizes_bytes: Sequence[float]
) -> list[CurvePoint]:
    """Every schedule at every size, in the order given; `pandas.DataFrame(points)` makes a table of it.

    Args:
        schedules: name → schedule, each for as many ranks as the topology has.
        topology: the network.
        sizes_bytes: sizes of the buffer, e.g. [2**k for k in range(10, 34)].

    Returns:
        One point for each pair.

    Raises:
        ArithmeticInputError: for a size that is not above 0, or another number of ranks.
    """
    sizes = [float(size) for size in sizes_bytes]
    for size in sizes:
        check_positive("sizes_bytes", size)
    points: list[CurvePoint] = []
    for name, schedule in schedules.items():
        priced = price(schedule, topology)
        for size in sizes:
            at = priced.at(size)
            points.append(
                CurvePoint(
                    name,
                    size,
                    at.seconds,
                    at.algorithm_bandwidth_bytes_per_s / 1e9,
                    at.bus_bandwidth_bytes_per_s / 1e9,
                )
            )
    return points


def crossover_bytes(
    small: Schedule, large: Schedule, topology: Topology, *, lowest: float = 1.0, highest: float = 2.0**50
) -> float | None:
    """The size up to which `small` is faster and from which `large` is.

    Args:
        small: the schedule that is faster for small buffers.
        large: the one that is faster for large buffers.
        topology: the network.
        lowest, highest: where to look, bytes.

    Returns:
        Bytes; None where one of them is faster, or as fast, at both ends of the range.

    Raises:
        ArithmeticInputError: for a range that is none, or another number of ranks.
    """
    check_positive("lowest", lowest)
    if not highest > lowest:
        raise ArithmeticInputError.of("highest", highest, f"must be above lowest={lowest:g}", "swap them")
    first, second = price(small, topology), price(large, topology)
    low, high = math.log(lowest), math.log(highest)
    if not (first.seconds(lowest) < second.seconds(lowest) and second.seconds(highest) < first.seconds(highest)):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        if first.seconds(math.exp(middle)) < second.seconds(math.exp(middle)):
            low = middle
        else:
            high = middle
    return math.exp(high)
