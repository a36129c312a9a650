"""Expert parallelism: a layer's experts on different ranks, tokens sent to them and back by all-to-all."""

from course_lib.moe.expert_parallel.dispatch import in_equal_blocks, on_their_ranks
from course_lib.moe.expert_parallel.engine import expert_mesh, expert_parallel
from course_lib.moe.expert_parallel.exchange import exchange_blocks, exchange_counts, exchange_rows
from course_lib.moe.expert_parallel.experts import ParallelExperts
from course_lib.moe.expert_parallel.placement import load_full_state, share_experts

__all__ = [
    "ParallelExperts",
    "exchange_blocks",
    "exchange_counts",
    "exchange_rows",
    "expert_mesh",
    "expert_parallel",
    "in_equal_blocks",
    "load_full_state",
    "on_their_ranks",
    "share_experts",
]
