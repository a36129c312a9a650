"""FLOPs of serving a request: the prompt at once, then one token after another."""

from dataclasses import dataclass

from course_lib.arithmetic.attention_span import Attention, keys_summed_over_layers
from course_lib.arithmetic.errors import ArithmeticInputError, as_config, check_count
from course_lib.arithmetic.matmuls import attention_core_flops, weight_matmuls
from course_lib.catalog import ModelConfig


@dataclass(frozen=True)
class InferenceFlops:
    """Forward FLOPs of a batch of requests.

    Args:
        prefill_flops: reading the prompts; the logits of their last token only.
        decode_flops: generating the tokens, each looking at all before it.
        total_flops: both.
        weight_flops: the part of `total_flops` spent in weight matrices.
        attention_flops: the part spent in QK^T and in summing values.
        per_generated_token_flops: decode_flops per generated token; 0 when none is generated.
    """

    prefill_flops: float
    decode_flops: float
    total_flops: float
    weight_flops: float
    attention_flops: float
    per_generated_token_flops: float


def inference_flops(
    config: ModelConfig | str,
    prompt_tokens: int,
    generated_tokens: int = 0,
    *,
    batch: int = 1,
    attention: Attention = "full",
) -> InferenceFlops:
    """Count the FLOPs of serving `batch` equal requests with a key/value cache.

    The prefill yields the first generated token, so that g generated tokens take g - 1 decoding steps.

    Args:
        config: a decoder, or the name of one.
        prompt_tokens: tokens of the prompt.
        generated_tokens: tokens of the answer; 0 counts the prefill alone.
        batch: requests.
        attention: "full" or "causal" scores in the prefill. A decoding step has nothing to mask; a windowed layer
            looks at its window only.

    Returns:
        FLOPs with their parts; about 2 * active parameters per token while the context is short.

    Raises:
        ArithmeticInputError: for an encoder, or a number out of range.

    Source: Kaplan et al. 2020 (arXiv:2001.08361) Table 1: 2N per token and a context term. Theirs is
        2 n_layer n_ctx d_attn; both attention products over n_ctx keys are twice that, which is what is counted here.
    """
    c = as_config(config)
    if not c.decoder_layers:
        raise ArithmeticInputError.of("config", c.name, "is an encoder and generates nothing", "pass a decoder")
    check_count("prompt_tokens", prompt_tokens)
    check_count("generated_tokens", generated_tokens, minimum=0)
    check_count("batch", batch)
    matmuls = weight_matmuls(c)
    layers = sum(m.flops_per_token for m in matmuls if m.name != "lm_head")
    head = sum(m.flops_per_token for m in matmuls if m.name == "lm_head")
    per_key = attention_core_flops(c, 1)
    steps = max(0, generated_tokens - 1)

    prefill_weights = prompt_tokens * layers + head
    prefill_attention = prompt_tokens * keys_summed_over_layers(c, prompt_tokens, attention) * per_key
    decode_weights = steps * (layers + head)
    decode_attention = _keys_of_decoding(c, prompt_tokens, steps) * per_key
    prefill, decode = batch * (prefill_weights + prefill_attention), batch * (decode_weights + decode_attention)
    return InferenceFlops(
        prefill_flops=prefill,
        decode_flops=decode,
        total_flops=prefill + decode,
        weight_flops=batch * (prefill_weights + decode_weights),
        attention_flops=batch * (prefill_attention + decode_attention),
        per_generated_token_flops=decode / (batch * steps) if steps else 0.0,
    )


def _keys_of_decoding(c: ModelConfig, prompt_tokens: int, steps: int) -> int:
    """Keys that all decoding steps look at, summed over layers; step i sees the prompt and i generated tokens."""

    def seen(window: int) -> int:
        # contexts prompt+1 ... prompt+steps, each cut at the window
        growing = max(0, min(steps, window - prompt_tokens))
        return growing * prompt_tokens + growing * (growing + 1) // 2 + (steps - growing) * window

    longest = prompt_tokens + steps
    return c.windowed_layers * seen(c.sliding_window) + (c.layers - c.windowed_layers) * seen(longest)
