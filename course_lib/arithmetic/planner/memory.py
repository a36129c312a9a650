"""Bytes on the fullest device under a layout, by kind, and the sharing rules behind them.

Model states and activations come from the room's own formulas; here they are put on pipeline stages, of which the first
keeps the most microbatches in flight and the last holds the logits.
"""

from dataclasses import dataclass

from course_lib.arithmetic.activations import SINGLE, layer_activations
from course_lib.arithmetic.matmuls import weight_matmuls
from course_lib.arithmetic.model_states import model_states
from course_lib.arithmetic.pipeline import pipeline_bubble
from course_lib.arithmetic.planner.layer_time import HALF, NOT_SPLIT, SPLIT_BY_INPUTS, ffn_width
from course_lib.arithmetic.planner.layout import Layout, first_stage_layers, fullest_stage_layers, last_stage_layers
from course_lib.arithmetic.planner.workload import Workload

RUNTIME_BYTES = 2.4e9  # the driver's context, the collectives' buffers and the matmul library's workspace
FRAGMENTATION = 0.06  # of all else: what the caching allocator holds and cannot hand out
BYTES_PER_LOGIT = 12  # 16-bit logits, their fp32 copy, and the gradients of both, at the loss's peak
UNFUSED_BYTES_PER_LOGIT = 16  # without a compiler the fp32 log-softmax is kept as well


@dataclass(frozen=True)
class MemoryByKind:
    """Bytes on the fullest device.

    Args:
        parameters_bytes, gradients_bytes, optimizer_bytes: model states, after all sharing.
        activations_bytes: what the microbatches in flight keep for their backward passes.
        logits_bytes: logits and their gradients, on the last stage.
        buffers_bytes: weights gathered and gradients not yet scattered (ZeRO-2, ZeRO-3), the layer that recomputation
            has just rebuilt, and the runtime's own.
        reserve_bytes: what fragmentation keeps from use.
        total_bytes: the sum.
        limit_bytes: memory of the device.
    """

    parameters_bytes: float
    gradients_bytes: float
    optimizer_bytes: float
    activations_bytes: float
    logits_bytes: float
    buffers_bytes: float
    reserve_bytes: float
    total_bytes: float
    limit_bytes: float

    @property
    def model_states_bytes(self) -> float:
        """Parameters, gradients and optimizer state."""
        return self.parameters_bytes + self.gradients_bytes + self.optimizer_bytes

    @property
    def shortfall_bytes(self) -> float:
        """What is missing; negative when there is room to spare."""
        return self.total_bytes - self.limit_bytes


def memory_by_kind(w: Workload, layout: Layout, microbatches: int) -> MemoryByKind:
    """Memory of the fullest device.

    Args:
        w: the planning problem.
        layout: a layout that `check_layout` accepts.
        microbatches: microbatches per step.

    Returns:
        Bytes by kind.

    Raises:
        ArithmeticInputError: when the schedule cannot run so many microbatches.

    Source: Rajbhandari et al. 2020 (arXiv:1910.02054); Korthikanti et al. 2022 (arXiv:2205.05198) section 4. The
        runtime's bytes and fragmentation are round figures for PyTorch on NVIDIA chips.
    """
    parts = fullest_stage(w, layout, microbatches)
    return MemoryByKind(*parts, total_bytes=sum(parts), limit_bytes=w.cluster.accelerator.memory_bytes)


Parts = tuple[float, float, float, float, float, float, float]


def fullest_stage(w: Workload, layout: Layout, microbatches: int) -> Parts:
    """The fields of `MemoryByKind` up to the reserve, as a bare tuple: what a search calls for every layout."""
    p, c = layout.pipeline_parallel, w.config
    layer = layer_bytes(w, layout)
    rebuilt = _saved(w, layout, "none") if layout.recomputation == "full" else 0.0
    if p == 1:
        return _on_stage(w, layout, (True, True), c.layers, layer, rebuilt)
    first, second, last = _kept(w, p, microbatches, layout)
    stages = [
        _on_stage(w, layout, (True, False), first_stage_layers(c, p), first * layer, rebuilt),
        _on_stage(w, layout, (False, True), last_stage_layers(c, p), last * layer, rebuilt),
    ]
    if p > 2:
        stages.append(_on_stage(w, layout, (False, False), fullest_stage_layers(c, p), second * layer, rebuilt))
    return max(stages, key=sum)


def _kept(w: Workload, stages: int, microbatches: int, layout: Layout) -> tuple[float, float, float]:
    """Microbatches in flight on the first, the second and the last stage, counted in whole stages"""
    key = ("kept", stages, microbatches, layout.schedule, layout.virtual_stages)
    return w.once(key, lambda: _computed_kept(stages, microbatches, layout))


def _computed_kept(stages: int, microbatches: int, layout: Layout) -> tuple[float, float, float]:
    first = pipeline_bubble(stages, microbatches, layout.schedule, layout.virtual_stages).activations_in_flight
    v = layout.virtual_stages
    if layout.schedule in ("1f1b", "zb1p"):
        second, last = min(first, stages - 1.0), 1.0
    elif layout.schedule == "interleaved":  # warm-up is two chunks shorter at each stage further on
        second, last = first - 2 / v, first - 2 * (stages - 1) / v
    else:
        second = last = first
    return first, second, max(1.0, last)


