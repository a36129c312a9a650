"""The numbers of a chapter's figure."""

import pytest

from course_lib.arithmetic.collectives import ArithmeticInputError
from course_lib.arithmetic.network import Switch, bandwidth_curves, crossover_bytes, schedule, simulate

WIRES = Switch(8, 1e10, 1e-5)
NAMES = ("ring", "recursive_doubling")
SIZES = [2**k for k in range(10, 31, 4)]


def test_a_curve_is_the_simulation_at_each_size():
    """Oracle: one simulation for each point."""
    points = bandwidth_curves({name: schedule("all_reduce", 8, name) for name in NAMES}, WIRES, SIZES)
    assert [(point.name, point.bytes_) for point in points] == [(name, size) for name in NAMES for size in SIZES]
    for point in points:
        alone = simulate(schedule("all_reduce", 8, point.name), WIRES, point.bytes_)
        assert point.seconds == pytest.approx(alone.seconds)
        assert point.bus_bandwidth_gb_per_s == pytest.approx(alone.bus_bandwidth_bytes_per_s / 1e9)
        assert point.algorithm_bandwidth_gb_per_s == pytest.approx(alone.algorithm_bandwidth_bytes_per_s / 1e9)


def test_a_rings_curve_rises_to_the_links_rate():
    """Oracle: nccl-tests' definition of bus bandwidth."""
    points = bandwidth_curves({"ring": schedule("all_reduce", 8)}, WIRES, [*SIZES, 2**40])
    heights = [point.bus_bandwidth_gb_per_s for point in points]
    assert heights == sorted(heights)
    assert heights[-1] == pytest.approx(10, rel=1e-3)


def test_there_is_no_crossover_where_one_is_faster_throughout():
    """Oracle: halving and doubling is never slower than the ring; the order of the two does not matter then."""
    best, ring = schedule("all_reduce", 8, "rabenseifner"), schedule("all_reduce", 8)
    assert crossover_bytes(best, ring, WIRES) is None
    assert crossover_bytes(ring, best, WIRES) is None
    assert crossover_bytes(ring, ring, WIRES) is None


def test_a_size_or_a_range_that_is_none_is_refused():
    """Oracle: the value stands in the message."""
    ring = schedule("all_reduce", 8)
    with pytest.raises(ArithmeticInputError, match="sizes_bytes=0"):
        bandwidth_curves({"ring": ring}, WIRES, [0])
    with pytest.raises(ArithmeticInputError, match="highest=1"):
        crossover_bytes(ring, ring, WIRES, lowest=2, highest=1)
    with pytest.raises(ArithmeticInputError, match="topology's 8"):
        bandwidth_curves({"ring": schedule("all_reduce", 4)}, WIRES, [1])
