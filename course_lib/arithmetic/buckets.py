"""Buckets: the few lengths to which a program pads its inputs, so that a compiler meets few shapes.

Fewer buckets mean fewer compilations and more padding. `best_buckets` finds the least padding that a number of buckets
allows, by dynamic programming over the lengths that occur.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from course_lib.arithmetic.errors import ArithmeticInputError, check_count, check_positive


@dataclass(frozen=True)
class BucketPlan:
    """Lengths to pad to, and what padding to them costs.

    Args:
        buckets: the lengths, ascending; an input goes into the first that is long enough.
        useful_work: work of the inputs at their own lengths, in the unit of the work function (tokens by default).
        padded_work: work of the inputs at the lengths of their buckets.
        waste: share of the padded work that is padding, 1 - useful_work / padded_work.
    """

    buckets: tuple[int, ...]
    useful_work: float
    padded_work: float
    waste: float

    def bucket_for(self, length: int) -> int:
        """The bucket into which an input goes.

        Raises:
            ArithmeticInputError: when the input is longer than the longest bucket.
        """
        check_count("length", length)
        place = bisect_left(self.buckets, length)
        if place == len(self.buckets):
            raise ArithmeticInputError.of(
                "length",
                length,
                f"must be at most the longest bucket, {self.buckets[-1]}",
                "cut the input, or add a bucket",
            )
        return self.buckets[place]


def padding_waste(
    counts: Mapping[int, float], buckets: Sequence[int], work: Callable[[int], float] = float
) -> BucketPlan:
    """What it costs to pad inputs to given buckets.

    Args:
        counts: length -> how many inputs have it; shares will do.
        buckets: lengths to pad to, in any order.
        work: length -> work of one input padded to it; tokens unless given.

    Returns:
        The plan with its waste.

    Raises:
        ArithmeticInputError: for no inputs, no bucket, a length below 1, no work, or an input that no bucket holds.

    Source: definition.
    """
    _check_counts(counts)
    if not buckets:
        raise ArithmeticInputError.of("buckets", list(buckets), "holds no length", "give at least the longest input")
    for bucket in buckets:
        check_count("buckets", bucket)
    for length in counts:
        check_positive("work", work(length), "give work above 0 for every length that occurs")
    plan = BucketPlan(tuple(sorted(set(buckets))), 0.0, 0.0, 0.0)
    useful = sum(count * work(length) for length, count in counts.items())
    padded = sum(count * work(plan.bucket_for(length)) for length, count in counts.items())
    return BucketPlan(plan.buckets, useful, padded, 1 - useful / padded)


def best_buckets(
    counts: Mapping[int, float], buckets: int, *, multiple_of: int = 1, work: Callable[[int], float] = float
) -> BucketPlan:
    """The buckets that need the least padded work, among all choices of at most so many.

    A bucket that is longer than its longest input wastes work, so a best choice uses lengths that occur, rounded up to
    `multiple_of`. With those sorted, let B[k][i] be the least work of the i shortest with k buckets; its last bucket is
    the i-th length and holds everything after some j: B[k][i] = min over j < i of B[k-1][j] + (inputs j..i) work(i).

    Args:
        counts: length -> how many inputs have it; shares will do.
        buckets: how many buckets, which is how many shapes the compiler meets.
        multiple_of: buckets are multiples of it, such as 128 for a tile's rows.
        work: length -> work of one input padded to it, never falling; tokens unless given.

    Returns:
        The plan; it has fewer buckets than allowed when more would not help.

    Raises:
        ArithmeticInputError: for no inputs, a number out of range, or work that falls with the length.

    Source: the recurrence above, O(buckets * lengths**2); tests/arithmetic/test_buckets.py tries every choice.
    """
    _check_counts(counts)
    check_count("buckets", buckets)
    check_count("multiple_of", multiple_of)
    rounded: dict[int, float] = {}
    for length, count in counts.items():
        ceiling = -(-length // multiple_of) * multiple_of
        rounded[ceiling] = rounded.get(ceiling, 0.0) + count
    lengths = sorted(rounded)
    works = [work(length) for length in lengths]
    for (short, less), (long, more) in pairwise(zip(lengths, works, strict=True)):
        if more < less:
            raise ArithmeticInputError.of(
                "work", (less, more), f"falls from length {short} to {long}", "give work that never falls with length"
            )
    before = [0.0]  # inputs among the i shortest lengths
    for length in lengths:
        before.append(before[-1] + rounded[length])
    least = [0.0] + [float("inf")] * len(lengths)
    cuts: list[list[int]] = []
    for _ in range(min(buckets, len(lengths))):
        row, cut = [0.0], [0]
        for i, cost in enumerate(works, start=1):
            ways = [least[j] + (before[i] - before[j]) * cost for j in range(i)]
            row.append(min(ways))
            cut.append(ways.index(row[-1]))
        least = row
        cuts.append(cut)
    chosen, i = [], len(lengths)
    for cut in reversed(cuts):
        if i == 0:
            break
        chosen.append(lengths[i - 1])
        i = cut[i]
    return padding_waste(counts, chosen, work)


def powers_of_two(longest: int, shortest: int = 128) -> tuple[int, ...]:
    """The usual choice: `shortest`, twice that, and so on; the last one is `longest` itself.

    Args:
        longest: length of the longest input.
        shortest: the first bucket.

    Returns:
        The buckets, ascending.

    Raises:
        ArithmeticInputError: for a length below 1.

    Source: AWS Neuron documentation, NxD Inference feature guide (powers of two between 128 and the maximum).
    """
    check_count("longest", longest)
    check_count("shortest", shortest)
    buckets = []
    while shortest < longest:
        buckets.append(shortest)
        shortest *= 2
    return (*buckets, longest)


def _check_counts(counts: Mapping[int, float]) -> None:
    if not counts:
        raise ArithmeticInputError.of("counts", dict(counts), "holds no inputs", "give length -> number of inputs")
    for length, count in counts.items():
        check_count("length", length)
        check_positive("count", count, "leave out lengths that do not occur")
