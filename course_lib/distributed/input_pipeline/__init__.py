"""From token files to batches: shards on disk, one global order for any number of ranks, and reading ahead.

Batches go by step number: batch i is the same text on 1 rank and on 8, before and after a restart. Own code where
torch's DataLoader has no answer (its state can't be saved; torchdata's StatefulDataLoader, which can, is a further
package whose state is bound to the number of workers); DataLoader itself where Python code per batch is the bottleneck,
see `worker_loader`.
"""

from course_lib.distributed.input_pipeline.loader import worker_loader
from course_lib.distributed.input_pipeline.order import GlobalOrder
from course_lib.distributed.input_pipeline.prefetch import Prefetch
from course_lib.distributed.input_pipeline.read_ahead import ReadAhead
from course_lib.distributed.input_pipeline.shards import ShardedTokens, ShardError, open_shards, write_shards
from course_lib.distributed.input_pipeline.throttled import Throttled
from course_lib.distributed.input_pipeline.token_batches import TokenBatches, rank_rows

__all__ = [
    "GlobalOrder",
    "Prefetch",
    "ReadAhead",
    "ShardError",
    "ShardedTokens",
    "Throttled",
    "TokenBatches",
    "open_shards",
    "rank_rows",
    "worker_loader",
    "write_shards",
]
