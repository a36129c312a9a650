"""Collectives written over send and receive, for learning how they work and measuring what they cost."""

from course_lib.distributed.collectives.agreement import check_agreement
from course_lib.distributed.collectives.measure import Timing, measure, measure_on_ranks
from course_lib.distributed.collectives.operations import all_gather, all_reduce, all_to_all, broadcast, reduce_scatter
from course_lib.distributed.collectives.play import Tally
from course_lib.distributed.collectives.ring import ring_all_reduce

__all__ = [
    "Tally",
    "Timing",
    "all_gather",
    "all_reduce",
    "all_to_all",
    "broadcast",
    "check_agreement",
    "measure",
    "measure_on_ranks",
    "reduce_scatter",
    "ring_all_reduce",
]
