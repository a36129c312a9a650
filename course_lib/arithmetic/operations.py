"""FLOPs, bytes and intensity of real transformer operations, so that they can be placed on a roofline.

Prefill and training multiply many tokens at once and reuse each weight; decoding multiplies one token per sequence
and reads every weight for it.
"""

from dataclasses import dataclass
from typing import Literal

from course_lib.arithmetic.errors import as_config, check_choice, check_count, check_positive
from course_lib.arithmetic.kv_cache import kv_cache_bytes
from course_lib.arithmetic.matmuls import WeightMatmul, attention_core_flops, weight_matmuls
from course_lib.catalog import ModelConfig

Phase = Literal["decode", "prefill", "training"]
PHASES: tuple[Phase, ...] = ("decode", "prefill", "training")


@dataclass(frozen=True)
class Operation:
    """One kind of operation in one pass over a batch, all layers together.

    Args:
        name: "q", "kv", "ffn_up", "expert_up", "lm_head", ..., "attention", or "all" for the sum.
        phase: "decode", "prefill" or "training".
        flops: FLOPs of the pass.
        bytes_: least traffic with device memory, in bytes: operands read once, results written once.
        intensity_flops_per_byte: flops / bytes_.
    """

    name: str
    phase: Phase
    flops: float
    bytes_: float
    intensity_flops_per_byte: float


def transformer_operations(
    config: ModelConfig | str,
    phase: Phase,
    *,
    batch: int = 1,
    sequence_length: int | None = None,
    bytes_per_element: float = 2,
) -> tuple[Operation, ...]:
    """List a forward pass (or a training step) kind by kind, the sum last under the name "all".

    Args:
        config: a decoder or encoder, or the name of one.
        phase: "decode" generates one token per sequence, with `sequence_length` tokens already in the cache;
            "prefill" reads whole prompts; "training" runs forward and backward.
        batch: sequences.
        sequence_length: tokens per sequence; the model's context length when left out.
        bytes_per_element: of weights, activations and cache.

    Returns:
        One entry per kind of weight matrix, one for the attention core, one for the sum. The attention core is a
        fused kernel's: it reads queries, keys and values and writes the result, and keeps no scores. Element-wise
        operations, which do next to no FLOPs, are left out.

    Raises:
        ArithmeticInputError: for an unknown phase, or a number out of range.

    Source: counting; JAX "How to Scale Your Model" uses the same accounting for its matmul and attention rooflines.
    """
    c = as_config(config)
    check_choice("phase", phase, PHASES)
    check_count("batch", batch)
    s = c.context_length if sequence_length is None else sequence_length
    check_count("sequence_length", s)
    check_positive("bytes_per_element", bytes_per_element, "give 2 for bf16, 1 for fp8")
    tokens = batch if phase == "decode" else batch * s
    # the backward pass multiplies twice more: gradient of the input, gradient of the weight
    passes = 3 if phase == "training" else 1
    found = [_weight_operation(c, m, phase, tokens, passes, bytes_per_element) for m in weight_matmuls(c)]
    found.append(_attention_operation(c, phase, batch, s, passes, bytes_per_element))
    return (*found, _operation("all", phase, sum(o.flops for o in found), sum(o.bytes_ for o in found)))


def distinct_experts(experts: int, experts_per_token: int, tokens: int) -> float:
    """Expected number of experts that at least one of `tokens` tokens visits, if routing were uniform.

    Args:
        experts: routed experts in a layer (E).
        experts_per_token: k.
        tokens: tokens in the batch.

    Returns:
        E (1 - (1 - k/E)^tokens).

    Raises:
        ArithmeticInputError: for a number below 1.

    Source: complement of an expert being missed by every token.
    """
    for name, value in (("experts", experts), ("experts_per_token", experts_per_token), ("tokens", tokens)):
        check_count(name, value)
    return experts * (1 - (1 - min(1.0, experts_per_token / experts)) ** tokens)


def _weight_operation(
    c: ModelConfig, m: WeightMatmul, phase: Phase, tokens: int, passes: int, bytes_per_element: float
) -> Operation:
    weights = float(m.weights)
    if m.stored > m.per_token:  # routed experts: only those that some token chose are read
        weights *= distinct_experts(c.experts, c.experts_per_token, tokens) / c.experts
    elements = weights + tokens * m.per_token * (m.inputs + m.outputs)
    return _operation(m.name, phase, passes * tokens * m.flops_per_token, passes * bytes_per_element * elements)


def _attention_operation(
    c: ModelConfig, phase: Phase, batch: int, s: int, passes: int, bytes_per_element: float
) -> Operation:
    queries = batch if phase == "decode" else batch * s
    flops = passes * queries * c.layers * attention_core_flops(c, s)
    ends = queries * c.layers * c.heads * (c.qk_head_dim + c.value_head_dim)  # queries in, weighted values out
    cache = kv_cache_bytes(c, s, batch=batch, bytes_per_element=bytes_per_element)
    return _operation("attention", phase, flops, passes * (bytes_per_element * ends + cache))


def _operation(name: str, phase: Phase, flops: float, bytes_: float) -> Operation:
    return Operation(name, phase, flops, bytes_, flops / bytes_)
