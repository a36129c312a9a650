"""Training over several processes: engines behind one interface, and what makes them fast and safe."""

from course_lib.distributed.accumulation import accumulating
from course_lib.distributed.batch_size import MicrobatchSearch, fastest_microbatch, largest_microbatch
from course_lib.distributed.bucket_sweep import BucketTiming, bucket_sweep
from course_lib.distributed.build import Builder, build_engine, engine_names
from course_lib.distributed.checkpoints import CheckpointError, CheckpointManager, Restored
from course_lib.distributed.config import Mean, TrainConfig
from course_lib.distributed.dtensors import clip_over_ranks, parameter_groups
from course_lib.distributed.engine import Engine
from course_lib.distributed.errors import TrainingSetupError
from course_lib.distributed.held_bytes import Held, held_bytes
from course_lib.distributed.horovod_elastic import ElasticHistory, train_elastically
from course_lib.distributed.horovod_elastic_run import elastic_run
from course_lib.distributed.input_pipeline import (
    GlobalOrder,
    Prefetch,
    ReadAhead,
    ShardedTokens,
    ShardError,
    Throttled,
    TokenBatches,
    open_shards,
    rank_rows,
    worker_loader,
    write_shards,
)
from course_lib.distributed.local_rank import local_rank
from course_lib.distributed.loop import History, train
from course_lib.distributed.lr_scaling import Recipe, scale_rate, scale_recipe
from course_lib.distributed.lr_schedules import warmup_cosine, warmup_linear, warmup_stable_decay
from course_lib.distributed.megatron_functions import column_linear, row_linear
from course_lib.distributed.memory_limit import address_space_limit, is_out_of_memory
from course_lib.distributed.mesh import Layout
from course_lib.distributed.model_parts import build_optimizer, finish_blocks
from course_lib.distributed.optimizers import Lamb, Lars, Lion, NonFiniteGradientError, decay_groups
from course_lib.distributed.overflow import OverflowWatch
from course_lib.distributed.overflow_report import Overflow
from course_lib.distributed.pipeline_measure import measured_timeline
from course_lib.distributed.pipeline_schedules import Action, schedule_orders
from course_lib.distributed.recompute import apply_compile, apply_recomputation, saved_activation_bytes
from course_lib.distributed.reductions import mean_over_ranks
from course_lib.distributed.ring_attention import ring_attention, ring_bytes
from course_lib.distributed.run import Run, markov_batches, run
from course_lib.distributed.sent_bytes import sent_bytes
from course_lib.distributed.sequence_shards import attended_pairs, shard_positions
from course_lib.distributed.sharding import gathered_state, parameter_bytes
from course_lib.distributed.share import Share
from course_lib.distributed.stages import split_layers
from course_lib.distributed.step_timer import StepTimer, StepTimes, across_ranks
from course_lib.distributed.timeline import TimedAction, Timeline, pipeline_timeline
from course_lib.distributed.ulysses import ulysses_attention, ulysses_bytes
from course_lib.distributed.underflow import GradientRange, gradient_ranges, loss_scale
from course_lib.runtime import Launcher, LaunchError, RankFailed, RanksTimedOut, launch

__all__ = [
    "Action",
    "BucketTiming",
    "Builder",
    "CheckpointError",
    "CheckpointManager",
    "ElasticHistory",
    "Engine",
    "GlobalOrder",
    "GradientRange",
    "Held",
    "History",
    "Lamb",
    "Lars",
    "LaunchError",
    "Launcher",
    "Layout",
    "Lion",
    "Mean",
    "MicrobatchSearch",
    "NonFiniteGradientError",
    "Overflow",
    "OverflowWatch",
    "Prefetch",
    "RankFailed",
    "RanksTimedOut",
    "ReadAhead",
    "Recipe",
    "Restored",
    "Run",
    "ShardError",
    "ShardedTokens",
    "Share",
    "StepTimer",
    "StepTimes",
    "Throttled",
    "TimedAction",
    "Timeline",
    "TokenBatches",
    "TrainConfig",
    "TrainingSetupError",
    "accumulating",
    "across_ranks",
    "address_space_limit",
    "apply_compile",
    "apply_recomputation",
    "attended_pairs",
    "bucket_sweep",
    "build_engine",
    "build_optimizer",
    "clip_over_ranks",
    "column_linear",
    "decay_groups",
    "elastic_run",
    "engine_names",
    "fastest_microbatch",
    "finish_blocks",
    "gathered_state",
    "gradient_ranges",
    "held_bytes",
    "is_out_of_memory",
    "largest_microbatch",
    "launch",
    "local_rank",
    "loss_scale",
    "markov_batches",
    "mean_over_ranks",
    "measured_timeline",
    "open_shards",
    "parameter_bytes",
    "parameter_groups",
    "pipeline_timeline",
    "rank_rows",
    "ring_attention",
    "ring_bytes",
    "row_linear",
    "run",
    "saved_activation_bytes",
    "scale_rate",
    "scale_recipe",
    "schedule_orders",
    "sent_bytes",
    "shard_positions",
    "split_layers",
    "train",
    "train_elastically",
    "ulysses_attention",
    "ulysses_bytes",
    "warmup_cosine",
    "warmup_linear",
    "warmup_stable_decay",
    "worker_loader",
    "write_shards",
]
