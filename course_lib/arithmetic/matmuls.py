"""Lists the weight matrices that one token passes through: what FLOPs, roofline and inference all count from.

A matrix of (outputs, inputs) costs 2 * outputs * inputs FLOPs for one token going forward.
"""

from dataclasses import dataclass

from course_lib.arithmetic.errors import ArithmeticInputError, as_config
from course_lib.catalog import ModelConfig


@dataclass(frozen=True)
class WeightMatmul:
    """One kind of weight matrix.

    Args:
        name: "q", "kv", "output", "ffn_up", "ffn_down", "expert_up", "expert_down", "router", "lm_head", ...
        outputs: rows of the weight (the matmul's n).
        inputs: columns of the weight (the matmul's k).
        per_token: how many such matrices one token passes through, in all layers together.
        stored: how many such matrices the model holds; more than `per_token` for routed experts.
    """

    name: str
    outputs: int
    inputs: int
    per_token: int
    stored: int

    @property
    def flops_per_token(self) -> int:
        """Forward FLOPs for one token in all layers: a multiply and an add per weight."""
        return 2 * self.outputs * self.inputs * self.per_token

    @property
    def weights(self) -> int:
        """Parameters in all matrices of this kind, biases apart."""
        return self.outputs * self.inputs * self.stored


def weight_matmuls(config: ModelConfig | str) -> tuple[WeightMatmul, ...]:
    """List a model's weight matrices by kind.

    Args:
        config: a decoder or encoder, or the name of one in the catalog.

    Returns:
        One entry per kind. Look-up tables are left out, a tied table appears as "lm_head".

    Raises:
        ArithmeticInputError: for an encoder-decoder, whose two stacks see different tokens.

    Source: shapes as in transformers 5.23's modules.
    """
    c = as_config(config)
    if c.encoder_layers:
        raise ArithmeticInputError.of(
            "config",
            c.name,
            "is an encoder-decoder: its stacks see different numbers of tokens",
            "use training_flops(..., method='6nd'), or describe one stack as a decoder",
        )
    found = [*_attention(c), *_feed_forward(c)]
    if c.lm_head:
        found.append(WeightMatmul("lm_head", c.vocab_size, c.hidden_size, 1, 1))
    return tuple(found)


def attention_core_flops(config: ModelConfig | str, keys: float) -> float:
    """Forward FLOPs of QK^T and of the weighted sum of values, for one query token in one layer.

    Args:
        config: a shape, or the name of one.
        keys: keys that the query looks at.

    Returns:
        FLOPs; 4 * keys * hidden_size for ordinary attention.

    Source: Korthikanti et al. 2022, arXiv:2205.05198, appendix A (4 B s^2 h per layer).
    """
    c = as_config(config)
    return 2 * keys * c.heads * (c.qk_head_dim + c.value_head_dim)


def _attention(c: ModelConfig) -> list[WeightMatmul]:
    h, layers = c.hidden_size, c.layers
    q, kv, value = c.heads * c.qk_head_dim, c.kv_heads * c.head_dim, c.heads * c.value_head_dim

    def in_every_layer(name: str, outputs: int, inputs: int) -> WeightMatmul:
        return WeightMatmul(name, outputs, inputs, layers, layers)

    if not c.latent_attention:
        return [in_every_layer("q", q, h), in_every_layer("kv", 2 * kv, h), in_every_layer("output", h, value)]
    queries = [in_every_layer("q", q, h)]
    if c.q_lora_rank:
        queries = [in_every_layer("q_down", c.q_lora_rank, h), in_every_layer("q_up", q, c.q_lora_rank)]
    return [
        *queries,
        in_every_layer("kv_down", c.kv_lora_rank + c.qk_rope_head_dim, h),
        in_every_layer("kv_up", c.heads * (c.qk_nope_head_dim + c.v_head_dim), c.kv_lora_rank),
        in_every_layer("output", h, value),
    ]


def _feed_forward(c: ModelConfig) -> list[WeightMatmul]:
    h, rising = c.hidden_size, 2 if c.gated_ffn else 1
    found = []
    if c.dense_layers:
        width, n = c.ffn_hidden_size, c.dense_layers
        found += [WeightMatmul("ffn_up", rising * width, h, n, n), WeightMatmul("ffn_down", h, width, n, n)]
    if c.moe_layers:
        width, n = c.expert_hidden_size, c.moe_layers
        used, held = n * c.experts_per_token, n * c.experts
        found += [
            WeightMatmul("router", c.experts, h, n, n),
            WeightMatmul("expert_up", rising * width, h, used, held),
            WeightMatmul("expert_down", h, width, used, held),
        ]
        if c.shared_experts:
            shared = n * c.shared_experts
            found += [
                WeightMatmul("shared_expert_up", rising * width, h, shared, shared),
                WeightMatmul("shared_expert_down", h, width, shared, shared),
            ]
    return found
