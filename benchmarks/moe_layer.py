"""Our mixture layer against transformers' Mixtral block, and against a dense block of as many parameters.

Goals: 8 experts top-2 forward at most 0.67 of transformers' time, 64 experts top-8 at most 0.5, forward and backward
0.77, peak memory 1; against dense 0.33 (8 experts top-2) and 0.2 (64 top-4).

The two types are two different questions. In bf16, in which Mixtral and OLMoE are published, a CPU without bf16
instructions multiplies slowly, and our kernels turn one expert at a time into fp32; on a CPU that has them, both sides
use them. In fp32 both sides run the same matmuls, which are nine tenths of our forward pass with a hundred tokens or
more for each expert, and run near the processor's peak: the forward goals can't be met there by any layer.

transformers runs "grouped_mm", its default for whole models; forward passes are compared with "eager" as well, and
with "batched_mm" for one token, which copies each token's experts. Memory is read on Linux only.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.ratio import Ratio, compare
from course_lib.catalog import ModelConfig
from course_lib.models.feed_forward import FeedForward
from course_lib.moe import MoEConfig, MoELayer

HIDDEN = 512
INNER = {8: 1792, 64: 256}  # of one expert, so that 8 top-2 does the work of Mixtral's proportions, 64 top-8 of OLMoE's
TOKENS = {torch.float32: (1, 64, 1024), torch.bfloat16: (1, 64, 256)}
THREADS = 2


def ours(experts: int, k: int, dtype: torch.dtype) -> MoELayer:
    """Our layer, routed like Mixtral."""
    torch.manual_seed(0)
    config = MoEConfig(hidden_size=HIDDEN, expert_hidden_size=INNER[experts], experts=experts, experts_per_token=k)
    return MoELayer(config).to(dtype)


def theirs(layer: MoELayer, implementation: str, dtype: torch.dtype) -> nn.Module:
    """transformers' block with our layer's weights."""
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    config = MixtralConfig(
        hidden_size=HIDDEN,
        intermediate_size=layer.config.expert_hidden_size,
        num_local_experts=layer.config.experts,
        num_experts_per_tok=layer.config.experts_per_token,
    )
    config._experts_implementation = implementation
    block = MixtralSparseMoeBlock(config).to(dtype)
    block.gate.weight, block.experts.gate_up_proj = layer.router.weight, layer.experts.up  # the same tensors
    block.experts.down_proj = layer.experts.down
    return block


def dense(experts: int, dtype: torch.dtype) -> nn.Module:
    """A gated block as wide as all experts together."""
    shape = ModelConfig(
        name="dense", vocab_size=2, hidden_size=HIDDEN, layers=1, heads=1, ffn_hidden_size=experts * INNER[experts],
        gated_ffn=True,
    )  # fmt: skip
    return FeedForward(shape).to(dtype)


def forward(module: nn.Module, x: Tensor) -> Callable[[], object]:
    """Without gradients."""

    def work() -> None:
        with torch.no_grad():
            module(x)

    return work


def both(module: nn.Module, x: Tensor) -> Callable[[], object]:
    """Forward and backward, from fresh gradients."""

    def work() -> None:
        module.zero_grad()
        module(x.detach().requires_grad_()).sum().backward()

    return work


def against_transformers(experts: int, k: int, dtype: torch.dtype) -> list[Ratio]:
    """All sizes of one layer, forward and with backward."""
    layer, found = ours(experts, k, dtype), []
    for tokens in TOKENS[dtype]:
        x = torch.randn(1, tokens, HIDDEN).to(dtype)  # (1, tokens, hidden)
        what = f"{experts} experts top-{k}, {str(dtype)[6:]}, {tokens} tokens"
        peers = ("grouped_mm", "eager") if tokens > 1 else ("grouped_mm", "eager", "batched_mm")
        for name in peers:
            peer = theirs(layer, name, dtype)
            found.append(compare(f"forward, {what}", forward(layer, x), f"transformers {name}", forward(peer, x)))
        peer = theirs(layer, "grouped_mm", dtype)
        what = f"forward and backward, {what}"
        found.append(compare(what, both(layer, x), "transformers grouped_mm", both(peer, x)))
    return found


def against_dense(experts: int, k: int, tokens: int = 1024) -> Ratio:
    """Tokens per second at equal total parameters, as the ratio of times."""
    x = torch.randn(1, tokens, HIDDEN)  # (1, tokens, hidden)
    layer, peer = ours(experts, k, torch.float32), dense(experts, torch.float32)
    what = f"forward, {experts} experts top-{k}, float32, {tokens} tokens"
    return compare(what, forward(layer, x), "dense of equal total parameters", forward(peer, x))


def peak_bytes(side: str, experts: int, k: int, dtype: torch.dtype, train: bool, tokens: int = 1024) -> None:
    """Print by how much memory rises above weights and input in one pass; for a process of its own (Linux)."""
    torch.set_num_threads(1)
    layer = ours(experts, k, dtype)
    module = layer if side == "ours" else theirs(layer, side, dtype)
    x = torch.randn(1, tokens, HIDDEN).to(dtype)  # (1, tokens, hidden)
    (both if train else forward)(module, x[:, :2])()  # libraries make their own buffers once
    module.zero_grad()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts from here
    before = _status("VmRSS")
    (both if train else forward)(module, x)()
    print(_status("VmHWM") - before)


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def memory(experts: int, k: int, dtype: torch.dtype, train: bool) -> Ratio:
    """Peak memory of both sides, each in a fresh process; GB stand in the columns of seconds."""

    def measured(side: str) -> float:
        given = f"{side!r}, {experts}, {k}, {dtype}, {train}"
        call = f"import torch; from benchmarks.moe_layer import peak_bytes; peak_bytes({given})"
        done = subprocess.run([sys.executable, "-c", call], check=True, capture_output=True, text=True)
        return int(done.stdout) / 1e9

    mine, other = measured("ours"), measured("grouped_mm")
    passes = "forward and backward" if train else "forward"
    what = f"peak memory (GB) of {passes}, {experts} experts top-{k}, {str(dtype)[6:]}, 1024 tokens"
    return Ratio(what, "transformers grouped_mm", mine, other, mine / other)


def measure() -> list[Ratio]:
    """All figures of this file, on two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        found = [against_dense(8, 2), against_dense(64, 4)]
        for dtype in (torch.float32, torch.bfloat16):
            for experts, k in ((8, 2), (64, 8)):
                found += against_transformers(experts, k, dtype)
    finally:
        torch.set_num_threads(threads)
    return found + [
        memory(experts, k, torch.float32, train) for experts, k in ((8, 2), (64, 8)) for train in (False, True)
    ]