def _on_stage(
    w: Workload, layout: Layout, ends: tuple[bool, bool], layers: int, kept_by_layer: float, rebuilt: float
) -> Parts:
    parameters, gradients, optimizer, gathered = _states(w, layout, *ends, layers)
    if layout.schedule == "dualpipe" and layout.pipeline_parallel > 1:
        parameters *= 2  # both directions run through every device
    logits = 0.0
    if ends[1] and w.config.lm_head:
        tokens = layout.microbatch * w.sequence_length / layout.context_parallel
        each = BYTES_PER_LOGIT if w.software.fused else UNFUSED_BYTES_PER_LOGIT
        logits = tokens * each * w.config.vocab_size / layout.tensor_parallel
    activations = layers * kept_by_layer
    used = parameters + gradients + optimizer + activations + logits + gathered + rebuilt
    buffers = gathered + rebuilt + RUNTIME_BYTES
    return parameters, gradients, optimizer, activations, logits, buffers, FRAGMENTATION * used


def _states(w: Workload, layout: Layout, first: bool, last: bool, layers: int) -> tuple[float, float, float, float]:
    """(parameters, gradients, optimizer state, gathered buffers) in bytes on one stage"""
    key = (
        "states", first, last, layers, layout.tensor_parallel, layout.expert_parallel, layout.zero_stage,
        layout.shards * layout.context_parallel,
    )  # fmt: skip
    return w.once(key, lambda: _computed_states(w, layout, first, last, layers))


def _computed_states(
    w: Workload, layout: Layout, first: bool, last: bool, layers: int
) -> tuple[float, float, float, float]:
    c, n, t, ep = w.config, w.counts, layout.tensor_parallel, layout.expert_parallel
    body = n.total - n.routed_experts - n.embedding - n.output_head
    shared = body * layers / c.layers + first * n.embedding
    # a tied table stands on both ends of a pipeline
    shared += last * (n.output_head or (0 if first or not c.lm_head else n.embedding))
    routed = n.routed_experts * layers / c.layers / ep
    shards = layout.shards * layout.context_parallel
    sums = [0.0, 0.0, 0.0]
    for weights, members in ((shared, shards), (routed, max(1, shards // ep))):
        if not weights:
            continue
        part = model_states(
            float(weights),
            zero_stage=layout.zero_stage,
            data_parallel=members,
            tensor_parallel=t,
            gradient_bytes=w.software.kept_gradient_bytes if layout.zero_stage < 2 else HALF,
        )
        for i, bytes_ in enumerate((part.parameters_bytes, part.gradients_bytes, part.optimizer_bytes)):
            sums[i] += bytes_
    # two layers at a time, the one that computes and the one on its way: gradients, and for ZeRO-3 weights as well
    one = (body / c.layers + n.routed_experts / c.layers / ep) / t
    whole = {2: 2.0, 3: 4.0}.get(layout.zero_stage, 0.0) if shards > 1 else 0.0
    ends = max(first * n.embedding, last * n.output_head) / t if layout.zero_stage == 3 and shards > 1 else 0.0
    return sums[0], sums[1], sums[2], HALF * (whole * one + ends)


def layer_bytes(w: Workload, layout: Layout) -> float:
    """Bytes that one layer keeps for one microbatch on one device (the mean over the layers).

    Source: `layer_activations`; where a stack's selective recomputation repeats matmuls (torchtitan), the layer keeps
        its input, the attention's output and the outputs of the other matmuls.
    """
    return _saved(w, layout, layout.recomputation)


def _saved(w: Workload, layout: Layout, recomputation: str) -> float:
    key = (
        "saved", layout.tensor_parallel, layout.context_parallel, layout.microbatch, layout.sequence_parallel,
        recomputation,
    )  # fmt: skip
    return w.once(key, lambda: _computed_saved(w, layout, recomputation))


def _computed_saved(w: Workload, layout: Layout, recomputation: str) -> float:
    c, t = w.config, layout.tensor_parallel
    repeated = w.software.recomputed_matmuls
    if recomputation != "selective" or not repeated:
        kept = layer_activations(
            c,
            microbatch=layout.microbatch,
            sequence_length=w.sequence_length,
            tensor_parallel=t,
            context_parallel=layout.context_parallel,
            sequence_parallel=layout.sequence_parallel,
            recomputation=recomputation,  # type: ignore[arg-type]
            flash_attention=w.software.flash_attention,
        ).total_bytes
        if w.software.fused and c.gated_ffn and recomputation != "full":
            # a compiler keeps gate and up, and forms SiLU(gate) and the product again from them
            tokens = layout.microbatch * w.sequence_length / layout.context_parallel
            kept -= tokens * 2 * HALF * ffn_width(c) / t
        return kept
    tokens = layout.microbatch * w.sequence_length / layout.context_parallel
    outputs = 0.0
    for matmul in weight_matmuls(c):
        if matmul.name != "lm_head":
            divided = t if matmul.name not in (*SPLIT_BY_INPUTS, *NOT_SPLIT) or layout.sequence_parallel else 1
            outputs += matmul.outputs * matmul.per_token / c.layers / divided
    stream = c.hidden_size / (t if layout.sequence_parallel else 1)
    attention = HALF * c.heads * c.value_head_dim / t + SINGLE * c.heads / t
    return tokens * (HALF * (stream + (1 - repeated) * outputs) + attention)
