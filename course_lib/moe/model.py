"""The small GPT with experts: a decoder some or all of whose feed-forward blocks are mixtures."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from course_lib.catalog import ModelConfig
from course_lib.models import GPT, Block, tiny_config
from course_lib.moe.config import MoEConfig
from course_lib.moe.errors import MoEError
from course_lib.moe.layer import MoELayer

NEEDS_IDS = ("hash",)


class MoEModel(GPT):
    """`GPT` for shapes with experts; module names are `GPT`'s, a block's `feed_forward` is a `MoELayer`.

    Args:
        config: the shape. Of its layers, the first `first_dense_layers` are dense, and of the others every
            `moe_every`-th has experts, as in GShard and DeepSeek-V3.
        moe: the layers; `MoEConfig.of(config)` when left out.
        seed: of the initial weights.

    Raises:
        MoEError: for a dense shape, or `moe` of another shape.
        ValueError: for a shape that `GPT` can't build.
    """

    has_experts = True

    def __init__(self, config: ModelConfig, moe: MoEConfig | None = None, seed: int = 0) -> None:
        expected = MoEConfig.of(config)
        moe = moe or expected
        for name in ("hidden_size", "expert_hidden_size", "experts", "shared_experts", "gated"):
            if getattr(moe, name) != getattr(expected, name):
                raise MoEError.of(
                    f"moe.{name}",
                    getattr(moe, name),
                    f"is {getattr(expected, name)!r} in the shape of {config.name}",
                    "make it by MoEConfig.of(config, ...)",
                )
        self.moe = moe  # before the set-up of GPT, which calls `make_block`
        super().__init__(config, seed)

    def make_block(self, number: int) -> Block:
        """A block with experts where the shape has some."""
        if not has_experts(self.config, number):
            return super().make_block(number)
        return Block(self.config, MoELayer(self.moe, number))

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """Logits of every next token; see `GPT.forward`."""
        if self.moe.router in NEEDS_IDS:
            for layer in moe_layers(self):
                layer.ids = x
        return super().forward(x, positions)


def has_experts(config: ModelConfig, number: int) -> bool:
    """Whether block `number`, counted from 0 at the input, is a mixture."""
    above = number - config.first_dense_layers
    return above >= 0 and (above + 1) % config.moe_every == 0


def moe_layers(model: nn.Module) -> list[MoELayer]:
    """The mixtures of a model from input to output, however it is wrapped."""
    return [module for module in model.modules() if isinstance(module, MoELayer)]


def moe_config(
    *,
    layers: int = 4,
    hidden_size: int = 64,
    heads: int = 4,
    kv_heads: int = 0,
    vocab_size: int = 64,
    context_length: int = 64,
    experts: int = 8,
    experts_per_token: int = 2,
    expert_hidden_size: int = 0,
    shared_experts: int = 0,
    first_dense_layers: int = 0,
    moe_every: int = 1,
    tied_embeddings: bool = False,
) -> ModelConfig:
    """The shape of a small Mixtral-like decoder (RMSNorm, rotary positions, SwiGLU experts).

    Args:
        layers, hidden_size, heads, kv_heads, vocab_size, context_length, experts, experts_per_token,
            expert_hidden_size, shared_experts, first_dense_layers, moe_every, tied_embeddings: as in `ModelConfig`.
            expert_hidden_size = 0 gives k experts together the width of `tiny_config`'s dense block.

    Returns:
        The shape.

    Raises:
        ValueError: for numbers that don't fit together, such as more experts_per_token than experts.
    """
    dense = tiny_config(
        layers=layers,
        hidden_size=hidden_size,
        heads=heads,
        kv_heads=kv_heads,
        vocab_size=vocab_size,
        context_length=context_length,
        tied_embeddings=tied_embeddings,
    )
    share = -(-dense.ffn_hidden_size // (experts_per_token + shared_experts) // 8) * 8
    return replace(
        dense,
        name="tiny-moe",
        title="",
        experts=experts,
        experts_per_token=experts_per_token,
        expert_hidden_size=expert_hidden_size or share,
        shared_experts=shared_experts,
        first_dense_layers=first_dense_layers,
        moe_every=moe_every,
    )
