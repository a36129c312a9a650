"""One transformer's shape: everything that decides how many parameters, FLOPs and bytes it costs.

Two numbers cost nothing, `norm_eps` and `rope_theta`: they stand here because a model's weights mean nothing without.

Field names follow Megatron-LM's vocabulary; `course_lib.arithmetic` turns a shape into numbers.
"""

import datetime
from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from course_lib.catalog.schema import ROW, Count, Date, Positive, Text

Whole = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, config=ROW, kw_only=True)
class ModelConfig:
    """The shape of a transformer.

    Args:
        name: key of the catalog, or any name for a shape of your own.
        vocab_size: rows of the token embedding, padding rows included.
        hidden_size: width of the residual stream (h, d_model).
        layers: transformer blocks; in an encoder-decoder, those of both stacks together.
        heads: query heads (a).
        title: name as people write it; `name` when left out.
        architecture: "decoder" (GPT, Llama), "encoder" (BERT) or "encoder_decoder" (T5, Switch).
        encoder_layers: blocks of the encoder stack; only for "encoder_decoder".
        kv_heads: key/value heads; 0 means as many as `heads`.
        head_dim: width of one head; 0 means hidden_size / heads.
        ffn_hidden_size: inner width of a dense feed-forward block; 0 means 4 * hidden_size.
        gated_ffn: three matrices (SwiGLU, GEGLU) instead of two.
        norm: "layernorm" has weight and bias, "rmsnorm" only a weight, "layernorm_no_bias" likewise (PaLM).
        norm_eps: what a norm adds to the variance.
        norms_per_layer: 2; 1 where attention and feed-forward share one (PaLM). Cross-attention adds its own.
        final_norm: a norm after the last layer of a stack; post-norm models (BERT) have none.
        embedding_norm: a norm right after the embedding (BERT).
        qk_norm: norms on queries and keys: "head" shares one per head (Qwen3), "width" spans all heads (OLMoE).
        qkv_bias, output_bias: biases of the attention projections.
        ffn_bias: biases of the feed-forward matrices, the experts' too.
        router_bias: trained bias of the router; DeepSeek-V3's balancing bias is no parameter and not counted.
        attention_sinks: one trained logit per head and layer (gpt-oss).
        tied_embeddings: the output matrix is the token embedding.
        lm_head: the model ends in logits over the vocabulary; False for the bare BERT encoder.
        pooler: BERT's dense layer on the first token.
        learned_positions: rows of a learned position table; 0 for rotary or relative positions.
        rope_theta: base of the rotary angles.
        segment_types: rows of BERT's segment table.
        relative_position_buckets: T5's relative-position table, one per stack.
        context_length: tokens that the model was trained to see.
        sliding_window: keys that a windowed layer sees; 0 when no layer is windowed.
        sliding_window_every: 2 means that every second layer is windowed, 1 that all are.
        dropout: trained with dropout, whose masks are kept for the backward pass.
        experts: routed experts per MoE layer; 0 for a dense model.
        experts_per_token: routed experts that a token visits (k).
        expert_hidden_size: inner width of one expert; 0 means ffn_hidden_size.
        shared_experts: experts that every token visits besides.
        first_dense_layers: layers at the bottom without experts (DeepSeek-V3).
        moe_every: 2 means that every second layer has experts (GShard, Switch).
        q_lora_rank, kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim, v_head_dim: multi-head latent attention
            (DeepSeek); kv_lora_rank = 0 means ordinary attention.
        published_total, published_active: parameter counts as the authors print them.
        published_rounding: worth of the last digit printed in `published_total`.
        published_active_includes_input_embedding: gpt-oss leaves the input embedding out of "active".
        aliases: other names that a look-up accepts.
        notes: what a reader should know about this row.
        source, date: where the shape was read and when that source said so.

    Raises:
        pydantic.ValidationError: (a ValueError) naming each field that does not fit.

    Source: Megatron-LM's argument names; arXiv:2412.19437 for the latent-attention fields.
    """

    name: Text
    vocab_size: Count
    hidden_size: Count
    layers: Count
    heads: Count
    title: str = ""
    architecture: Literal["decoder", "encoder", "encoder_decoder"] = "decoder"
    encoder_layers: Whole = 0
    kv_heads: Whole = 0
    head_dim: Whole = 0
    ffn_hidden_size: Whole = 0
    gated_ffn: bool = False
    norm: Literal["rmsnorm", "layernorm", "layernorm_no_bias"] = "layernorm"
    norm_eps: Positive = 1e-5
    norms_per_layer: Count = 2
    final_norm: bool = True
    embedding_norm: bool = False
    qk_norm: Literal["none", "head", "width"] = "none"
    qkv_bias: bool = False
    output_bias: bool = False
    ffn_bias: bool = False
    router_bias: bool = False
    attention_sinks: bool = False
    tied_embeddings: bool = False
    lm_head: bool = True
    pooler: bool = False
    learned_positions: Whole = 0
    rope_theta: Positive = 10_000.0
    segment_types: Whole = 0
    relative_position_buckets: Whole = 0
    context_length: Count = 2048
    sliding_window: Whole = 0
    sliding_window_every: Count = 1
    dropout: bool = False
    experts: Whole = 0
    experts_per_token: Whole = 0
    expert_hidden_size: Whole = 0
    shared_experts: Whole = 0
    first_dense_layers: Whole = 0
    moe_every: Count = 1
    q_lora_rank: Whole = 0
    kv_lora_rank: Whole = 0
    qk_nope_head_dim: Whole = 0
    qk_rope_head_dim: Whole = 0
    v_head_dim: Whole = 0
    published_total: Positive | None = None
    published_active: Positive | None = None
    published_rounding: Positive | None = None
    published_active_includes_input_embedding: bool = True
    aliases: tuple[str, ...] = ()
    notes: str = ""
    source: str = ""
    date: datetime.date | None = None

    def __post_init__(self) -> None:
        self._derive("title", self.name)
        self._derive("kv_heads", self.heads)
        self._derive("ffn_hidden_size", 4 * self.hidden_size)
        if not self.head_dim and self.hidden_size % self.heads:
            raise ValueError(
                f"heads={self.heads} does not divide hidden_size={self.hidden_size}; give head_dim, or change one"
            )
        self._derive("head_dim", self.hidden_size // self.heads)
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads={self.kv_heads} must divide heads={self.heads}; each serves a group of queries")
        self._check_experts()
        if (self.architecture == "encoder_decoder") != (0 < self.encoder_layers < self.layers):
            raise ValueError(
                f"encoder_layers={self.encoder_layers} does not fit architecture={self.architecture!r}: an "
                f"encoder_decoder needs 1..{self.layers - 1}, the others 0"
            )
        if self.kv_lora_rank and not (self.qk_nope_head_dim and self.qk_rope_head_dim and self.v_head_dim):
            raise ValueError("kv_lora_rank needs qk_nope_head_dim, qk_rope_head_dim and v_head_dim beside it")

    def _derive(self, name: str, value: object) -> None:
        if not getattr(self, name):
            object.__setattr__(self, name, value)  # the dataclass is frozen for everyone else

    def _check_experts(self) -> None:
        if not self.experts:
            if self.experts_per_token or self.shared_experts or self.expert_hidden_size:
                raise ValueError("a dense model (experts=0) has no experts_per_token, shared_experts or their width")
            return
        self._derive("expert_hidden_size", self.ffn_hidden_size)
        if not 1 <= self.experts_per_token <= self.experts:
            raise ValueError(f"experts_per_token={self.experts_per_token} must be 1..{self.experts} (experts)")
        if not self.moe_layers:
            raise ValueError(f"experts={self.experts}, but first_dense_layers and moe_every leave no layer for them")

    @property
    def decoder_layers(self) -> int:
        """Blocks that are not in an encoder stack."""
        return 0 if self.architecture == "encoder" else self.layers - self.encoder_layers

    @property
    def moe_layers(self) -> int:
        """Blocks whose feed-forward part is a set of experts."""
        return (self.layers - self.first_dense_layers) // self.moe_every if self.experts else 0

    @property
    def dense_layers(self) -> int:
        """Blocks with an ordinary feed-forward part."""
        return self.layers - self.moe_layers

    @property
    def windowed_layers(self) -> int:
        """Blocks that see only `sliding_window` keys."""
        return self.layers // self.sliding_window_every if self.sliding_window else 0

    @property
    def latent_attention(self) -> bool:
        """Whether keys and values are stored as one low-rank latent (MLA)."""
        return self.kv_lora_rank > 0

    @property
    def qk_head_dim(self) -> int:
        """Width of one query or key head."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim if self.latent_attention else self.head_dim

    @property
    def value_head_dim(self) -> int:
        """Width of one value head."""
        return self.v_head_dim if self.latent_attention else self.head_dim


@dataclass(frozen=True, config=ROW, kw_only=True)
class CatalogedModel(ModelConfig):
    """A row of `models.toml`: a shape that says where it was read. `source` and `date` may not be left out."""

    source: Text = field()
    date: Date = field()
