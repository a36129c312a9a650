"""Pure formulas on the catalog's facts: plain numbers in, frozen dataclasses with units in their field names out.

No torch, no pandas: a laptop imports this in a fraction of a second.
"""

from course_lib.arithmetic.activations import LayerActivations, layer_activations
from course_lib.arithmetic.errors import ArithmeticInputError
from course_lib.arithmetic.kv_cache import kv_cache_bytes
from course_lib.arithmetic.matmuls import WeightMatmul, weight_matmuls
from course_lib.arithmetic.model_states import ModelStates, largest_model_parameters, model_states
from course_lib.arithmetic.operations import Operation, distinct_experts, transformer_operations
from course_lib.arithmetic.parameters import ParameterCount, count_parameters
from course_lib.arithmetic.roofline import RooflinePoint, matmul_intensity, roofline
from course_lib.arithmetic.run_cost import RunCost, run_cost
from course_lib.arithmetic.training_flops import TrainingFlops, training_flops
from course_lib.arithmetic.training_memory import TrainingMemory, training_memory
from course_lib.arithmetic.utilization import hfu, mfu

__all__ = [
    "ArithmeticInputError",
    "LayerActivations",
    "ModelStates",
    "Operation",
    "ParameterCount",
    "RooflinePoint",
    "RunCost",
    "TrainingFlops",
    "TrainingMemory",
    "WeightMatmul",
    "count_parameters",
    "distinct_experts",
    "hfu",
    "kv_cache_bytes",
    "largest_model_parameters",
    "layer_activations",
    "matmul_intensity",
    "mfu",
    "model_states",
    "roofline",
    "run_cost",
    "training_flops",
    "training_memory",
    "transformer_operations",
    "weight_matmuls",
]
