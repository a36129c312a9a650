"""Seconds that one layer takes for one microbatch on one device: matmuls, attention core, elementwise kernels.

A roofline for each part: matmuls against the matrix peak, elementwise kernels against memory bandwidth.
"""

from dataclasses import dataclass

from course_lib.arithmetic.attention_span import keys_summed_over_layers
from course_lib.arithmetic.matmuls import attention_core_flops, weight_matmuls
from course_lib.arithmetic.planner.layout import Layout
from course_lib.arithmetic.planner.workload import Workload
from course_lib.catalog import ModelConfig

HALF = 2  # bytes of a bf16 or fp16 element
SPLIT_BY_INPUTS = ("output", "ffn_down", "expert_down", "shared_expert_down")
NOT_SPLIT = ("router", "q_down", "kv_down")
ROUTED = ("expert_up", "expert_down")
EIGHT_BIT = ("fp8", "mxfp8")
UNFUSED_TRAFFIC = 3.0  # elementwise bytes of eager PyTorch over those of fused kernels: fp32 copies, one kernel each
BYTES_PER_LOGIT = 20  # 16-bit logits, an fp32 copy, its softmax and gradients of both: written or read once each
ELEMENTWISE_BACKWARD = 1.25  # bytes: norms read a third tensor, residual sums write none
CAST_BYTES = 5  # of an operand on its way to 8 bits: read for its largest value, read again, written
FLASH_BACKWARD = 2.5  # FLOPs of a flash backward pass over those of its forward pass: it forms the scores again


@dataclass(frozen=True)
class LayerTime:
    """Seconds of the mean layer, for one microbatch on one device, communication apart.

    Args:
        forward_seconds: the forward pass.
        backward_seconds: the backward pass, recomputation not counted.
        recompute_seconds: what recomputation repeats before it.
        weight_seconds: the share of `backward_seconds` that computes weight gradients.
        head_forward_seconds, head_backward_seconds: logits and loss, once per microbatch on the last stage.
    """

    forward_seconds: float
    backward_seconds: float
    recompute_seconds: float
    weight_seconds: float
    head_forward_seconds: float
    head_backward_seconds: float


def layer_time(w: Workload, layout: Layout) -> LayerTime:
    """Time of the mean layer under a layout.

    Args:
        w: the planning problem.
        layout: its tensor and context parallelism, microbatch and recomputation count.

    Returns:
        Seconds by pass.

    Raises:
        CatalogError: when the chip has no peak for the problem's dtype.

    Source: roofline (Williams et al. 2009); passes and recomputation as in Korthikanti et al. 2022
        (arXiv:2205.05198) appendix A; the flash backward pass as in Dao 2023 (arXiv:2307.08691).
    """
    key = (
        "layer", layout.tensor_parallel, layout.context_parallel, layout.microbatch, layout.recomputation,
        layout.sequence_parallel, layout.expert_parallel,
    )  # fmt: skip
    return w.once(key, lambda: _layer_time(w, layout))


def _layer_time(w: Workload, layout: Layout) -> LayerTime:
    tokens = layout.microbatch * w.sequence_length / layout.context_parallel
    bandwidth = w.cluster.accelerator.memory_bandwidth_bytes_per_s * w.efficiency.memory
    layer, head = _matmul_seconds(w, layout, tokens, bandwidth)
    core, core_backward = _attention_seconds(w, layout, tokens, bandwidth)
    elementwise = tokens * _elementwise_bytes(w, layout) / bandwidth
    loss = tokens * w.config.vocab_size / layout.tensor_parallel * BYTES_PER_LOGIT / bandwidth / 2
    forward = layer + core + elementwise
    repeated = w.software.recomputed_matmuls
    selective = repeated * layer + elementwise if repeated else core
    return LayerTime(
        forward_seconds=forward,
        backward_seconds=2 * layer + ELEMENTWISE_BACKWARD * elementwise + core_backward,
        recompute_seconds={"none": 0.0, "selective": selective, "full": forward}[layout.recomputation],
        weight_seconds=layer,
        head_forward_seconds=head + loss,
        head_backward_seconds=2 * head + loss,
    )


