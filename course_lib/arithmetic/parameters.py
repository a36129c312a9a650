"""Counts a transformer's parameters exactly, part by part, from its shape alone.

The parts follow the modules of the released implementations, so that the sum can be checked to the last weight.
"""

from dataclasses import dataclass

from course_lib.arithmetic.errors import as_config
from course_lib.catalog import ModelConfig


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of one model.

    Args:
        total: all of them; equals embedding + output_head + attention + ffn + router + norm + other.
        active: those that one token passes through.
        embedding: token, position and segment tables.
        output_head: the logits' matrix; 0 when it is the token embedding itself.
        attention: projections, their biases and sinks, cross-attention included.
        ffn: feed-forward matrices and biases, all experts included.
        router: matrices that choose experts.
        norm: all normalization weights.
        other: BERT's pooler, T5's relative-position tables.
        routed_experts: the part of `ffn` that is routed; a token sees k of E experts of it.
    """

    total: int
    active: int
    embedding: int
    output_head: int
    attention: int
    ffn: int
    router: int
    norm: int
    other: int
    routed_experts: int

    @property
    def non_embedding(self) -> int:
        """Parameters outside of the input tables (the N of Kaplan et al. 2020)."""
        return self.total - self.embedding


def count_parameters(config: ModelConfig | str, *, active_includes_input_embedding: bool = True) -> ParameterCount:
    """Count a transformer's parameters.

    Args:
        config: a shape, or the name of one in the catalog.
        active_includes_input_embedding: publishers differ. Mixtral, OLMoE, Qwen3 and DeepSeek count the input tables
            as active; gpt-oss does not, since a look-up multiplies nothing. A tied table stays: it computes the logits.

    Returns:
        Counts by part, in parameters.

    Raises:
        UnknownNameError: (a ValueError) for a name that the catalog does not hold.

    Source: the modules of the released models as written in transformers 5.23; for GPT shapes equal to
        Narayanan et al. 2021 (arXiv:2104.04473) eq. 2, plus the final norm.
    """
    c = as_config(config)
    tables = c.learned_positions + c.segment_types
    token_table = c.vocab_size * c.hidden_size
    embedding = token_table + tables * c.hidden_size
    output_head = token_table if c.lm_head and not c.tied_embeddings else 0

    expert = _ffn_block(c, c.expert_hidden_size)
    routed_experts = c.moe_layers * c.experts * expert
    ffn = c.dense_layers * _ffn_block(c, c.ffn_hidden_size) + routed_experts + c.moe_layers * c.shared_experts * expert
    router = c.moe_layers * c.experts * (c.hidden_size + c.router_bias)

    cross = c.decoder_layers if c.encoder_layers else 0
    attention = (c.layers + cross) * _attention_block(c)
    stacks = 2 if c.encoder_layers else 1
    other = stacks * c.relative_position_buckets * c.heads + c.pooler * c.hidden_size * (c.hidden_size + 1)

    norm = c.layers * (c.norms_per_layer * _norm(c) + _attention_norms(c)) + cross * _norm(c)
    norm += (stacks * c.final_norm + c.embedding_norm) * _norm(c)

    total = embedding + output_head + attention + ffn + router + norm + other
    active = total - routed_experts + c.moe_layers * c.experts_per_token * expert
    if not active_includes_input_embedding:
        active -= tables * c.hidden_size if c.tied_embeddings and c.lm_head else embedding
    return ParameterCount(
        total=total,
        active=active,
        embedding=embedding,
        output_head=output_head,
        attention=attention,
        ffn=ffn,
        router=router,
        norm=norm,
        other=other,
        routed_experts=routed_experts,
    )


def _ffn_block(c: ModelConfig, width: int) -> int:
    rising = 2 if c.gated_ffn else 1  # gate and up, or up alone
    biases = (rising * width + c.hidden_size) * c.ffn_bias
    return (rising + 1) * c.hidden_size * width + biases


def _attention_block(c: ModelConfig) -> int:
    if c.latent_attention:
        return _latent_attention_block(c)
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    weights = c.hidden_size * (q + 2 * kv) + q * c.hidden_size
    biases = (q + 2 * kv) * c.qkv_bias + c.hidden_size * c.output_bias
    return weights + biases + c.heads * c.attention_sinks


def _latent_attention_block(c: ModelConfig) -> int:
    # queries go down to q_lora_rank and up again; keys and values share one latent, plus one rotary key per token
    q_width = c.heads * c.qk_head_dim
    queries = (c.hidden_size + q_width) * c.q_lora_rank if c.q_lora_rank else c.hidden_size * q_width
    down = c.hidden_size * (c.kv_lora_rank + c.qk_rope_head_dim)
    up = c.kv_lora_rank * c.heads * (c.qk_nope_head_dim + c.v_head_dim)
    return queries + down + up + c.heads * c.v_head_dim * c.hidden_size


def _norm(c: ModelConfig) -> int:
    return c.hidden_size * (2 if c.norm == "layernorm" else 1)


def _attention_norms(c: ModelConfig) -> int:
    if c.latent_attention:
        return c.q_lora_rank + c.kv_lora_rank
    return {"none": 0, "head": 2 * c.head_dim, "width": (c.heads + c.kv_heads) * c.head_dim}[c.qk_norm]
