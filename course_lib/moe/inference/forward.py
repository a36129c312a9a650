"""A model's forward pass over new tokens only: attention reads the rest from a cache, experts run only where chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from course_lib.models import GPT, Block
from course_lib.moe.errors import MoEError
from course_lib.moe.inference.attention import AnySpan, Turn, attend
from course_lib.moe.inference.cache import PagedCache
from course_lib.moe.inference.touched import mix
from course_lib.moe.layer import MoELayer
from course_lib.moe.model import moe_layers


def check_causal(model: nn.Module) -> None:
    """Raise `MoEError` for a model whose routing of a token depends on other tokens: no cache can be equal to it.

    Args:
        model: in evaluation mode, in which more routers are causal than in training.
    """
    for layer in moe_layers(model):
        config = layer.config
        if not getattr(layer.router, "causal", True):
            raise MoEError.of(
                "router", config.router, "looks at tokens yet to come, so it can't decode", "train with 'topk'"
            )
        if config.router == "task":
            raise MoEError.of("router", "task", "needs each token's task, which decoding does not carry", "use 'topk'")
        if config.capacity_factor is not None:
            raise MoEError.of(
                "capacity_factor",
                config.capacity_factor,
                "lets a token's experts depend on the other sequences of a batch",
                "build the model with capacity_factor=None and load the same weights",
            )


@torch.inference_mode()
def cached_forward(
    model: GPT,
    tokens: Tensor,
    cache: PagedCache,
    handles: Sequence[int],
    *,
    every_logit: bool = False,
    experts_per_token: int | None = None,
) -> Tensor:
    """Logits after new tokens of some sequences, whose keys and values join the cache.

    Args:
        model: in evaluation mode.
        tokens: (sequences, new) of int64: a whole prompt, any part of it, or one token each.
        cache: with room for them.
        handles: (sequences,) of `cache.open`.
        every_logit: logits of every new token, else of the last.
        experts_per_token: use only so many of a token's experts; their weights keep the sum of all.

    Returns:
        (sequences, new or 1, vocab), equal to the same rows of the model's full forward pass.

    Raises:
        MoEError: when a sequence has no room.
    """
    assert model.output is not None
    span = cache.span(handles, tokens.shape[1])
    x = through_blocks(model, tokens, span, partial(mix, experts_per_token=experts_per_token))
    if not every_logit:
        x = x[:, -1:]
    if model.norm is not None:
        x = model.norm(x)
    logits: Tensor = model.output(x)
    cache.advance(handles, tokens.shape[1])
    return logits


def through_blocks(
    model: GPT, tokens: Tensor, span: AnySpan, run_experts: Callable[[MoELayer, Tensor, Tensor], Tensor]
) -> Tensor:
    """The hidden states of new tokens behind the last block.

    Args:
        model: in evaluation mode.
        tokens: (sequences, new) of int64.
        span: where their keys and values go, and what they see.
        run_experts: a mixture, its input (sequences, new, hidden) and the tokens -> its output.

    Returns:
        (sequences, new, hidden), before the final norm.
    """
    assert model.tok_embeddings is not None
    x: Tensor = model.tok_embeddings(tokens)  # (sequences, new, hidden)
    if model.pos_embeddings is not None:
        x = x + model.pos_embeddings(span.positions)
    blocks = [block for block in model.layers.values() if isinstance(block, Block)]
    first = blocks[0].attention
    turn = Turn(span.positions, first.head_dim, first.rope_theta, x.dtype) if first.rotary else None
    for number, block in enumerate(blocks):
        x = x + attend(block, block.attention_norm(x), span, number, turn)
        behind = block.ffn_norm(x)
        if isinstance(block.feed_forward, MoELayer):
            x = x + run_experts(block.feed_forward, behind, tokens)
        else:
            x = x + block.feed_forward(behind)
    return x
