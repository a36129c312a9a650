"""FLOPs of a training run, by the rule of thumb 6ND, by Megatron's closed form, or matmul by matmul."""

from dataclasses import dataclass
from typing import Literal

from course_lib.arithmetic.attention_span import Attention, keys_summed_over_layers
from course_lib.arithmetic.errors import (
    ArithmeticInputError,
    as_config,
    check_choice,
    check_count,
    check_not_negative,
    check_positive,
)
from course_lib.arithmetic.matmuls import attention_core_flops, weight_matmuls
from course_lib.arithmetic.parameters import count_parameters
from course_lib.catalog import ModelConfig

Recomputation = Literal["none", "selective", "full"]
Method = Literal["6nd", "exact", "korthikanti"]
RECOMPUTATIONS: tuple[Recomputation, ...] = ("none", "selective", "full")
METHODS: tuple[Method, ...] = ("6nd", "exact", "korthikanti")


@dataclass(frozen=True)
class TrainingFlops:
    """FLOPs of training on a number of tokens.

    Args:
        tokens: tokens trained on.
        model_flops: what the mathematics needs, forward and backward; the numerator of MFU.
        hardware_flops: with recomputed activations on top; the numerator of HFU.
        weight_flops: the part of `model_flops` spent in weight matrices.
        attention_flops: the part spent in QK^T and in summing values; 0 for "6nd" without a sequence length.
        recomputation_flops: hardware_flops - model_flops.
        per_token_flops: model_flops / tokens.
        method, recomputation: how it was counted.
    """

    tokens: float
    model_flops: float
    hardware_flops: float
    weight_flops: float
    attention_flops: float
    recomputation_flops: float
    per_token_flops: float
    method: Method
    recomputation: Recomputation


def training_flops(
    config: ModelConfig | str | float,
    tokens: float,
    *,
    sequence_length: int | None = None,
    recomputation: Recomputation = "none",
    method: Method = "6nd",
    attention: Attention = "full",
    include_input_embedding: bool = True,
) -> TrainingFlops:
    """Count the FLOPs of training on `tokens` tokens.

    The three methods, for N active parameters, L layers, a heads of width q and sequences of s tokens:

    * "6nd": 6 N per token, and 12 L a q s more for attention when `sequence_length` is given.
    * "exact": every weight matrix and both attention products, 2 FLOPs per multiply-add, times 3 for forward,
      gradient of inputs and gradient of weights. Embedding look-ups cost nothing.
    * "korthikanti": 72 L s h^2 (1 + s/6h + V/12hL) per sequence. Its printed form for selective recomputation,
      s/3h in place of s/6h, adds three times what one more forward pass of the attention core costs (s/18h); it is
      kept as printed since published HFU rests on it. Use "exact" for what the hardware does.

    Args:
        config: a shape, the name of one, or a bare number of parameters (method "6nd" without sequence length only).
        tokens: tokens trained on.
        sequence_length: tokens per sequence; "exact" and "korthikanti" default to the model's context length.
        recomputation: "none"; "selective" repeats the attention core's forward pass; "full" repeats every layer's.
        method: "6nd", "exact" or "korthikanti".
        attention: "full" counts masked scores too, as the papers do; "causal" only what a causal kernel computes.
        include_input_embedding: for "6nd", whether N holds the input tables (PaLM: yes; torchtitan: no).

    Returns:
        FLOPs with their parts.

    Raises:
        ArithmeticInputError: a negative number, an unknown word, or a method that does not fit the model.

    Source: Kaplan et al. 2020 (arXiv:2001.08361) section 2.1; Chowdhery et al. 2022 (arXiv:2204.02311) appendix B;
        Korthikanti et al. 2022 (arXiv:2205.05198) appendix A; Narayanan et al. 2021 (arXiv:2104.04473) section 5.1.
    """
    check_not_negative("tokens", tokens)
    check_choice("method", method, METHODS)
    check_choice("recomputation", recomputation, RECOMPUTATIONS)
    if sequence_length is not None:
        check_count("sequence_length", sequence_length)
    if isinstance(config, int | float):
        per_token = _from_parameter_count(config, sequence_length, recomputation, method)
    else:
        c = as_config(config)
        if method == "6nd":
            per_token = _six_nd(c, sequence_length, recomputation, attention, include_input_embedding)
        elif method == "exact":
            per_token = _exact(c, sequence_length or c.context_length, recomputation, attention)
        else:
            per_token = _korthikanti(c, sequence_length or c.context_length, recomputation, attention)
    weight, core, again = per_token
    return TrainingFlops(
        tokens=tokens,
        model_flops=(weight + core) * tokens,
        hardware_flops=(weight + core + again) * tokens,
        weight_flops=weight * tokens,
        attention_flops=core * tokens,
        recomputation_flops=again * tokens,
        per_token_flops=weight + core,
        method=method,
        recomputation=recomputation,
    )


