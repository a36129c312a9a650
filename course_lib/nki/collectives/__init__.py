"""`nki.collectives`: data exchanged between ranks, here between simulated cores that `launch` starts.

The official simulator has none of these. Source: Neuron documentation 2.32, `nki.collectives`.
"""

from course_lib.nki.collectives.group import ReplicaGroup
from course_lib.nki.collectives.permute import (
    collective_permute,
    collective_permute_implicit,
    collective_permute_implicit_current_processing_rank_id,
    collective_permute_implicit_reduce,
)
from course_lib.nki.collectives.varying import all_gather_v, all_to_all_v
from course_lib.nki.collectives.whole import all_gather, all_reduce, all_to_all, reduce_scatter
from course_lib.nki.collectives.world import launch, rank_id

__all__ = [
    "ReplicaGroup",
    "all_gather",
    "all_gather_v",
    "all_reduce",
    "all_to_all",
    "all_to_all_v",
    "collective_permute",
    "collective_permute_implicit",
    "collective_permute_implicit_current_processing_rank_id",
    "collective_permute_implicit_reduce",
    "launch",
    "rank_id",
    "reduce_scatter",
]