def _matmul_seconds(w: Workload, layout: Layout, tokens: float, bandwidth: float) -> tuple[float, float]:
    """(all weight matmuls of one layer, the output matrix), forward"""
    t, e, c, chip = layout.tensor_parallel, w.efficiency, w.config, w.cluster.accelerator
    units = w.software.compute_units
    best = units * chip.peak_flops(w.dtype) * (e.matmul_fp8 if w.dtype in EIGHT_BIT else e.matmul)
    sixteen_bit = units * chip.peak_flops(_sixteen_bit(w)) * e.matmul
    layer = head = 0.0
    for matmul in weight_matmuls(c):
        outputs, inputs, rows = float(matmul.outputs), float(matmul.inputs), tokens
        if matmul.name in SPLIT_BY_INPUTS:
            inputs /= t
        elif matmul.name not in NOT_SPLIT:
            outputs /= t
        elif layout.sequence_parallel:
            rows /= t
        flops, together = 2 * rows * outputs * inputs * matmul.per_token, rows
        if matmul.name in ROUTED:  # each expert multiplies its own tokens, of all that its group brings together
            together = rows * c.experts_per_token * layout.expert_parallel / c.experts
        # a narrow matmul cannot fill the chip, whichever side is the narrow one
        narrow = 1 + e.half_width * (1 / inputs + 1 / outputs + 1 / together)
        if matmul.name == "lm_head":
            head += flops * narrow / sixteen_bit  # stacks leave the logits in 16 bits
            continue
        held = matmul.stored / (layout.expert_parallel if matmul.name in ROUTED else 1)
        read = HALF * outputs * inputs * held / bandwidth
        layer += max(flops * narrow / best, read) / c.layers
        if w.dtype in EIGHT_BIT:
            layer += CAST_BYTES * inputs * (rows * matmul.per_token + outputs * held) / bandwidth / c.layers
    return layer, head


def _attention_seconds(w: Workload, layout: Layout, tokens: float, bandwidth: float) -> tuple[float, float]:
    """(forward, backward) of QK^T, softmax and the weighted sum of values in one layer"""
    c, e, t = w.config, w.efficiency, layout.tensor_parallel
    peak = w.cluster.accelerator.peak_flops(_sixteen_bit(w)) * w.software.compute_units
    keys = keys_summed_over_layers(c, w.sequence_length, "causal" if w.software.flash_attention else "full") / c.layers
    flops = attention_core_flops(c, keys) * tokens / t
    if w.software.flash_attention:
        peak *= w.software.ring_attention if layout.context_parallel > 1 else 1.0
        return flops / (peak * e.attention_forward), FLASH_BACKWARD * flops / (peak * e.attention_backward)
    # scores are written, softmaxed (read, written), dropped out (read, written, mask written) and read again
    per_score = HALF * (4 + 2 * c.dropout) + c.dropout
    scores = c.heads / t * tokens * keys
    forward = flops / (peak * e.attention_unfused) + scores * per_score / bandwidth
    return forward, 2 * forward


def _elementwise_bytes(w: Workload, layout: Layout) -> float:
    """Bytes that one token's elementwise kernels move in one layer, forward"""
    c, t = w.config, layout.tensor_parallel
    # a norm reads and writes once; a residual sum reads two and writes one, and its dropout writes a mask
    whole = c.hidden_size * (2 * HALF * c.norms_per_layer + 2 * (3 * HALF + c.dropout))
    # tokens are copied to their experts, and the outputs read back, weighted and summed
    routed = 4 * HALF * c.experts_per_token * c.hidden_size * c.moe_layers / c.layers
    heads = 2 * (c.heads * c.qk_head_dim + c.kv_heads * c.head_dim)  # rotated or biased in place
    divided = HALF * ((3 if c.gated_ffn else 2) * ffn_width(c) + heads) / t
    bytes_ = (whole + routed) / (t if layout.sequence_parallel else 1) + divided
    return bytes_ if w.software.fused else UNFUSED_TRAFFIC * bytes_


def ffn_width(c: ModelConfig) -> float:
    """Inner width of the feed-forward part that one token passes through, the mean over the layers."""
    experts = (c.experts_per_token + c.shared_experts) * c.expert_hidden_size
    return (c.moe_layers * experts + c.dense_layers * c.ffn_hidden_size) / c.layers


def _sixteen_bit(w: Workload) -> str:
    return "bf16" if "bf16" in w.cluster.accelerator.peak_tflops else "fp16"
