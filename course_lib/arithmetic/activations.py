"""Bytes of activations that the backward pass needs, with tensor and sequence parallelism and recomputation.

Korthikanti et al. count what a GPT layer saves, tensor by tensor; this file does the same for gated, grouped-query
and mixture-of-experts layers, and gives their 34 s b h + 5 a s^2 b exactly where the layer is GPT's.
"""

from dataclasses import dataclass

from course_lib.arithmetic.errors import ArithmeticInputError, as_config, check_choice, check_count
from course_lib.arithmetic.training_flops import RECOMPUTATIONS, Recomputation
from course_lib.catalog import ModelConfig

HALF = 2  # bytes of a bf16 or fp16 activation
MASK = 1  # bytes of a dropout mask's element
SINGLE = 4  # bytes of an fp32 element


@dataclass(frozen=True)
class LayerActivations:
    """Bytes that one layer saves for its backward pass, for one microbatch on one device.

    Args:
        replicated_bytes: norms' inputs, blocks' inputs and residual dropout masks, which tensor parallelism alone
            leaves whole on every rank.
        sharded_bytes: what lies between a block's two matmuls, which tensor parallelism divides.
        scores_bytes: softmax output, its dropout mask and the dropped-out copy: the a s^2 b terms.
        total_bytes: their sum.
    """

    replicated_bytes: float
    sharded_bytes: float
    scores_bytes: float
    total_bytes: float


def layer_activations(
    config: ModelConfig | str,
    *,
    microbatch: int = 1,
    sequence_length: int | None = None,
    tensor_parallel: int = 1,
    context_parallel: int = 1,
    sequence_parallel: bool = False,
    recomputation: Recomputation = "none",
    flash_attention: bool = False,
) -> LayerActivations:
    """Bytes of activations that one layer keeps (the mean over layers, where dense and MoE layers mix).

    For a GPT layer with t-way tensor parallelism: s b h (10 + 24/t + 5 a s / (h t)); with sequence parallelism
    s b h / t (34 + 5 a s / h); selective recomputation drops the last term; full recomputation keeps 2 s b h.

    Args:
        config: a shape, or the name of one.
        microbatch: sequences per microbatch (b).
        sequence_length: tokens per sequence (s); the model's context length when left out.
        tensor_parallel: devices that share the layer (t); must divide the heads.
        context_parallel: devices that share each sequence; each keeps its own tokens, whose queries see all keys.
        sequence_parallel: norms and dropouts are divided along the sequence as well.
        recomputation: "none", "selective" (attention core) or "full" (keep the layer's input only).
        flash_attention: the kernel keeps one fp32 statistic per query and head instead of the s x s scores.

    Returns:
        Bytes per layer, microbatch and device. Experts are taken as evenly loaded.

    Raises:
        ArithmeticInputError: when tensor_parallel does not divide the heads, or a number is out of range.

    Source: Korthikanti et al. 2022 (arXiv:2205.05198) section 4, eq. 1 to 4 and Table 2. A gated block saves gate,
        up, SiLU(gate) and the product, as PyTorch does without fusion.
    """
    c = as_config(config)
    s = c.context_length if sequence_length is None else sequence_length
    check_count("microbatch", microbatch)
    check_count("sequence_length", s)
    check_choice("recomputation", recomputation, RECOMPUTATIONS)
    check_tensor_parallel(c, tensor_parallel)
    check_count("context_parallel", context_parallel)
    tokens, t = s * microbatch / context_parallel, tensor_parallel
    along_sequence = t if sequence_parallel else 1
    if recomputation == "full":
        kept = HALF * c.hidden_size * tokens / along_sequence
        return LayerActivations(kept, 0.0, 0.0, kept)
    replicated = tokens * _replicated_per_token(c) / along_sequence
    sharded = tokens * _sharded_per_token(c, t)
    if flash_attention:
        scores = SINGLE * c.heads * tokens / t
    elif recomputation == "selective":
        scores = 0.0
    else:
        per_score = HALF + (HALF + MASK) * c.dropout  # softmax output; mask and dropped-out copy
        scores = per_score * c.heads * s * tokens / t
    return LayerActivations(replicated, sharded, scores, replicated + sharded + scores)


def check_tensor_parallel(c: ModelConfig, tensor_parallel: int) -> None:
    """Raise `ArithmeticInputError` unless each of `tensor_parallel` ranks gets whole heads."""
    check_count("tensor_parallel", tensor_parallel)
    if c.heads % tensor_parallel:
        fitting = [d for d in range(1, c.heads + 1) if c.heads % d == 0]
        raise ArithmeticInputError.of(
            "tensor_parallel",
            tensor_parallel,
            f"does not divide the {c.heads} heads of {c.name}",
            f"use one of {', '.join(map(str, fitting))}",
        )


def _replicated_per_token(c: ModelConfig) -> float:
    masks = 2 * MASK * c.dropout * c.hidden_size  # after attention and after the feed-forward block
    norms = c.norms_per_layer * HALF * c.hidden_size
    attention_input = HALF * c.hidden_size
    # in a MoE layer every token is copied to k experts and their k outputs are kept for the router's gradient
    moe_input = (1 + 2 * c.experts_per_token) * HALF * c.hidden_size + SINGLE * c.experts
    share = c.moe_layers / c.layers
    return masks + norms + attention_input + share * moe_input + (1 - share) * HALF * c.hidden_size


def _sharded_per_token(c: ModelConfig, t: int) -> float:
    if c.latent_attention:  # decompressed keys and values, and the two latents that they come from
        heads = HALF * c.heads * (2 * c.qk_head_dim + 2 * c.value_head_dim) / t
        attention = heads + 2 * HALF * (c.q_lora_rank + c.kv_lora_rank)
    else:
        # queries, keys, values and the output projection's input; a key head that fewer than t ranks can share is
        # repeated on each
        kv_ranks = min(t, c.kv_heads)
        attention = HALF * c.head_dim * (2 * c.heads / t + 2 * c.kv_heads / kv_ranks)
    copies = 4 if c.gated_ffn else 2  # gate, up, SiLU(gate), product; or the nonlinearity's input and output
    moe_width = (c.experts_per_token + c.shared_experts) * c.expert_hidden_size
    width = (c.moe_layers * moe_width + c.dense_layers * c.ffn_hidden_size) / c.layers
    return attention + HALF * copies * width / t
