"""What a training stack does about communication, attention and memory: the published techniques, as switches.

Each preset says what its paper or repository says that it does. They matter: on the same chips and with the same
layout, MegaScale trains 1.3 times as fast as the Megatron-LM that it is compared with.
"""

from dataclasses import dataclass

from course_lib.arithmetic.errors import ArithmeticInputError, check_fraction, check_not_negative, check_positive

SHARES = (
    "hidden_tensor",
    "hidden_tensor_backward",
    "hiding_data",
    "hidden_pipeline",
    "hidden_context",
    "hidden_expert",
    "recomputed_matmuls",
)


@dataclass(frozen=True)
class Software:
    """A training stack.

    Args:
        name: key of the preset, or any name.
        flash_attention: a fused attention kernel that skips what the causal mask hides.
        fused: elementwise kernels are fused (by hand, or by a compiler).
        hidden_tensor, hidden_tensor_backward: share of tensor parallelism's communication that runs under matmuls,
            in the forward and in the backward pass (where weight gradients need not wait for it).
        hiding_data: share of the work beside it under which data parallelism's communication can run: the last
            microbatch's backward pass, or all of the step when parameters are gathered layer by layer.
        hidden_pipeline: share of the messages between stages that run under compute.
        hidden_context: the same of context parallelism's exchange of keys and values.
        hidden_expert: the same of the tokens' way to their experts and back.
        ring_attention: share of its speed that the attention kernel keeps when context parallelism cuts it in pieces.
        compute_units: share of the chip's units that compute, where communication kernels occupy the others.
        blocking_messages: a stage sends and receives in turn, not at once.
        scatter_gather: tensor-parallel devices send a share of the stage's output each, not the whole each.
        gradient_bytes: bytes of a gradient on the wire.
        kept_gradient_bytes: bytes of a gradient in memory while microbatches add up, where ZeRO does not divide it.
        sharded_network: share of the network's collective bandwidth that ZeRO-3's gathers reach.
        recomputed_matmuls: share of the matmuls that "selective" recomputation repeats; 0 repeats attention only.
        source: where the techniques were read.
    """

    name: str
    flash_attention: bool = True
    fused: bool = True
    hidden_tensor: float = 0.0
    hidden_tensor_backward: float = 0.0
    hiding_data: float = 0.0
    hidden_pipeline: float = 0.0
    hidden_context: float = 0.0
    hidden_expert: float = 0.0
    ring_attention: float = 1.0
    compute_units: float = 1.0
    blocking_messages: bool = False
    scatter_gather: bool = True
    gradient_bytes: float = 4.0
    kept_gradient_bytes: float = 4.0
    sharded_network: float = 1.0
    recomputed_matmuls: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        for name in SHARES:
            value = getattr(self, name)
            check_not_negative(name, value)
            if value > 1:
                raise ArithmeticInputError.of(name, value, "must be a share from 0 to 1", "write 0.5 for one half")
        check_fraction("sharded_network", self.sharded_network)
        check_fraction("ring_attention", self.ring_attention)
        check_fraction("compute_units", self.compute_units)
        check_positive("gradient_bytes", self.gradient_bytes)
        check_positive("kept_gradient_bytes", self.kept_gradient_bytes)


_PRESETS = (
    Software(
        "modern",
        hidden_tensor_backward=0.7,
        hiding_data=0.8,
        hidden_pipeline=0.5,
        hidden_context=0.8,
        hidden_expert=0.5,
        ring_attention=0.8,
        recomputed_matmuls=0.5,
        source="what a current stack has: flash attention, fused kernels, overlapped gradients and gathers",
    ),
    Software(
        "megatron-2021",
        flash_attention=False,
        source="Megatron-LM as in arXiv:2104.04473: fused elementwise kernels, nothing overlapped",
    ),
    Software(
        "megatron",
        flash_attention=False,
        hidden_tensor_backward=0.7,
        source="Megatron-LM since 2022 (arXiv:2205.05198 section 4): gradients' all-reduce under weight gradients",
    ),
    Software(
        "megatron-deepspeed",
        flash_attention=False,
        blocking_messages=True,
        scatter_gather=False,
        gradient_bytes=2,
        kept_gradient_bytes=2,
        source="DeepSpeed's pipeline around Megatron's layers (arXiv:2201.11990)",
    ),
    Software(
        "deepspeed-zero3",
        flash_attention=False,
        hiding_data=0.5,
        gradient_bytes=2,
        kept_gradient_bytes=2,
        sharded_network=0.13,
        source="ZeRO-3 as measured in arXiv:2104.04473 Table 2; the two shares are calibrated on its six rows",
    ),
    Software(
        "megascale",
        hidden_tensor=0.7,
        hidden_tensor_backward=0.7,
        hiding_data=0.9,
        hidden_pipeline=0.9,
        source="arXiv:2402.15627 section 3: overlap in every dimension, flash attention (parallel blocks: the shape)",
    ),
    Software(
        "llama3",
        kept_gradient_bytes=2,
        hiding_data=0.8,
        hidden_pipeline=0.5,
        source="arXiv:2407.21783 section 3.3.2: divided gradients, asynchronous messages, exposed gathers of keys",
    ),
    Software(
        "deepseek-v3",
        hiding_data=0.8,
        hidden_pipeline=0.9,
        hidden_expert=0.9,
        compute_units=112 / 132,
        source="arXiv:2412.19437 section 3.2: DualPipe runs the all-to-all under compute; 20 of 132 units carry it",
    ),
    Software(
        "torchtitan",
        hiding_data=0.8,
        ring_attention=0.72,
        recomputed_matmuls=0.5,
        source="pytorch/torchtitan with torch.compile; selective recomputation repeats every second matmul",
    ),
    Software(
        "torchtitan-eager",
        fused=False,
        hiding_data=0.8,
        ring_attention=0.72,
        recomputed_matmuls=0.5,
        source="pytorch/torchtitan without torch.compile",
    ),
    Software(
        "torchtitan-async",
        hidden_tensor=0.5,
        hidden_tensor_backward=0.5,
        hiding_data=0.8,
        ring_attention=0.72,
        recomputed_matmuls=0.5,
        source="pytorch/torchtitan with torch.compile and asynchronous tensor parallelism",
    ),
)
SOFTWARE = {preset.name: preset for preset in _PRESETS}


def as_software(software: Software | str) -> Software:
    """The stack itself, or the preset of that name.

    Raises:
        ArithmeticInputError: for an unknown name.
    """
    if isinstance(software, Software):
        return software
    if software not in SOFTWARE:
        raise ArithmeticInputError.of(
            "software", software, "is no known stack", f"use one of {', '.join(SOFTWARE)}, or a Software of your own"
        )
    return SOFTWARE[software]