_PerToken = tuple[float, float, float]  # FLOPs in weight matrices, in the attention core, recomputed


def _from_parameter_count(
    parameters: float, sequence_length: int | None, recomputation: Recomputation, method: Method
) -> _PerToken:
    check_positive("config", parameters, "give the number of parameters, e.g. 175e9, or a model's name")
    if method != "6nd" or sequence_length is not None or recomputation == "selective":
        raise ArithmeticInputError.of(
            "config",
            parameters,
            "is a bare parameter count, which says nothing about attention",
            "pass a ModelConfig, or leave sequence_length, method and selective recomputation out",
        )
    return 6 * parameters, 0, 2 * parameters if recomputation == "full" else 0


def _six_nd(
    c: ModelConfig,
    sequence_length: int | None,
    recomputation: Recomputation,
    attention: Attention,
    include_input_embedding: bool,
) -> _PerToken:
    n = count_parameters(c, active_includes_input_embedding=include_input_embedding).active
    if sequence_length is None and recomputation == "selective":
        raise ArithmeticInputError.of(
            "recomputation",
            recomputation,
            "repeats the attention core, which 6ND leaves out",
            "give sequence_length, or use method='exact'",
        )
    core = _core_forward(c, sequence_length, attention) if sequence_length else 0
    return 6 * n, 3 * core, {"none": 0, "selective": core, "full": 2 * n + core}[recomputation]


def _exact(c: ModelConfig, sequence_length: int, recomputation: Recomputation, attention: Attention) -> _PerToken:
    matmuls = weight_matmuls(c)
    layers = sum(m.flops_per_token for m in matmuls if m.name != "lm_head")
    head = sum(m.flops_per_token for m in matmuls if m.name == "lm_head")
    core = _core_forward(c, sequence_length, attention)
    # full recomputation repeats the layers; the logits come after the last checkpoint and are still there
    return 3 * (layers + head), 3 * core, {"none": 0, "selective": core, "full": layers + core}[recomputation]


def _core_forward(c: ModelConfig, sequence_length: int, attention: Attention) -> float:
    return attention_core_flops(c, keys_summed_over_layers(c, sequence_length, attention))


def _korthikanti(c: ModelConfig, s: int, recomputation: Recomputation, attention: Attention) -> _PerToken:
    classic = (
        not c.gated_ffn
        and not c.experts
        and not c.latent_attention
        and c.kv_heads * c.head_dim == c.hidden_size
        and c.ffn_hidden_size == 4 * c.hidden_size
    )
    if not classic or attention != "full":
        raise ArithmeticInputError.of(
            "method",
            "korthikanti",
            f"holds for GPT shapes with full attention only, and {c.name} with attention={attention!r} is none",
            "use method='exact'",
        )
    h, layers, v = c.hidden_size, c.layers, c.vocab_size
    one_pass = 24 * layers * h * h  # per token: 24 B s h^2 forward, per layer
    weight = 3 * (one_pass + 2 * h * v)
    core = 3 * one_pass * s / (6 * h)
    again = {"none": 0, "selective": core, "full": one_pass + core / 3}[recomputation]
    return weight, core, again
