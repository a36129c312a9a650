"""Pure formulas on the catalog's facts: plain numbers in, frozen dataclasses with units in their field names out.

No torch, no pandas: a laptop imports this in a fraction of a second.
"""

from course_lib.arithmetic.activations import LayerActivations, layer_activations
from course_lib.arithmetic.buckets import BucketPlan, best_buckets, padding_waste, powers_of_two
from course_lib.arithmetic.checkpointing import (
    CheckpointInterval,
    checkpoint_interval,
    spot_break_even,
    time_per_useful_time,
)
from course_lib.arithmetic.collectives import Collective, CollectiveTime, bus_bandwidth_factor, collective_time
from course_lib.arithmetic.compilation import CompileBill, compile_bill, expected_shapes, longest_of
from course_lib.arithmetic.compression import low_rank_compression, model_compression
from course_lib.arithmetic.errors import ArithmeticInputError
from course_lib.arithmetic.expert_exchange import ExpertExchange, expert_exchange, expert_exchange_of
from course_lib.arithmetic.failures import (
    failure_share,
    mean_seconds_between_failures,
    observed_seconds_between_failures,
)
from course_lib.arithmetic.inference_flops import InferenceFlops, inference_flops
from course_lib.arithmetic.kv_cache import kv_cache_bytes
from course_lib.arithmetic.matmuls import WeightMatmul, attention_core_flops, weight_matmuls
from course_lib.arithmetic.model_states import ModelStates, largest_model_parameters, model_states
from course_lib.arithmetic.money import accelerator_hours, cost_usd, saving
from course_lib.arithmetic.operations import Operation, distinct_experts, transformer_operations
from course_lib.arithmetic.parallel import tokens_per_step, world_size
from course_lib.arithmetic.parameters import ParameterCount, count_parameters
from course_lib.arithmetic.pipeline import PipelineBubble, pipeline_bubble
from course_lib.arithmetic.planner import (
    SOFTWARE,
    Cluster,
    Communication,
    Comparison,
    Efficiency,
    ExpectedLosses,
    InfeasibleError,
    Layout,
    MemoryByKind,
    Plans,
    Prediction,
    Reliability,
    Software,
    StepTime,
    compare_run,
    custom_cluster,
    efficiency_of,
    instance_cluster,
    plan,
    predict,
    winner,
)
from course_lib.arithmetic.roofline import RooflinePoint, matmul_intensity, roofline
from course_lib.arithmetic.run_cost import RunCost, run_cost
from course_lib.arithmetic.throughput import (
    aggregate_flops_per_s,
    flops_per_s_per_accelerator,
    seconds_for_tokens,
    throughput_gain,
    tokens_per_second,
    training_seconds,
    wall_seconds,
)
from course_lib.arithmetic.training_flops import TrainingFlops, training_flops
from course_lib.arithmetic.training_memory import TrainingMemory, training_memory
from course_lib.arithmetic.utilization import hfu, mfu

__all__ = [
    "SOFTWARE",
    "ArithmeticInputError",
    "BucketPlan",
    "CheckpointInterval",
    "Cluster",
    "Collective",
    "CollectiveTime",
    "Communication",
    "Comparison",
    "CompileBill",
    "Efficiency",
    "ExpectedLosses",
    "ExpertExchange",
    "InfeasibleError",
    "InferenceFlops",
    "LayerActivations",
    "Layout",
    "MemoryByKind",
    "ModelStates",
    "Operation",
    "ParameterCount",
    "PipelineBubble",
    "Plans",
    "Prediction",
    "Reliability",
    "RooflinePoint",
    "RunCost",
    "Software",
    "StepTime",
    "TrainingFlops",
    "TrainingMemory",
    "WeightMatmul",
    "accelerator_hours",
    "aggregate_flops_per_s",
    "attention_core_flops",
    "best_buckets",
    "bus_bandwidth_factor",
    "checkpoint_interval",
    "collective_time",
    "compare_run",
    "compile_bill",
    "cost_usd",
    "count_parameters",
    "custom_cluster",
    "distinct_experts",
    "efficiency_of",
    "expected_shapes",
    "expert_exchange",
    "expert_exchange_of",
    "failure_share",
    "flops_per_s_per_accelerator",
    "hfu",
    "inference_flops",
    "instance_cluster",
    "kv_cache_bytes",
    "largest_model_parameters",
    "layer_activations",
    "longest_of",
    "low_rank_compression",
    "matmul_intensity",
    "mean_seconds_between_failures",
    "mfu",
    "model_compression",
    "model_states",
    "observed_seconds_between_failures",
    "padding_waste",
    "pipeline_bubble",
    "plan",
    "powers_of_two",
    "predict",
    "roofline",
    "run_cost",
    "saving",
    "seconds_for_tokens",
    "spot_break_even",
    "throughput_gain",
    "time_per_useful_time",
    "tokens_per_second",
    "tokens_per_step",
    "training_flops",
    "training_memory",
    "training_seconds",
    "transformer_operations",
    "wall_seconds",
    "weight_matmuls",
    "winner",
    "world_size",
]
