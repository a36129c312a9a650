"""Memory of training on the fullest device: model states by ZeRO stage, plus activations."""

import math
from dataclasses import dataclass

from course_lib.arithmetic.activations import HALF, MASK, SINGLE, layer_activations
from course_lib.arithmetic.errors import ArithmeticInputError, as_config, check_count
from course_lib.arithmetic.model_states import model_states
from course_lib.arithmetic.training_flops import Recomputation
from course_lib.catalog import ModelConfig


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on the fullest device.

    Args:
        parameters_bytes, gradients_bytes, optimizer_bytes: model states, after ZeRO has divided them.
        activations_bytes: what all microbatches in flight keep for their backward passes.
        total_bytes: the sum. Allocator waste, communication buffers, the one layer
            that recomputation has just rebuilt and the framework's own few GB come on top.
        layers_per_device: blocks of one pipeline stage (the largest).
        microbatches_in_flight: microbatches whose activations the first stage keeps at once.
    """

    parameters_bytes: float
    gradients_bytes: float
    optimizer_bytes: float
    activations_bytes: float
    total_bytes: float
    layers_per_device: int
    microbatches_in_flight: int

    @property
    def model_states_bytes(self) -> float:
        """Parameters, gradients and optimizer state together."""
        return self.parameters_bytes + self.gradients_bytes + self.optimizer_bytes


def training_memory(
    config: ModelConfig | str,
    *,
    zero_stage: int = 0,
    data_parallel: int = 1,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    context_parallel: int = 1,
    expert_parallel: int = 1,
    microbatch: int = 1,
    sequence_length: int | None = None,
    recomputation: Recomputation = "none",
    sequence_parallel: bool = False,
    flash_attention: bool = False,
    microbatches_in_flight: int | None = None,
    parameter_bytes: float = 2,
    gradient_bytes: float = 2,
    optimizer_bytes: float = 12,
) -> TrainingMemory:
    """Bytes that training needs on the fullest device (the first pipeline stage).

    Args:
        config: a shape, or the name of one.
        zero_stage: 0 to 3; which states are divided over the data-parallel devices.
        data_parallel, tensor_parallel, pipeline_parallel, expert_parallel: degrees of parallelism.
        context_parallel: devices that share each sequence. They hold the same weights, so ZeRO divides over them too.
        microbatch: sequences per microbatch.
        sequence_length: tokens per sequence; the model's context length when left out.
        recomputation: "none", "selective" or "full".
        sequence_parallel: divide norms and dropouts along the sequence (with tensor parallelism).
        flash_attention: no s x s scores in memory.
        microbatches_in_flight: what the schedule keeps at once: `pipeline_parallel` under 1F1B (the default), all
            microbatches under GPipe.
        parameter_bytes, gradient_bytes, optimizer_bytes: bytes per parameter.

    Returns:
        Bytes by part.

    Raises:
        ArithmeticInputError: for an unknown stage, a tensor-parallel degree that does not divide the heads, more
            stages than layers, or a number out of range.

    Source: Rajbhandari et al. 2020 (arXiv:1910.02054); Korthikanti et al. 2022 (arXiv:2205.05198) section 4.
    """
    c = as_config(config)
    check_count("pipeline_parallel", pipeline_parallel)
    check_count("context_parallel", context_parallel)
    check_count("data_parallel", data_parallel)
    if pipeline_parallel > c.layers:
        raise ArithmeticInputError.of(
            "pipeline_parallel", pipeline_parallel, f"is more than the {c.layers} layers", f"use 1 to {c.layers}"
        )
    in_flight = pipeline_parallel if microbatches_in_flight is None else microbatches_in_flight
    check_count("microbatches_in_flight", in_flight)
    layer = layer_activations(
        c,
        microbatch=microbatch,
        sequence_length=sequence_length,
        tensor_parallel=tensor_parallel,
        context_parallel=context_parallel,
        sequence_parallel=sequence_parallel,
        recomputation=recomputation,
        flash_attention=flash_attention,
    )
    states = model_states(
        c,
        zero_stage=zero_stage,
        data_parallel=data_parallel * context_parallel,
        tensor_parallel=tensor_parallel,
        pipeline_parallel=pipeline_parallel,
        expert_parallel=expert_parallel,
        parameter_bytes=parameter_bytes,
        gradient_bytes=gradient_bytes,
        optimizer_bytes=optimizer_bytes,
    )
    layers = math.ceil(c.layers / pipeline_parallel)
    tokens = microbatch * (sequence_length or c.context_length) / context_parallel
    along_sequence = tensor_parallel if sequence_parallel else 1
    ends = _embedding_bytes(c, tokens, in_flight) / along_sequence
    if pipeline_parallel == 1 and c.lm_head:
        ends += _logits_bytes(c, tokens, tensor_parallel, along_sequence)
    activations = in_flight * layers * layer.total_bytes + ends
    return TrainingMemory(
        parameters_bytes=states.parameters_bytes,
        gradients_bytes=states.gradients_bytes,
        optimizer_bytes=states.optimizer_bytes,
        activations_bytes=activations,
        total_bytes=states.total_bytes + activations,
        layers_per_device=layers,
        microbatches_in_flight=in_flight,
    )


def _embedding_bytes(c: ModelConfig, tokens: float, in_flight: int) -> float:
    return tokens * MASK * c.dropout * c.hidden_size * in_flight  # the dropout mask after the look-up


def _logits_bytes(c: ModelConfig, tokens: float, tensor_parallel: int, along_sequence: int) -> float:
    # inputs of the final norm and of the output matrix, and fp32 logits divided over the vocabulary
    return tokens * (2 * HALF * c.hidden_size / along_sequence + SINGLE * c.vocab_size / tensor_parallel)
