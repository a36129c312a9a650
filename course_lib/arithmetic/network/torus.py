"""Tori: a ring in each dimension, links to the next device only, and the ring through all devices that uses them."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_not_negative, check_positive
from course_lib.arithmetic.network.topology import Route


@dataclass(frozen=True)
class Torus:
    """Devices at the points of a grid that closes on itself; rank (y, x) of a 4 × 4 torus is number 4 y + x.

    A message that goes further than to a neighbor passes through the devices between, dimension by dimension from the
    last, the short way around (upward where both ways are as long), and pays alpha for each hop. In a dimension of two,
    up and down are the same link.

    Args:
        dims: sizes.
        bytes_per_second: one link in one direction, for each dimension.
        alpha_seconds: of one hop.

    Raises:
        ArithmeticInputError: for a number outside of its domain, or another number of rates than of sizes.
    """

    dims: tuple[int, ...]
    bytes_per_second: tuple[float, ...]
    alpha_seconds: float

    def __post_init__(self) -> None:
        if len(self.dims) != len(self.bytes_per_second) or not self.dims:
            remedy = f"give {len(self.dims) or 2} of them"
            limit = f"must be one rate for each of the dimensions {self.dims}"
            raise ArithmeticInputError.of("bytes_per_second", self.bytes_per_second, limit, remedy)
        for size, rate in zip(self.dims, self.bytes_per_second, strict=True):
            check_count("dims", size)
            check_positive("bytes_per_second", rate)
        check_not_negative("alpha_seconds", self.alpha_seconds)

    @property
    def ranks(self) -> int:
        """Points of the grid."""
        return math.prod(self.dims)

    @cached_property
    def capacities(self) -> Mapping[str, float]:
        """`5 dim 0 up` for the link from device 5 to the next one in dimension 0."""
        return {
            f"{rank} dim {axis} {way}": self.bytes_per_second[axis]
            for rank in range(self.ranks)
            for axis, size in enumerate(self.dims)
            for way in ("up", "down")[: size - 1]
        }

    def route(self, source: int, target: int) -> Route:
        """Hops from neighbor to neighbor."""
        links: list[str] = []
        here = source
        stride = 1
        for axis in reversed(range(len(self.dims))):
            size = self.dims[axis]
            ahead = (target // stride - source // stride) % size
            up = 2 * ahead <= size
            for _ in range(ahead if up else size - ahead):
                links.append(f"{here} dim {axis} {'up' if up else 'down'}")
                at = here // stride % size
                here += ((at + (1 if up else -1)) % size - at) * stride
            stride *= size
        return Route(tuple(links), self.alpha_seconds * len(links))


def ring_order(dims: Sequence[int]) -> list[int]:
    """An order of a torus's devices in which each is a neighbor of the next, and the last of the first.

    For `schedule(...).placed(ring_order(dims))`.

    Args:
        dims: sizes, of which one is even, or all are the same.

    Returns:
        Rank numbers, as `Torus` counts them.

    Raises:
        ArithmeticInputError: for other sizes, where this way of counting does not close the ring.
    """
    sizes = tuple(dims)
    for size in sizes:
        check_count("dims", size)
    even = next((axis for axis, size in enumerate(sizes) if size % 2 == 0), None)
    if even is None and len(set(sizes)) > 1:
        remedy = "use torus_all_reduce, or a torus with an even dimension"
        raise ArithmeticInputError.of("dims", sizes, "must have an even size, or be all the same", remedy)
    axes = list(range(len(sizes)))
    if even is not None:  # the slowest digit is the even one: the way there and back then ends where it began
        axes.remove(even)
        axes.insert(0, even)
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    order: list[int] = []
    for digits in itertools.product(*(range(sizes[axis]) for axis in axes)):
        rank = before = 0
        for axis, digit in zip(axes, digits, strict=True):
            size = sizes[axis]
            if even is None:  # modular Gray code: a digit moves on whenever the slower one does
                place, before = (digit - before) % size, digit
            else:  # reflected Gray code: a digit runs backward every other time
                place = digit if before % 2 == 0 else size - 1 - digit
                before = before * size + digit
            rank += place * strides[axis]
        order.append(rank)
    return order
